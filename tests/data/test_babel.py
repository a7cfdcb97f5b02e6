from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_folder import write_amass

from motionlang_pl.cli import main
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.data.sources.babel import label_set
from motionlang_pl.data.sources.synthetic import annotations as synthetic_annotations
from motionlang_pl.data.sources.synthetic import clips as synthetic
from motionlang_pl.data.store import Store

REAL = Path(__file__).parents[3] / "shared" / "data"


def segment(text: str | None, *actions: str, **times: float) -> dict[str, Any]:
    return {"raw_label": text, "proc_label": text and text.upper(), "act_cat": list(actions), "seg_id": "x", **times}


def record(path: str, dur: float, **labels: Any) -> dict[str, Any]:
    return {"babel_sid": 1, "url": "", "feat_p": path, "dur": dur, "seq_ann": None, "frame_ann": None, **labels}


WALK = "KIT/KIT/3/walk_poses.npz"
JOG = "BMLrub/BioMotionLab_NTroje/rub014/0004_treadmill jog_poses.npz"
TRAIN = {
    "7": record(
        WALK,
        3.9,
        seq_ann={"labels": [segment("walk and wave", "walk", "wave")]},
        frame_ann={
            "labels": [
                segment("wave", "wave", "hand movements", start_t=2.0, end_t=3.0),
                segment("walk", "walk", start_t=0.0, end_t=3.9),
                segment("transition", "transition", start_t=1.0, end_t=1.2),
                segment("wave", "wave", "hand movements", start_t=3.5, end_t=4.1),
            ]
        },
    ),
    "12": record(JOG, 2.0, seq_ann={"labels": [segment(" jog on\na treadmill ", "jog"), segment("jog", "jog")]}),
}
EXTRA = {
    "7": {
        "babel_sid": 7,
        "feat_p": WALK,
        "dur": 4.0,
        "frame_anns": None,
        "seq_anns": [{"labels": [segment("strut", "walk")]}, {"labels": [segment("stroll", "walk")]}],
    }
}
HIDDEN = {"13": record(JOG, 2.0, frame_ann={"labels": [segment(None, start_t=0.0, end_t=1.0)]})}


@pytest.fixture
def amass(tmp_path: Path) -> Path:
    """A walk of 4 s and a jog of 2 s, in folders and at rates of their own, as a store at 30 fps."""
    write_amass(tmp_path / "raw/KIT/3/walk_poses.npz", 400, fps=100.0)
    write_amass(tmp_path / "raw/BMLrub/rub014/0004_treadmill_jog_stageii.npz", 240, fps=120.0)
    main(["prepare", "amass", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "amass")])
    return tmp_path / "amass"


def babel(tmp_path: Path, amass: Path, *more: str, **files: Any) -> Store:
    (tmp_path / "babel").mkdir(exist_ok=True)
    for name, records in files.items():
        (tmp_path / "babel" / f"{name}.json").write_text(json.dumps(records))
    out = tmp_path / "store"
    main(["prepare", "babel", "--raw", str(tmp_path / "babel"), "--amass", str(amass), "--out", str(out), *more])
    return Store.open(out)


def said(store: Store, split: str) -> list[tuple[str, float, float, str, tuple[str, ...]]]:
    rows = [store.annotations[row] for row in store.annotations.rows(split).tolist()]
    ids = [store.clips.ids[store.annotations.clip[row]] for row in store.annotations.rows(split).tolist()]
    return [(name, row.start, row.end, row.text, row.labels) for name, row in zip(ids, rows, strict=True)]


def test_segments_come_from_frame_labels_else_tell_about_the_whole_recording(tmp_path: Path, amass: Path) -> None:
    store = babel(tmp_path, amass, train=TRAIN)
    assert said(store, "train") == [
        ("7", 2.0, 3.0, "wave", ("wave", "hand movements")),
        ("7", 0.0, 3.9, "walk", ("walk",)),
        ("7", 3.5, 4.0, "wave", ("wave", "hand movements")),  # ended 0.1 s after the recording
        ("12", 0.0, 2.0, "jog on a treadmill", ("jog",)),
        ("12", 0.0, 2.0, "jog", ("jog",)),
    ]
    assert list(store.clips.origin) == ["KIT/3/walk", "BMLrub/rub014/0004_treadmill_jog"]
    assert store.clips.source_fps.tolist() == [100.0, 120.0]


def test_frames_are_those_of_the_amass_store(tmp_path: Path, amass: Path) -> None:
    store, recordings = babel(tmp_path, amass, train=TRAIN), Store.open(amass)
    assert (store.fps, store.skeleton, store.kinds) == (recordings.fps, recordings.skeleton, recordings.kinds)
    place = {origin: clip for clip, origin in enumerate(recordings.clips.origin)}
    for clip, origin in enumerate(store.clips.origin):
        rows = int(store.clips.rows[clip])
        for kind in store.kinds:
            there = recordings.read(kind, place[origin], 0, int(recordings.clips.rows[place[origin]]))
            np.testing.assert_array_equal(store.read(kind, clip, 0, rows), there)


def test_spans_of_one_label_in_one_recording_stay_together_as_a_query(tmp_path: Path, amass: Path) -> None:
    queries: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, start, end, text, _ in said(babel(tmp_path, amass, train=TRAIN), "train"):
        queries.setdefault((name, text), []).append((start, end))
    assert queries["7", "wave"] == [(2.0, 3.0), (3.5, 4.0)]


def test_transitions_are_left_out_and_counted_unless_asked_for(
    tmp_path: Path, amass: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = babel(tmp_path, amass, train=TRAIN)
    assert "transition" not in [text for _, _, _, text, _ in said(store, "train")]
    assert "1 transitions left out" in capsys.readouterr().err and store.meta["options"]["left out"] == {
        "transitions": 1
    }
    (tmp_path / "store").rename(tmp_path / "without")
    store = babel(tmp_path, amass, "--keep-transitions", train=TRAIN)
    assert ("7", 1.0, 1.2, "transition", ("transition",)) in said(store, "train")


def test_processed_labels_are_the_sentences_where_asked_for(tmp_path: Path, amass: Path) -> None:
    store = babel(tmp_path, amass, "--text", "proc_label", train=TRAIN)
    assert {text for _, _, _, text, _ in said(store, "train")} == {"WAVE", "WALK", "JOG", "JOG ON A TREADMILL"}


def test_segments_of_a_frame_or_less_are_left_out_and_no_other_makes_the_store_wrong(
    tmp_path: Path, amass: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = [(1.02, 1.037), (2.0, 2.04), (3.96, 4.0), (1.0, None)]
    labels = [{**segment(f"{start}", "a"), "start_t": start, "end_t": end} for start, end in times]
    store = babel(tmp_path, amass, train={"7": record(WALK, 4.0, frame_ann={"labels": labels})})
    assert [start for _, start, *_ in said(store, "train")] == [2.0, 3.96]
    assert "2 segments of a frame or less left out" in capsys.readouterr().err
    main(["check", str(store.path)])


def test_all_people_of_the_extra_files_are_a_split_of_their_own(tmp_path: Path, amass: Path) -> None:
    store = babel(tmp_path, amass, train=TRAIN, extra_train=EXTRA)
    assert store.splits == ("train", "extra_train") and len(store.clips.ids) == 2
    assert [text for _, _, _, text, _ in said(store, "extra_train")] == ["strut", "stroll"]


def test_recordings_with_hidden_labels_are_motion_without_sentences(tmp_path: Path, amass: Path) -> None:
    store = babel(tmp_path, amass, train=TRAIN, test=HIDDEN)
    assert said(store, "test") == [("13", 0.0, 2.0, "", ())]


def test_a_recording_of_another_length_is_named(tmp_path: Path, amass: Path) -> None:
    train = {**TRAIN, "12": {**TRAIN["12"], "dur": 2.4}}
    with pytest.raises(SystemExit, match=r"train\.json: 12 is 2\.4 s, the recording BMLrub/rub014/0004_\w+ 2 s"):
        babel(tmp_path, amass, train=train)
    store = babel(tmp_path, amass, "--allow-skips")
    assert list(store.clips.ids) == ["7"] and len(store.meta["skipped"]) == 1


def test_a_missing_data_set_is_named_once_before_any_work(
    tmp_path: Path, amass: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dance = {str(sid): record(f"MPIHDM05/MPI_HDM05/dg/{sid}_poses.npz", 2.0) for sid in range(20, 25)}
    lost = {"30": record("KIT/KIT/3/lost_poses.npz", 2.0)}
    with pytest.raises(SystemExit, match=r"2 of the inputs are missing.*nothing was read yet"):
        babel(tmp_path, amass, train={**TRAIN, **dance, **lost})
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "HDM05" in line and "5 clips need it" in line and "MPI_HDM05" in line]
    assert len([line for line in lines if "HDM05" in line]) == 1
    assert "missing 30: the recording KIT/3/lost is not in the AMASS store" in lines
    assert not (tmp_path / "store").exists() and not (tmp_path / ".store.partial").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is no JSON"),
        ("[]", "holds no records by id"),
        ('{"3": {"dur": 2.0}}', "record '3' has no `feat_p`"),
        ('{"3": {"feat_p": "a/b", "dur": NaN}}', "record '3' has no .* `dur`"),
    ],
)
def test_a_file_that_is_none_of_babel_is_refused(tmp_path: Path, amass: Path, content: str, reason: str) -> None:
    (tmp_path / "babel").mkdir()
    (tmp_path / "babel" / "train.json").write_text(content)
    with pytest.raises(SystemExit, match=rf"train\.json: .*{reason}"):
        babel(tmp_path, amass)


def test_another_store_than_one_of_amass_is_refused(tmp_path: Path, amass: Path) -> None:
    store = babel(tmp_path, amass, train=TRAIN)
    store.path.rename(tmp_path / "other")
    with pytest.raises(SystemExit, match="a store of babel; --amass is one of whole recordings"):
        babel(tmp_path, tmp_path / "other")


def test_a_stage_reads_recordings_as_motion_and_segments_as_pairs(tmp_path: Path) -> None:
    synthetic.write_amass(tmp_path / "raw", 40, 0)
    synthetic_annotations.write_babel(tmp_path / "babel", 40, 0)
    lists = str(tmp_path / "raw" / "splits")
    main(["prepare", "amass", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "amass"), "--splits", lists])
    store = babel(tmp_path, tmp_path / "amass")
    data = MotionLanguageData(str(store.path), features="smpl_rot6d", max_frames=150)
    motions, pairs = data.samples("motion", "train"), data.samples("pairs", "train")
    assert len(motions) == store.meta["splits"]["train"]["clips"] == 28
    assert motions.lengths.sum() == store.clips.rows[motions.clip].sum()  # type: ignore[attr-defined]
    assert len(pairs) == 35 and pairs.lengths.max() < motions.lengths.max()  # 21 with one action, 7 with two
    assert pairs[(0, 0)].caption and pairs[(0, 0)].features.shape[1] == 132  # type: ignore[union-attr]
    assert len(data.samples("motion", "test")) == 8 and len(data.samples("pairs", "test")) == 0
    assert store.meta["options"]["actions"] == list(label_set(tmp_path / "babel" / "action_label_2_idx.json"))


def test_label_sets_are_the_most_frequent_actions(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps({"turn": 1, "walk": 0, "sit": 2}))
    assert label_set(tmp_path / "list.json", 2) == ("walk", "turn")
    with pytest.raises(ValueError, match="has 3 actions, fewer than 60"):
        label_set(tmp_path / "list.json", 60)
    (tmp_path / "list.json").write_text(json.dumps({"turn": 1, "walk": 5}))
    with pytest.raises(ValueError, match="not BABEL's list of actions"):
        label_set(tmp_path / "list.json", 2)


@pytest.mark.real
def test_the_released_list_of_actions_gives_both_label_sets() -> None:
    file = REAL / "text_only" / "babel" / "action_label_2_idx.json"
    assert label_set(file, 120)[:60] == label_set(file, 60) and len(label_set(file)) == 150
    assert label_set(file, 60)[0] == "walk" and "transition" not in label_set(file)

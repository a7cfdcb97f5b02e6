from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from raw_folder import write_amass

from motionlang_pl.cli import main
from motionlang_pl.data.origins import dataset_name, origin
from motionlang_pl.data.sources import unified
from motionlang_pl.data.sources.synthetic import annotations as synthetic_annotations
from motionlang_pl.data.sources.synthetic import clips as synthetic
from motionlang_pl.data.store import Store
from motionlang_pl.motion.retarget import bone_lengths
from motionlang_pl.motion.skeleton import SMPL22

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def amass(tmp_path: Path) -> Path:
    """A walk of 4 s, as a store at 20 fps."""
    write_amass(tmp_path / "raw/KIT/3/walk_poses.npz", 400, fps=100.0)
    main(["prepare", "amass", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "amass"), "--fps", "20"])
    return tmp_path / "amass"


def record(path: str, *said: tuple[str, float, float], duration: float = 4.0) -> dict[str, Any]:
    lines = [{"seg_id": "x", "text": text, "start": start, "end": end} for text, start, end in said]
    return {"path": path, "duration": duration, "annotations": lines}


def prepare(tmp_path: Path, amass: Path, annotations: dict[str, Any], ids: list[str], *more: str) -> Store:
    (tmp_path / "splits").mkdir(exist_ok=True)
    (tmp_path / "splits" / "train.txt").write_text("\n".join(ids))
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    files = ["--annotations", str(tmp_path / "annotations.json"), "--splits", str(tmp_path / "splits")]
    main(["prepare", "unified", *files, "--amass", str(amass), "--out", str(tmp_path / "store"), *more])
    return Store.open(tmp_path / "store")


def directions(rows: np.ndarray) -> np.ndarray:
    joints = rows.reshape(len(rows), 22, 3)
    bones = joints[:, 1:] - joints[:, list(SMPL22.parents[1:])]
    return bones / np.linalg.norm(bones, axis=-1, keepdims=True)  # type: ignore[no-any-return]


def test_a_clip_is_the_stretch_that_its_sentences_tell_about(tmp_path: Path, amass: Path) -> None:
    said = record("KIT/3/walk_poses", ("he walks", 1.0, 3.0), ("he turns", 2.0, 3.5))
    store = prepare(tmp_path, amass, {"00001": said, "00002": said}, ["00001"])
    assert list(store.clips.ids) == ["00001"] and store.clips.rows.tolist() == [50]
    spans = [(span.start, span.end, span.text) for span in (store.annotations[0], store.annotations[1])]
    assert spans == [(0.0, 2.0, "he walks"), (1.0, 2.5, "he turns")]
    assert (store.clips.origin[0], store.clips.source_fps[0], store.fps) == ("KIT/3/walk", 100.0, 20.0)


def test_motion_has_the_canonical_body_and_starts_at_the_origin_facing_ahead(tmp_path: Path, amass: Path) -> None:
    said = record("KIT/3/walk_poses", ("he walks", 1.0, 3.0))
    joints = prepare(tmp_path, amass, {"1": said}, ["1"]).read("joints", 0, 0, 40).reshape(40, 22, 3)
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, list(SMPL22.parents[1:])], axis=-1)
    np.testing.assert_allclose(lengths, np.tile(bone_lengths(SMPL22).numpy(), (40, 1)), atol=1e-5)
    np.testing.assert_allclose(joints[0, 0, [0, 2]], 0.0, atol=1e-6)
    assert abs(joints[..., 1].min()) < 1e-6 and abs(joints[0, 1, 2] - joints[0, 2, 2]) < 0.01


def test_a_path_under_m_is_the_mirrored_twin(tmp_path: Path, amass: Path) -> None:
    annotations = {
        "00001": record("KIT/3/walk_poses", ("he turns left", 0.0, 4.0)),
        "M00001": record("M/KIT/3/walk_poses", ("he turns right", 0.0, 4.0)),
    }
    store = prepare(tmp_path, amass, annotations, ["00001", "M00001"])
    assert store.clips.mirrored.tolist() == [False, True] and list(store.clips.origin) == ["KIT/3/walk"] * 2
    assert list(store.annotations.text) == ["he turns left", "he turns right"]
    one, twin = (directions(store.read("joints", clip, 0, 80)) for clip in (0, 1))
    mirror = [joint - 1 for joint in SMPL22.mirror[1:]]
    turned = one[:, mirror] * np.array([-1.0, 1.0, 1.0])
    # The canonical body's left and right differ by millimetres, so what is its front does by a degree.
    np.testing.assert_allclose(twin, turned, atol=0.02)
    yaw = [store.read("humanml3d", clip, 0, 1)[0, 0] for clip in (0, 1)]
    assert yaw[0] * yaw[1] < 0  # one turns left, the other right


def test_any_feature_kind_that_joints_give_is_computed(tmp_path: Path, amass: Path) -> None:
    said = record("KIT/3/walk_poses", ("he walks", 0.0, 4.0))
    kinds = ["joints", "humanml3d", "ik_rot6d", "angles"]
    store = prepare(tmp_path, amass, {"1": said}, ["1"], "--features", *kinds)
    assert set(store.kinds) == set(kinds) and store.valid_rows("humanml3d").tolist() == [79]
    (tmp_path / "store").rename(tmp_path / "first")
    with pytest.raises(SystemExit, match="smpl_rot6d cannot be computed from joints"):
        prepare(tmp_path, amass, {"1": said}, ["1"], "--features", "smpl_rot6d")


def test_what_does_not_fit_is_named(tmp_path: Path, amass: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations = {
        "1": record("KIT/3/walk_poses", ("he walks", 0.0, 4.0)),
        "2": record("KIT/3/walk_poses", ("he walks", 0.0, 6.0), duration=6.0),
        "3": record("CMU/02/02_01_poses", ("he runs", 0.0, 2.0)),
        "4": record("KIT/3/walk_poses", ("he walks", 5.0, 6.0), (" ", 0.0, 1.0)),
        "5": record("KIT/3/walk_poses", ("he walks", 0.0, 4.1), ("", 0.0, 1.0), duration=4.1),
    }
    ids = ["1", "2", "3", "4", "5", "6"]
    with pytest.raises(SystemExit, match="4 of the inputs are missing"):
        prepare(tmp_path, amass, annotations, ids)
    store = prepare(tmp_path, amass, annotations, ids, "--allow-skips")
    assert list(store.clips.ids) == ["1", "5"] and store.clips.rows.tolist() == [80, 80]
    assert [skip["reason"] for skip in store.meta["skipped"]] == [
        "is in a split list, but has no annotations",
        "AMASS's data set CMU is not in the store, and 1 clips need it",
        "is 6 s, the recording KIT/3/walk 4 s",
        "has no sentence with a stretch of motion",
    ]
    said = capsys.readouterr().err
    assert "3 sentences without words or a stretch left out" in said


@pytest.mark.parametrize("content", ["{", "[1]", '{"1": {"path": "a"}}', '{"1": {"path": "a", "duration": NaN}}'])
def test_another_file_is_refused(tmp_path: Path, amass: Path, content: str) -> None:
    prepare(tmp_path, amass, {"1": record("KIT/3/walk_poses", ("he walks", 0.0, 4.0))}, ["1"])
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(ValueError, match=r"annotations\.json: not TMR's unified annotations"):
        unified.source(tmp_path / "annotations.json", amass, tmp_path / "splits", ["joints"])


def test_the_synthetic_set_is_read_whole(tmp_path: Path) -> None:
    synthetic.write_amass(tmp_path / "raw", 10, 0)
    synthetic_annotations.write_unified(tmp_path / "unified", 10, 0)
    main(["prepare", "amass", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "amass"), "--fps", "20"])
    files = ["--annotations", str(tmp_path / "unified" / "annotations.json"), "--amass", str(tmp_path / "amass")]
    lists = ["--splits", str(tmp_path / "unified" / "splits"), "--out", str(tmp_path / "store")]
    main(["prepare", "unified", *files, *lists])
    store = Store.open(tmp_path / "store")
    assert len(store.clips.ids) == 20 and store.clips.mirrored.sum() == 10 and not store.meta["skipped"]
    assert [store.meta["splits"][split]["clips"] for split in ("train", "val", "test")] == [14, 2, 4]
    assert torch.isfinite(torch.from_numpy(np.array(store.frames("humanml3d")))).all()


@pytest.mark.real
def test_each_path_of_tmrs_kit_ml_is_a_recording_of_amass(tmp_path: Path, amass: Path) -> None:
    folder = REAL / "text_only" / "kitml"
    records = json.loads((folder / "annotations.json").read_text())
    names = Counter(origin(record["path"].removeprefix("M/")).split("/")[0] for record in records.values())
    assert names == {"KIT": 4102, "CMU": 1566, "EKUT": 84} and all(dataset_name(name) == name for name in names)
    lists = tmp_path / "lists"
    lists.mkdir()
    for split in ("train", "val", "test"):
        (lists / f"{split}.txt").write_text((folder / f"{split}.txt").read_text())
    source = unified.source(folder / "annotations.json", amass, lists, ["joints"])
    reasons = [skip.reason for skip in source.skips]
    assert [reason for reason in reasons if "CMU" in reason] == [
        "AMASS's data set CMU is not in the store, and 1566 clips need it"
    ]
    assert sum("KIT/" in reason for reason in reasons) == 4102 and not source.items

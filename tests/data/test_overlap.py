from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from raw_folder import write_clip

from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.tools import prepare


def write(out: Path, splits: dict[str, dict[str, str]]) -> str:
    """A store whose clips are cut from the named recordings of AMASS; an empty name is not in the index."""
    raw = out.with_suffix(".raw")
    raw.mkdir()
    index = ["source_path,start_frame,end_frame,new_name"]
    for split, clips in splits.items():
        for name, recording in clips.items():
            write_clip(raw, name, 40, int(name), f"{split} {name}.#x/NOUN#0.0#0.0")
            index += [f"./pose_data/{recording}_poses.npy,0,-1,{name}.npy"] if recording else []
        (raw / f"{split}.txt").write_text("".join(f"{name}\n" for name in clips))
    (raw / "index.csv").write_text("\n".join(index) + "\n")
    prepare.humanml3d(raw, out, features=["joints"])
    return str(out)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """mine trains on what other validates (a renamed data set), tests and trains on, and on two clips of one take."""
    folder = tmp_path_factory.mktemp("overlap")
    mine = {
        "000001": "BioMotionLab_NTroje/rub001/0001_walk",
        "000002": "KIT/3/kick_left",
        "000003": "KIT/3/kick_right",
        "000004": "KIT/3/kick_left",
        "000005": "",
    }
    other = {"val": {"000001": "BMLrub/rub001/0001_walk"}, "test": {"000002": "KIT/3/kick_left", "000004": ""}}
    return {
        "mine": write(folder / "mine", {"train": mine, "val": {"000006": "CMU/1/1"}, "test": {"000007": "CMU/1/2"}}),
        "other": write(folder / "other", {"train": {"000003": "KIT/3/kick_right"}, **other}),
        "unknown": write(folder / "unknown", {"train": {"000001": ""}, "test": {"000002": ""}}),
        "extra": write(folder / "extra", {"train": {"000001": "KIT/3/kick_left", "000002": "KIT/9/run"}}),
    }


def trained_on(data: MotionLanguageData, reads: str) -> list[str]:
    mixture = data.mixture(reads, "train")  # type: ignore[arg-type]
    return [
        part.store.clips.ids[int(clip)]
        for part in mixture.parts
        for clip in part.samples.clip  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize("reads", ["motion", "pairs"])
def test_clips_of_recordings_that_others_validate_or_test_on_are_left_out(stores: dict[str, str], reads: str) -> None:
    data = MotionLanguageData(stores["mine"], "joints", exclude_overlap_with=stores["other"])
    assert trained_on(data, reads) == ["000003", "000005"]
    assert trained_on(MotionLanguageData(stores["mine"], "joints"), reads) == [f"00000{n}" for n in range(1, 6)]


def test_their_sentences_are_left_out_too(stores: dict[str, str]) -> None:
    data = MotionLanguageData(stores["mine"], "joints", exclude_overlap_with=[stores["other"]])
    samples = data.samples("text", "train", training=True)
    assert [samples[n, 0].caption for n in range(len(samples))] == ["train 000003.", "train 000005."]


def test_every_store_of_a_mixture_is_looked_through(stores: dict[str, str]) -> None:
    both = [stores["mine"], stores["extra"]]
    data = MotionLanguageData(both, "joints", exclude_overlap_with=[stores["other"]])
    assert trained_on(data, "pairs") == ["000003", "000005", "000002"]


def test_evaluation_reads_everything(stores: dict[str, str]) -> None:
    """Also where a store is kept apart from its own test split."""
    data = MotionLanguageData(stores["mine"], "joints", exclude_overlap_with=[stores["mine"], stores["other"]])
    assert [len(data.samples("pairs", split)) for split in ("val", "test", "train")] == [1, 1, 5]


def test_the_run_says_how_many_are_left_out_and_how_many_it_cannot_know(stores: dict[str, str]) -> None:
    data = MotionLanguageData(stores["mine"], "joints", exclude_overlap_with=[stores["other"]])
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(reads="pairs"))  # type: ignore[assignment]
    line = data.describe()
    assert line.startswith("2 train and 1 val samples")
    assert "3 of 5 training clips left out" in line
    assert "warning: the recordings of 1 are unknown, so no overlap can be seen for them" in line
    assert "left out" not in attached(stores["mine"]).describe()
    assert len(data.example().captions or []) == 2  # nothing of a left-out clip is seen at the start either


def attached(store: str) -> MotionLanguageData:
    data = MotionLanguageData(store, "joints")
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(reads="pairs"))  # type: ignore[assignment]
    return data


def test_a_store_in_which_no_overlap_can_be_seen_is_refused(stores: dict[str, str]) -> None:
    for name, reason in {
        "unknown": "no clip in test tells its recording",
        "extra": "it has no split val or test",
    }.items():
        data = MotionLanguageData(stores["mine"], "joints", exclude_overlap_with=[stores[name]])
        with pytest.raises(ValueError, match=rf"--data.exclude_overlap_with .*{name}: {reason}"):
            data.mixture("pairs", "train")


def test_the_fingerprint_tells_what_is_kept_out(stores: dict[str, str]) -> None:
    mine, other = stores["mine"], stores["other"]
    plain, kept = (MotionLanguageData(mine, exclude_overlap_with=out) for out in (None, [other]))
    assert plain.fingerprint == plain.store.fingerprint != kept.fingerprint

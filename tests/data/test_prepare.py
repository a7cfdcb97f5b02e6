from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from raw_folder import joints, write_clip, write_humanml3d

from motionlang_pl.data.store import Store
from motionlang_pl.tools import prepare
from motionlang_pl.tools.check import check

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_humanml3d(tmp_path / "raw")


def contents(store: Path) -> dict[str, str]:
    files = sorted(file for file in store.rglob("*") if file.is_file())
    return {str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_folder_becomes_a_store(raw: Path, tmp_path: Path) -> None:
    prepare.humanml3d(raw, tmp_path / "store", features=["humanml3d", "joints", "ik_rot6d"])
    store = Store.open(tmp_path / "store")
    assert store.kinds == ("joints", "ik_rot6d", "humanml3d") and store.splits == ("train", "val", "test")
    assert list(store.clips.ids) == ["000001", "000002", "000003", "000004", "000005", "M000001"]
    assert store.clips.mirrored.tolist() == [False] * 5 + [True]
    assert store.clips.source[0] == "new_joints/000001.npy"
    np.testing.assert_array_equal(store.read("joints", 1, 0, 80), joints(80, 2).reshape(80, 66))
    humanml3d = store.read("humanml3d", 1, 0, 80)
    np.testing.assert_array_equal(humanml3d[-1], humanml3d[-2])
    assert store.meta["kinds"]["humanml3d"] == {"columns": 263, "repeated_last_rows": 1}
    assert store.annotations.tokens[0] == "a/DET person/NOUN walks/VERB"
    assert not list(tmp_path.glob(".*.partial"))


def test_the_same_input_gives_the_same_bytes_whoever_reads_it(raw: Path, tmp_path: Path) -> None:
    prepare.humanml3d(raw, tmp_path / "one", workers=1)
    shutil.copytree(raw, tmp_path / "elsewhere")
    prepare.humanml3d(tmp_path / "elsewhere", tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert Store.open(tmp_path / "one").fingerprint == Store.open(tmp_path / "two").fingerprint


def test_statistics_do_not_see_the_test_split(raw: Path, tmp_path: Path) -> None:
    prepare.humanml3d(raw, tmp_path / "one", features=["joints"])
    np.save(raw / "new_joints" / "000005.npy", joints(40, 6) + 100)
    prepare.humanml3d(raw, tmp_path / "two", features=["joints"])
    one, two = Store.open(tmp_path / "one"), Store.open(tmp_path / "two")
    np.testing.assert_array_equal(one.statistics("joints"), two.statistics("joints"))
    assert one.fingerprint != two.fingerprint
    train = [clip for clip, name in enumerate(one.clips.ids) if name in ("000001", "000002", "000003", "M000001")]
    frames = np.concatenate([one.read("joints", clip, 0, int(one.clips.rows[clip])) for clip in train])
    np.testing.assert_allclose(one.statistics("joints")[0], frames.mean(0), atol=1e-5)


def test_a_killed_run_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number in range(40):
        write_clip(raw, f"{number:06d}", 200, number, "a person walks.#a/DET person/NOUN walk/VERB#0.0#0.0")
    (raw / "train.txt").write_text("".join(f"{number:06d}\n" for number in range(40)))
    code = f"from pathlib import Path; from motionlang_pl.tools import prepare; prepare.humanml3d(Path({str(raw)!r}), "
    command = [sys.executable, "-c", code + f"Path({str(tmp_path / 'store')!r}))"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    journal = tmp_path / ".store.partial" / "journal.jsonl"
    while process.poll() is None and (not journal.is_file() or journal.read_bytes().count(b"\n") < 6):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = journal.read_bytes().count(b"\n") - 1
    assert 5 <= done < 40
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"going on, {done} of 40 are done" in again.stderr
    prepare.humanml3d(raw, tmp_path / "whole")
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_what_changed_since_a_killed_run_is_read_again(raw: Path, tmp_path: Path) -> None:
    good = (raw / "new_joints" / "000002.npy").read_bytes()
    (raw / "new_joints" / "000002.npy").write_bytes(good[:-100])
    with pytest.raises(
        ValueError, match=r"not built, 1 of the inputs could not be read, first new_joints/000002\.npy: damaged"
    ):
        prepare.humanml3d(raw, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    (raw / "new_joints" / "000002.npy").write_bytes(good)
    prepare.humanml3d(raw, tmp_path / "store")
    prepare.humanml3d(raw, tmp_path / "whole")
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_a_run_that_goes_on_with_other_split_lists_holds_the_new_splits(raw: Path, tmp_path: Path) -> None:
    good = (raw / "new_joints" / "000005.npy").read_bytes()
    (raw / "new_joints" / "000005.npy").write_bytes(good[:-100])
    with pytest.raises(ValueError, match="1 of the inputs could not be read"):
        prepare.humanml3d(raw, tmp_path / "store")
    (raw / "new_joints" / "000005.npy").write_bytes(good)
    (raw / "train.txt").write_text("000001\n000002\n")
    (raw / "val.txt").write_text("000003\nM000001\n000004\n")
    prepare.humanml3d(raw, tmp_path / "store")
    splits = {name: counts["clips"] for name, counts in Store.open(tmp_path / "store").meta["splits"].items()}
    assert splits == {"train": 2, "val": 3, "test": 1}


def test_a_store_that_is_there_is_kept_where_the_inputs_are_the_same(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare.humanml3d(raw, tmp_path / "store")
    before = contents(tmp_path / "store")
    prepare.humanml3d(raw, tmp_path / "store")
    assert "already made from the same inputs" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="made from other inputs or with other options"):
        prepare.humanml3d(raw, tmp_path / "store", features=["joints"])
    (raw / "texts" / "000001.txt").write_text("a person hops.#a/DET#0.0#0.0\n")
    with pytest.raises(FileExistsError, match="choose another --out, or remove it first"):
        prepare.humanml3d(raw, tmp_path / "store")
    with pytest.raises(FileExistsError, match="already there, and not a store"):
        prepare.humanml3d(raw, raw)
    assert contents(tmp_path / "store") == before


def test_columns_are_read_where_the_folder_has_them(raw: Path, tmp_path: Path) -> None:
    (raw / "new_joint_vecs").mkdir()
    for file in (raw / "new_joints").iterdir():
        frames = len(np.load(file))
        np.save(raw / "new_joint_vecs" / file.name, np.full((frames, 263), 7.0, dtype=np.float32))
    prepare.humanml3d(raw, tmp_path / "store", features=["joints", "humanml3d"])
    store = Store.open(tmp_path / "store")
    assert (store.frames("humanml3d") == 7).all() and store.valid_rows(
        "humanml3d"
    ).tolist() == store.clips.rows.tolist()


def test_any_list_of_a_folder_is_a_split(raw: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text("000001\n000002\n")
    (lists / "few.txt").write_text("000002\n\n")
    (lists / "all.txt").write_text("000001\n000002\n000003\n")
    prepare.humanml3d(raw, tmp_path / "store", splits=lists)
    store = Store.open(tmp_path / "store")
    assert store.splits == ("train", "few") and list(store.clips.ids) == ["000001", "000002"]
    assert store.annotations.split.tolist() == ["train", "train", "few", "few", "train", "train"]


def break_nan(raw: Path) -> None:
    array = joints(80, 2)
    array[3, 0, 0] = np.nan
    np.save(raw / "new_joints" / "000002.npy", array)


def break_pickle(raw: Path) -> None:
    np.save(raw / "new_joints" / "000002.npy", np.array([{"a": 1}], dtype=object))


BROKEN = {
    "new_joints/000002.npy: no such file": lambda raw: (raw / "new_joints/000002.npy").unlink(),
    "new_joints/000002.npy: not a NumPy array": lambda raw: (raw / "new_joints/000002.npy").write_bytes(
        b"\x80\x04K\x01."
    ),
    "new_joints/000002.npy: holds pickled objects": break_pickle,
    "new_joints/000002.npy: holds NaN or infinity in 1 of 80 frames, first in frame 3": break_nan,
    r"new_joints/000002.npy: has shape \(80, 21, 3\), not \(T, 22, 3\)": lambda raw: np.save(
        raw / "new_joints/000002.npy", joints(80, 2)[:, 1:]
    ),
    "new_joints/000002.npy: has no frames": lambda raw: np.save(raw / "new_joints/000002.npy", joints(80, 2)[:0]),
    "texts/000002.txt: is not UTF-8": lambda raw: (raw / "texts/000002.txt").write_bytes(
        b"caf\xe9#cafe/NOUN#0.0#0.0\n"
    ),
    "texts/000002.txt: no such file": lambda raw: (raw / "texts/000002.txt").unlink(),
    "texts/000002.txt: holds no sentence": lambda raw: (raw / "texts/000002.txt").write_text("\n"),
    "texts/000002.txt: line 1: has 2 fields": lambda raw: (raw / "texts/000002.txt").write_text("he walks#walk/VERB\n"),
    "texts/000002.txt: line 1: the caption is empty": lambda raw: (raw / "texts/000002.txt").write_text(
        " #x/X#0.0#0.0\n"
    ),
    "texts/000002.txt: line 1: the span from 3 to 3 s": lambda raw: (raw / "texts/000002.txt").write_text(
        "a#a/X#3#3\n"
    ),
    "texts/000002.txt: line 1: the span from 9 to 10 s": lambda raw: (raw / "texts/000002.txt").write_text(
        "a#a/X#9#10\n"
    ),
    "train.txt:2: '000001' stands in line 1 already": lambda raw: (raw / "train.txt").write_text("000001\n000001\n"),
    "train.txt:2: '../secret' is no clip id": lambda raw: (raw / "train.txt").write_text("000001\n../secret\n"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_bad_input_is_named_with_its_reason_and_fails_unless_allowed(
    raw: Path, tmp_path: Path, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    BROKEN[reason](raw)
    with pytest.raises(ValueError, match=f"1 of the inputs could not be read, first {reason}.*--allow-skips"):
        prepare.humanml3d(raw, tmp_path / "store", features=["joints"])
    prepare.humanml3d(raw, tmp_path / "store", features=["joints"], allow_skips=True)
    skipped = Store.open(tmp_path / "store").meta["skipped"]
    assert len(skipped) == 1 and f"skipped {skipped[0]['file']}: {skipped[0]['reason']}" in capsys.readouterr().err


def test_folders_that_are_not_there_are_named(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        prepare.humanml3d(tmp_path / "nowhere", tmp_path / "store")
    with pytest.raises(FileNotFoundError, match="new_joints: no such folder"):
        prepare.humanml3d(tmp_path, tmp_path / "store")
    with pytest.raises(FileNotFoundError, match="texts: no such folder of split lists"):
        prepare.humanml3d(raw, tmp_path / "store", splits=tmp_path / "texts")
    with pytest.raises(ValueError, match="--features smpl_rot6d at 20 fps: smpl_rot6d cannot be computed from joints"):
        prepare.humanml3d(raw, tmp_path / "store", features=["smpl_rot6d"])


def test_a_folder_of_texts_becomes_a_store_of_sentences(raw: Path, tmp_path: Path) -> None:
    shutil.rmtree(raw / "new_joints")
    (raw / "texts" / "M000001.txt").unlink()  # its sentences stand with its twin
    prepare.text(raw, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert store.meta["splits"]["train"] == {"clips": 0, "mirrored": 0, "annotations": 6, "captions": 6}
    assert store.tokenizer is not None and store.meta["skipped"] == []
    (tmp_path / "lines.txt").write_text("a person walks.\n")
    with pytest.raises(ValueError, match="is one file"):
        prepare.text(tmp_path / "lines.txt", tmp_path / "other", splits=raw)


def test_check_tells_a_sound_store_from_a_damaged_one(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (raw / "texts" / "000005.txt").write_text("a person walks.#a/DET#0.0#0.0\nhe sits.#he/PRON#1.0#9.0\n")
    prepare.humanml3d(raw, tmp_path / "store", features=["joints", "humanml3d"])
    check(tmp_path / "store")
    said = capsys.readouterr().out
    for line in (
        "6 clips (1 mirrored), 390 frames at 20 fps, skeleton smpl22, 0.01 h",
        "min 2.00, median 3.00, max 5.00",
        "split train: 4 clips (1 mirrored), 7 annotations, 6 distinct sentences, 1.75 per captioned clip",
        "note: 1 sentences stand in both train and test: a person walks.",
        "note: 1 spans end after their clip and are cut there: 000005 1-9 s",
        "no errors",
    ):
        assert line in said
    frames = np.load(tmp_path / "store" / "frames" / "joints.npy", mmap_mode="r+")
    frames[5, 0] = np.nan
    frames.flush()
    with pytest.raises(SystemExit) as stop:
        check(tmp_path / "store")
    assert stop.value.code == 1
    said = capsys.readouterr().out
    assert "error: frames/joints.npy was changed" in said and "error: joints: 1 rows hold NaN or infinity" in said


@pytest.mark.real
def test_real_motion_becomes_a_store(tmp_path: Path) -> None:
    prepare.humanml3d(REAL / "cmu_hml3d", tmp_path / "store", features=["joints", "humanml3d"])
    store = Store.open(tmp_path / "store")
    assert {name: counts["clips"] for name, counts in store.meta["splits"].items()} == {
        "train": 43,
        "val": 4,
        "test": 10,
    }
    assert store.meta["frames"] == 7709 and len(store.annotations) == 62 and store.meta["skipped"] == []
    np.testing.assert_array_equal(
        store.read("humanml3d", 0, 0, 198), np.load(REAL / "cmu_hml3d" / "new_joint_vecs" / "000218.npy")
    )
    check(tmp_path / "store")


def test_a_folder_without_lists_is_no_folder_of_splits(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for prepared in (prepare.text, prepare.humanml3d):
        with pytest.raises(FileNotFoundError, match=r"empty: no lists NAME\.txt in it; --splits"):
            prepared(raw, tmp_path / "store", splits=tmp_path / "empty")


def test_lists_of_no_ids_are_nothing_to_read(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("../a\n")
    with pytest.raises(ValueError, match=r"nothing to read; first problem train\.txt:1: '\.\./a' is no clip id"):
        prepare.humanml3d(raw, tmp_path / "store", splits=tmp_path / "lists", allow_skips=True)

"""Nothing is lost or half-written: a full disk, unreadable files, and readers that are fed anything at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_folder import joints, write_amass, write_humanml3d

from motionlang_pl.cli import main
from motionlang_pl.data.sources.amass import AMASSItem, Windows, read_motion
from motionlang_pl.data.sources.humanml3d import read_spans
from motionlang_pl.data.sources.raw import BadInput, load_array, read_split_lists
from motionlang_pl.data.store import Store

FUZZ = settings(max_examples=150, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize("limit", [20_000, 60_000, 100_000])  # bytes a file may have; the frames need 103 thousand
def test_a_full_disk_leaves_no_store_and_the_next_run_gives_the_same_bytes(tmp_path: Path, limit: int) -> None:
    raw = write_humanml3d(tmp_path / "raw")
    arguments = ["prepare", "humanml3d", "--raw", str(raw), "--out", str(tmp_path / "store"), "--features", "joints"]
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        f"from motionlang_pl.cli import main; main({arguments})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "store: File too large; nothing was published. Make room" in run.stderr
    assert len(run.stderr.strip().splitlines()[-1]) < 300 and "Traceback" not in run.stderr
    assert not (tmp_path / "store").exists()

    main(arguments)
    main([argument if argument != str(tmp_path / "store") else str(tmp_path / "clean") for argument in arguments])
    assert Store.open(tmp_path / "store").fingerprint == Store.open(tmp_path / "clean").fingerprint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = write_humanml3d(tmp_path / "raw")
    (raw / "new_joints/000002.npy").chmod(0)
    main(["prepare", "humanml3d", "--raw", str(raw), "--out", str(tmp_path / "store"), "--allow-skips"])
    assert "skipped new_joints/000002.npy: cannot be read (Permission denied)" in capsys.readouterr().err


@FUZZ
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_text_file_gives_usable_spans_or_named_problems(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.txt"
    file.write_bytes(content)
    spans, problems = read_spans(file, 5.0)
    assert all(0 <= span.start < span.end and span.start < 5 and span.text.strip() for span in spans)
    assert spans or problems
    assert all(problem.file == file and problem.reason for problem in problems)


FIELD = st.one_of(
    st.sampled_from(["a person walks", "0.0", "nan", "inf", "-1", "1e400", "2", "4.5", "", " ", "\u0000", "\u2028"]),
    st.text(max_size=5),
)


@FUZZ
@given(fields=st.lists(FIELD, min_size=1, max_size=6))
def test_any_fields_of_a_line_give_a_span_within_the_clip_or_a_named_problem(
    tmp_path_factory: pytest.TempPathFactory, fields: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "line.txt"
    file.write_text("#".join(fields), encoding="utf-8", errors="replace", newline="")
    spans, problems = read_spans(file, 5.0)
    assert all(0 <= span.start < min(span.end, 5.0) and np.isfinite(span.start) for span in spans)
    assert spans or problems


@FUZZ
@given(lines=st.lists(st.one_of(st.sampled_from(["000001", "../x", "/etc/passwd", "..", "a\\b"]), st.text(max_size=9))))
def test_no_list_of_ids_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    file = tmp_path_factory.getbasetemp() / "train.txt"
    file.write_bytes("\n".join(lines).encode("utf-8", errors="replace"))
    splits, _ = read_split_lists([file])
    root = Path("/raw/new_joints")
    assert all((root / f"{name}.npy").parent == root and not name.startswith(".") for name in splits)


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """The file cut off anywhere, or with a few bytes changed."""
    cut = st.integers(0, len(content) - 1).map(lambda end: content[:end])
    places = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=8)
    header = st.lists(st.tuples(st.integers(0, min(127, len(content) - 1)), st.integers(0, 255)), min_size=1)

    def changed(changes: list[tuple[int, int]]) -> bytes:
        copy = bytearray(content)
        for place, byte in changes:
            copy[place] = byte
        return bytes(copy)

    return st.one_of(cut, places.map(changed), header.map(changed))


@FUZZ
@given(data=st.data())
def test_a_damaged_npy_gives_finite_numbers_of_the_shape_or_one_reason(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.npy"
    np.save(file, joints(5, 0))
    file.write_bytes(data.draw(damaged(file.read_bytes())))
    try:
        array = load_array(file, (None, 22, 3))
    except BadInput as problem:
        assert problem.file == file and problem.reason
    else:
        assert array.shape[1:] == (22, 3) and array.dtype == np.float32 and np.isfinite(array).all()


@FUZZ
@given(data=st.data())
def test_a_damaged_npz_gives_a_motion_or_one_reason(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = tmp_path_factory.getbasetemp() / "fuzz"
    file = raw / "KIT" / "3" / "walk_poses.npz"
    write_amass(file, 12)
    file.write_bytes(data.draw(damaged(file.read_bytes())))
    try:
        entry = read_motion(AMASSItem("walk", (file,), raw, 30.0, ("joints",), Windows(5.0, 0.5), ("train",), None))
    except BadInput as problem:
        assert problem.file == file and problem.reason
    else:
        assert entry.frames is not None and all(np.isfinite(rows).all() for rows in entry.frames.values())

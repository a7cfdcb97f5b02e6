"""`motionlang check` on raw folders in HumanML3D's and KIT-ML's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from motionlang_pl.cli import main
from motionlang_pl.data.sources.synthetic.clips import perform, plan
from motionlang_pl.motion.humanml3d import KITML, humanml3d, joints_from_humanml3d, kitml
from motionlang_pl.motion.skeleton import MMM21, SMPL22

REAL = Path(__file__).parents[3] / "shared" / "data"
NAMES = ("000000", "000001", "000002", "000003")


def save(folder: Path, name: str, joints: torch.Tensor, rows: torch.Tensor) -> None:
    for kind, array in (("new_joints", joints), ("new_joint_vecs", rows)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        np.save(folder / kind / f"{name}.npy", array.numpy())


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder as released: positions are read back from the columns, and so lack the last frame."""
    for name, clip in zip(NAMES, plan(10, 0), strict=False):
        rows = humanml3d(perform(clip, 20.0, 0).joints)
        save(tmp_path / "raw", name, joints_from_humanml3d(rows), rows)
    return tmp_path / "raw"


def change(raw: Path, name: str, columns: slice, by: float) -> None:
    file = raw / "new_joint_vecs" / f"{name}.npy"
    rows = np.load(file)
    rows[:, columns] += by
    np.save(file, rows)


def failed(raw: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, str]:
    """The table's line of each block that fails, and the last line; the exit status has to be 1."""
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(raw), *options])
    assert stopped.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{raw}: FAIL"
    return {line[:18].strip(): line for line in lines[:-1] if "FAIL" in line}


def test_a_released_folder_passes(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", str(raw)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{raw}: humanml3d, 4 clips; lengths in metres"
    blocks = ("root yaw", "root vel", "root hei", "local po", "6D rotat", "joint ve", "foot con", "joints b")
    assert [line[:8] for line in lines[2:10]] == list(blocks)
    assert all(" pass " in line for line in lines[2:10]) and lines[-1] == f"{raw}: pass"


def test_positions_with_a_frame_more_than_columns_are_taken_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joints = perform(plan(10, 0)[0], 20.0, 0).joints
    save(tmp_path, "000000", joints, humanml3d(joints))
    main(["check", str(tmp_path)])
    assert capsys.readouterr().out.endswith("pass\n")


def test_kitml_in_millimetres_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = [SMPL22.joints.index(name if name in SMPL22.joints else "left_ankle") for name in MMM21.joints]
    joints = perform(plan(10, 0)[0], 12.5, 0).joints[:, body]
    for side in ("left", "right"):
        ankle, heel, foot = (MMM21.joints.index(f"{side}_{name}") for name in ("ankle", "heel", "foot"))
        joints[:, heel] = (joints[:, ankle] + joints[:, foot]) / 2
    rows = kitml(joints)
    save(tmp_path, "00001", joints_from_humanml3d(rows), rows)
    main(["check", str(tmp_path)])
    assert "kitml, 1 clips; lengths in metres" in capsys.readouterr().out
    change(tmp_path, "00001", slice(3, 4), 0.2 / KITML.metres)  # twenty centimetres
    assert "2.0e-01" in failed(tmp_path, capsys)["root height"]


@pytest.mark.parametrize(
    ("block", "columns", "by"),
    [
        ("root height", slice(3, 4), 0.001),
        ("local positions", slice(4, 7), 0.001),
        ("6D rotations", slice(67, 73), 0.1),
        ("joint velocities", slice(193, 196), 0.001),
        ("foot contacts", slice(259, 260), 1.0),
    ],
)
def test_wrong_columns_fail_in_their_block_and_name_the_clip(
    raw: Path, capsys: pytest.CaptureFixture[str], block: str, columns: slice, by: float
) -> None:
    change(raw, "000002", columns, by)
    found = failed(raw, capsys)
    assert f"{by:.1e}" in found[block] and found[block].endswith("000002, 1 clips beyond")


def test_wrong_positions_fail_to_come_back(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = raw / "new_joints" / "000001.npy"
    np.save(file, np.load(file) * np.float32(1.01))
    assert failed(raw, capsys)["joints back"].endswith("000001, 1 clips beyond")


def test_columns_without_the_published_quirk_of_the_hips_fail(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns of a clip by another heading: all is turned by a twentieth of a radian."""
    file = raw / "new_joint_vecs" / "000003.npy"
    rows = torch.from_numpy(np.load(file))
    turn = torch.tensor([[np.cos(0.05), 0, -np.sin(0.05)], [0, 1, 0], [np.sin(0.05), 0, np.cos(0.05)]]).float()
    rows[:, 4:67] = (rows[:, 4:67].view(-1, 21, 3) @ turn).flatten(1)
    np.save(file, rows.numpy())
    assert {"local positions", "6D rotations", "joints back"} <= set(failed(raw, capsys))


def test_clips_that_cannot_be_compared_are_named_and_counted(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (raw / "new_joints" / "000000.npy").unlink()
    file = raw / "new_joint_vecs" / "000001.npy"
    rows = np.load(file)
    rows[5] = np.nan
    np.save(file, rows)
    file = raw / "new_joints" / "000002.npy"
    np.save(file, np.load(file)[:-3])
    with pytest.raises(SystemExit):
        main(["check", str(raw)])
    out = capsys.readouterr().out
    assert "unreadable: new_joints/000000.npy: no such file" in out
    assert "unreadable: new_joint_vecs/000001.npy: holds NaN or infinity in 1 of" in out
    assert "unreadable: new_joint_vecs/000002.npy: has " in out
    assert "1 clips; lengths" in out and "3 clips could not be read" in out


def test_a_damaged_first_clip_is_named_like_any_other(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (raw / "new_joint_vecs" / "000000.npy").write_bytes(b"")
    with pytest.raises(SystemExit):
        main(["check", str(raw)])
    said = capsys.readouterr().out
    assert "humanml3d, 3 clips" in said and "unreadable: new_joint_vecs/000000.npy: not a NumPy array file" in said


def test_a_limit_takes_clips_from_first_to_last_and_workers_change_nothing(
    raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(raw, "000003", slice(3, 4), 0.001)
    assert set(failed(raw, capsys, "--limit", "2")) == set(failed(raw, capsys, "--workers", "2"))
    main(["check", str(raw), "--limit", "1"])
    assert "1 clips" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"new_joint_vecs": None}, (), "new_joint_vecs: no clips ID.npy to verify"),
        ({"new_joint_vecs": 263}, (), "new_joints: no such folder"),
        ({"new_joint_vecs": 66, "new_joints": 66}, (), "has rows of 66 columns, not HumanML3D's 263 or KIT-ML's 251"),
        ({"new_joint_vecs": 263, "new_joints": 66}, ("--limit", "0"), "at least one clip"),
    ],
)
def test_folders_that_cannot_be_verified_are_errors(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, int | None],
    options: tuple[str, ...],
    message: str,
) -> None:
    for folder, width in files.items():
        (tmp_path / folder).mkdir()
        if width:
            np.save(tmp_path / folder / "000000.npy", np.zeros((4, width), dtype=np.float32))
    with pytest.raises(SystemExit, match=message):
        main(["check", str(tmp_path), *options])


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_clips_written_by_an_independent_implementation_pass(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", str(REAL / "cmu_hml3d"), "--limit", "20"])
    assert "humanml3d, 20 clips" in capsys.readouterr().out


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_the_released_sample_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = REAL / "text_only" / "humanml3d"
    arrays = (torch.from_numpy(np.load(sample / f"012314_{name}.npy")) for name in ("joints", "vecs"))
    save(tmp_path, "012314", *arrays)
    main(["check", str(tmp_path)])
    assert capsys.readouterr().out.endswith("pass\n")

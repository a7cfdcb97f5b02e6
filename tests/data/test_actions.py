"""HumanAct12, NTU-13 and UESTC: written in their layouts from synthetic motion, read through the command line."""

from __future__ import annotations

import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlang_pl.cli import main
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.data.origins import origin
from motionlang_pl.data.sources.actions import ActionSet
from motionlang_pl.data.sources.humanact12 import HUMANACT12
from motionlang_pl.data.sources.ntu13 import NTU13
from motionlang_pl.data.sources.synthetic.actionsets import write_humanact12, write_ntu13, write_uestc
from motionlang_pl.data.sources.synthetic.clips import perform, plan
from motionlang_pl.data.sources.uestc import UESTC
from motionlang_pl.data.store import Store
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.rotations import matrix_from_rot6d
from motionlang_pl.motion.skeleton import SMPL22

WRITERS = {"humanact12": write_humanact12, "ntu13": write_ntu13, "uestc": write_uestc}
CLIPS = 16
SINGLES = 13  # the others show two actions, which no set has
EVERY_KIND = ("joints", "humanml3d", "ik_rot6d", "smpl_rot6d", "angles")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    for name, write in WRITERS.items():
        write(folder / name, CLIPS, 0)
    return folder


@pytest.fixture
def raws(written: Path, tmp_path: Path) -> dict[str, Path]:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return {name: tmp_path / name for name in WRITERS}


def prepare(name: str, raw: Path, *more: str) -> Store:
    main(["prepare", name, "--raw", str(raw), "--out", str(raw.parent / f"{name}_store"), *more])
    return Store.open(raw.parent / f"{name}_store")


def refused(capsys: pytest.CaptureFixture[str], name: str, raw: Path, *more: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        prepare(name, raw, *more)
    said = capsys.readouterr().err + str(stopped.value.code if isinstance(stopped.value.code, str) else "")
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("actions", "name", "decoded"),
    [
        (HUMANACT12, "P11G01R02F1812T1847A0402", ("jump", "test")),
        (HUMANACT12, "P10G02R01F1423T1477A0801", ("eat", "val")),
        (HUMANACT12, "P08G01R02F0123T0175A0603", ("lift dumbbell", "train")),
        (NTU13, "S001C002P003R001A024", ("kick something", "test")),
        (NTU13, "S018C001P045R001A102", ("side kick", "train")),
        (UESTC, "a0_d1_p001_c1", ("punching and knee lifting", "train")),
        (UESTC, "a39_d7_p118_c2", ("high knees running", "test")),
    ],
)
def test_a_name_says_class_and_split(actions: ActionSet, name: str, decoded: tuple[str, str]) -> None:
    assert actions.decode(name) == decoded


@pytest.mark.parametrize(("actions", "people", "classes"), [(HUMANACT12, 12, 12), (NTU13, 106, 13), (UESTC, 118, 40)])
def test_every_subject_is_in_one_split(actions: ActionSet, people: int, classes: int) -> None:
    subjects = [subject for members in actions.subjects.values() for subject in members]
    assert sorted(subjects) == list(range(1, people + 1))
    assert len(set(actions.classes.values())) == classes


@pytest.mark.parametrize(("actions", "train"), [(NTU13, 53), (UESTC, 51)])
def test_validation_is_taken_from_official_training_subjects(actions: ActionSet, train: int) -> None:
    assert len(actions.subjects["train"]) + len(actions.subjects["val"]) == train
    assert len(actions.subjects["val"]) == 5


@pytest.mark.parametrize("name", WRITERS)
def test_a_store_has_every_kind_and_each_clip_its_class(raws: dict[str, Path], name: str) -> None:
    store = prepare(name, raws[name], "--features", *EVERY_KIND)
    assert set(store.kinds) == set(EVERY_KIND) and store.splits == ("train", "val", "test")
    assert store.fps == 20 and store.skeleton == "smpl22"
    table = store.annotations
    assert len(table) == len(store.clips.ids) == SINGLES
    actions = {"humanact12": HUMANACT12, "ntu13": NTU13, "uestc": UESTC}[name]
    for row in range(len(table)):
        span = table[row]
        assert (span.text, span.split) == actions.decode(store.clips.ids[int(table.clip[row])])
        assert span.labels == (span.text,) and span.start == 0
        assert span.end == pytest.approx(store.clips.rows[table.clip[row]] / 20)
    assert Counter(table.labels) == Counter(table.text)


@pytest.mark.parametrize("name", WRITERS)
def test_bodies_stand_upright_face_z_and_agree_with_their_rotations(raws: dict[str, Path], name: str) -> None:
    store = prepare(name, raws[name], "--features", "joints", "smpl_rot6d")
    for clip in range(len(store.clips.ids)):
        rows = int(store.clips.rows[clip])
        joints = torch.from_numpy(store.read("joints", clip, 0, rows)).reshape(rows, 22, 3)
        assert joints[..., 1].min().abs() < 1e-5 and 1.0 < joints[0, 15, 1] < 2.0
        across = joints[0, 1] - joints[0, 2] + joints[0, 16] - joints[0, 17]
        assert across[0] > 0.2 and across[2].abs() < 1e-5  # left at +x: it faces +z
        rotations = torch.from_numpy(store.read("smpl_rot6d", clip, 0, rows)).reshape(rows, 22, 6)
        posed = forward_kinematics(matrix_from_rot6d(rotations), joints[:, 0], SMPL22)
        tolerance = 0.2 if name == "humanact12" else 1e-5  # HumanAct12's joints are of the person's own size
        assert (posed - joints).norm(dim=-1).max() < tolerance


def test_joints_of_humanact12_are_the_files_own(raws: dict[str, Path]) -> None:
    store = prepare("humanact12", raws["humanact12"], "--features", "joints")
    takes = {f"F{clip.number:04d}": perform(clip, 20.0, 0).joints for clip in plan(CLIPS, 0)}
    for clip, name in enumerate(store.clips.ids):
        rows = int(store.clips.rows[clip])
        want = takes[name[9:14]].flatten(1)
        torch.testing.assert_close(torch.from_numpy(store.read("joints", clip, 0, rows)), want, atol=1e-4, rtol=0)


def test_the_mirrored_copy_that_comes_with_humanml3d_gives_the_same_store(raws: dict[str, Path]) -> None:
    raw = raws["humanact12"]
    published = prepare("humanact12", raw, "--features", "joints").frames("joints")
    copy = raw.parent / "copy"
    copy.mkdir()
    for file in raw.glob("*.npy"):
        np.save(copy / file.name, np.load(file) * np.float32([1, -1, 1]))  # y up, left and right swapped
    main(["prepare", "humanact12", "--raw", str(copy), "--out", str(copy / "store"), "--features", "joints"])
    np.testing.assert_allclose(Store.open(copy / "store").frames("joints"), published, atol=1e-5)


def test_the_path_of_uestc_is_the_cameras_in_metres(raws: dict[str, Path]) -> None:
    store = prepare("uestc", raws["uestc"], "--features", "joints", "--fps", "30")
    ends = store.clips.first + store.clips.rows - 1
    gone = store.frames("joints")[ends][:, [0, 2]] - store.frames("joints")[store.clips.first][:, [0, 2]]
    want = sorted(
        float((take.root[-1] - take.root[0])[[0, 2]].norm())
        for take in (perform(clip, 30.0, 0) for clip in plan(CLIPS, 0) if len(clip.parts) == 1)
    )
    np.testing.assert_allclose(sorted(np.linalg.norm(gone, axis=1)), want, atol=2e-3)
    assert want[-1] > 1


def test_ntu_stays_in_place_because_its_poses_have_no_path(raws: dict[str, Path]) -> None:
    root = prepare("ntu13", raws["ntu13"], "--features", "joints").frames("joints")[:, [0, 2]]
    np.testing.assert_allclose(root, 0, atol=1e-6)


def test_frame_rates_are_those_asked_for(raws: dict[str, Path]) -> None:
    store = prepare("ntu13", raws["ntu13"], "--features", "joints", "--fps", "15")
    assert set(store.clips.source_fps) == {30.0} and store.fps == 15
    frames = len(np.load(next((raws["ntu13"] / "ntu_vibe").glob(f"{store.clips.ids[0]}.npz")))["pose"])
    assert store.clips.rows[0] == (frames + 1) // 2
    slow = prepare("humanact12", raws["humanact12"], "--features", "joints", "--source_fps", "10")
    frames = len(np.load(raws["humanact12"] / f"{slow.clips.ids[0]}.npy"))
    assert slow.clips.rows[0] == 2 * frames - 1


def test_origins_are_those_of_humanml3ds_index(raws: dict[str, Path]) -> None:
    store = prepare("humanact12", raws["humanact12"], "--features", "joints")
    name = store.clips.ids[0]
    assert store.clips.origin[0] == origin(f"./pose_data/humanact12/humanact12/{name}.npy") == f"humanact12/{name}"


def test_a_store_trains_with_classes_as_captions(raws: dict[str, Path]) -> None:
    store = prepare("uestc", raws["uestc"])
    assert store.kinds == ("humanml3d",) and store.tokenizer is not None
    pairs = MotionLanguageData(str(store.path)).samples("pairs", "train", training=True)
    sample = pairs[(0, 0)]
    assert sample.caption in UESTC.classes.values()
    assert sample.features is not None and sample.features.shape[1] == 263


def test_the_view_around_the_subject_is_left_out(raws: dict[str, Path]) -> None:
    raw = raws["uestc"]
    names = (raw / "info" / "names.txt").read_text()
    (raw / "info" / "names.txt").write_text(f"{names}a0_d8_p001_c2_color.avi\n")
    assert "a0_d8_p001_c2" not in list(prepare("uestc", raw, "--features", "joints").clips.ids)


@pytest.mark.parametrize(
    ("name", "file", "layout"),
    [
        ("humanact12", "humanact12poses.pkl", "poses/NAME.npy"),
        ("uestc", "vibe_cache_refined.pkl", "vibe/NAME.npz"),
    ],
)
def test_a_pickle_is_never_loaded_and_the_line_says_what_is_read_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, file: str, layout: str
) -> None:
    raw = tmp_path / "raw"
    (raw / "info").mkdir(parents=True)
    (raw / "info" / "names.txt").write_text("a0_d0_p001_c1_color.avi\n")
    (raw / file).write_bytes(pickle.dumps({"poses": []}))
    said = refused(capsys, name, raw)
    assert f"{file} is a pickle, and pickles are never loaded" in said and layout in said and "docs/data.md" in said


def test_a_pickle_of_ntu_is_a_counted_line(raws: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    raw = raws["ntu13"]
    first = sorted((raw / "ntu_vibe").glob("*.npz"))[0]
    first.with_suffix(".pkl").write_bytes(pickle.dumps({1: {}}))
    first.unlink()
    said = refused(capsys, "ntu13", raw)
    assert f"{first.stem}.pkl is a pickle, and pickles are never loaded" in said and "1 of the inputs" in said


def test_bad_inputs_are_named_and_counted(raws: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    raw = raws["humanact12"]
    files = sorted(raw.glob("*.npy"))
    good = np.load(files[0])
    (raw / "walking.npy").write_bytes(files[0].read_bytes())
    np.save(raw / "P01G01R01F0001T0009A1301.npy", good)
    np.save(raw / "P13G01R01F0001T0009A0101.npy", good)
    np.save(files[0], good[:, :18])
    np.save(files[1], good[:0])
    np.save(files[2], good[:1])
    np.save(files[3], 1000 * good)
    files[4].write_bytes(pickle.dumps([1, 2]))
    said = refused(capsys, "humanact12", raw, "--features", "joints")
    for part in (
        "walking.npy: 'walking' is no clip of humanact12, whose names are PxxGxxRxxFxxxxTxxxxAxxxx",
        "has action 13, which is none of the 12 of humanact12",
        "has subject 13, who is nobody of humanact12",
        "18, 3), not (T, 24, 3)",
        "has no frames",
        "is too short: 1 frames at 20 fps, a motion needs 2",
        "m above the toes; are these SMPL joints in metres, y down?",
        "not a NumPy array file (a pickle or something else",
        "8 of the inputs could not be read",
    ):
        assert part in said
    store = prepare("humanact12", raw, "--features", "joints", "--allow-skips")
    assert len(store.clips.ids) == SINGLES - 5 and len(store.meta["skipped"]) == 8


def test_bad_arrays_of_vibe_are_named_and_counted(raws: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    raw = raws["uestc"]
    files = sorted((raw / "vibe").glob("*.npz"))
    with np.load(files[0]) as arrays:
        pose, camera = arrays["pose"], arrays["orig_cam"]
    np.savez(files[0], pose=pose)
    np.savez(files[1], pose=pose[:, :66], orig_cam=camera)
    np.savez(files[2], pose=pose, orig_cam=camera[1:])
    np.savez(files[3], pose=pose, orig_cam=-camera)
    np.savez(files[4], pose=np.array([{}], dtype=object), orig_cam=camera, allow_pickle=True)
    files[5].write_bytes(files[5].read_bytes()[:100])
    files[6].unlink()
    files[7].write_bytes(pickle.dumps({"pose": [1.0]}))
    said = refused(capsys, "uestc", raw, "--features", "joints")
    for part in (
        "has no orig_cam; it has pose",
        "66), not (T, 72)",
        "its arrays differ in frames",
        "it must be more than 0",
        "holds pickled objects, which are never loaded",
        "damaged",
        "no such file",
        "not a .npz file (a pickle or something else; pickles are never loaded)",
        "8 of the inputs could not be read",
    ):
        assert part in said


def test_a_list_cannot_lead_out_of_the_folder_or_name_a_clip_twice(
    raws: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    listing = raws["ntu13"] / "ntu_vibe_list.txt"
    lines = listing.read_text()
    listing.write_text(f"{lines}../S001C001P001R001A006.pkl\n{lines.splitlines()[0]}\n")
    said = refused(capsys, "ntu13", raws["ntu13"], "--features", "joints")
    assert "'../S001C001P001R001A006.pkl' is no clip of ntu13" in said and "is listed twice" in said
    assert "2 of the inputs" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--features", "kitml"), "no feature kind 'kitml'"),
        (("--fps", "30"), "humanml3d is defined at 20 fps"),
        (("--fps", "0"), "must be more than 0"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    raws: dict[str, Path], capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert message in refused(capsys, "uestc", raws["uestc"], *more)


def test_nothing_to_read_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw").mkdir()
    assert "no clip of humanact12 in it" in refused(capsys, "humanact12", tmp_path / "raw")
    assert "no such file; --raw is the folder that holds ntu_vibe_list.txt" in refused(
        capsys, "ntu13", tmp_path / "raw"
    )
    assert "no such file; --raw is the folder that holds info/names.txt" in refused(capsys, "uestc", tmp_path / "raw")

"""AMASS through the real command, on files in its layouts; body models are files that the real `smplx` loads."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import smplx
import torch
from raw_folder import write_amass

from motionlang_pl.cli import main
from motionlang_pl.data.sources.amass import Windows
from motionlang_pl.data.sources.amass_folder import split_of, subject_of
from motionlang_pl.data.sources.synthetic.clips import plan, recording
from motionlang_pl.data.store import Store
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.rotations import matrix_from_axis_angle
from motionlang_pl.motion.skeleton import SMPL22

Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
SIZES = {"smplh": (6890, 52, 300), "smplx": (10475, 55, 400)}  # vertices, joints, shape components


def prepare(raw: Path, out: Path, *more: str) -> Store:
    main(["prepare", "amass", "--raw", str(raw), "--out", str(out), *more])
    return Store.open(out)


def refused(raw: Path, out: Path, *more: str) -> str:
    with pytest.raises(SystemExit) as stop:
        prepare(raw, out, *more)
    assert not out.exists()
    return str(stop.value.code)


def splits_of(store: Store) -> dict[str, str]:
    table = store.annotations
    return {store.clips.ids[clip]: split for clip, split in zip(table.clip.tolist(), table.split.tolist(), strict=True)}


def write_smplx(file: Path, frames: int, fps: float = 120.0, **changes: object) -> None:
    """As AMASS's SMPL-X release writes it: 165 columns, another name of the rate, an object that nobody may load."""
    extra = {
        "surface_model_type": "smplx",
        "markers_latent_vids": np.array({"a": 1}, dtype=object),
        "betas": np.ones(16),
    }
    poses = np.zeros((frames, 165))
    poses[:, 2] = np.arange(frames) / fps * np.pi / 2
    write_amass(
        file,
        frames,
        fps,
        **{"mocap_framerate": None, "mocap_frame_rate": np.array(fps), "poses": poses, **extra, **changes},
    )


def write_body_model(
    folder: Path, model: str, gender: str, size: tuple[int, int, int] = (520, 52, 16), **changes: object
) -> Path:
    """A body model as `smplx` loads it: joint j is vertex 10 j, shape moves every vertex its own way."""
    vertices, joints, components = size
    rng = np.random.default_rng(len(gender))
    template = rng.normal(size=(vertices, 3)).astype(np.float32)
    at = torch.tensor([[[0.0, -0.24, 0.03]]])  # a pelvis at rest is not at the origin
    template[0 : 10 * 22 : 10] = forward_kinematics(torch.eye(3).expand(1, 22, 3, 3), at[:, 0], SMPL22)[0]
    shapes = np.zeros((vertices, 3, components), dtype=np.float32)
    shapes[..., :16] = rng.normal(size=(vertices, 3, 16)) * 0.01
    regressor = np.zeros((joints, vertices), dtype=np.float32)
    regressor[np.arange(joints), 10 * np.arange(joints)] = 1
    parents = np.array([*SMPL22.parents, *range(21, joints - 1)])
    arrays = {
        "v_template": template,
        "shapedirs": shapes,
        "J_regressor": regressor,
        "kintree_table": np.stack([parents, np.arange(joints)]),
        "posedirs": np.zeros((vertices, 3, 9 * (joints - 1)), dtype=np.float32),
        "weights": np.full((vertices, joints), 1 / joints, dtype=np.float32),
        "f": np.zeros((1, 3), dtype=np.int64),
        **{f"hands_components{side}": np.eye(45, dtype=np.float32) for side in "lr"},
        **{f"hands_mean{side}": np.zeros(45, dtype=np.float32) for side in "lr"},
        "lmk_faces_idx": np.zeros(1, dtype=np.int64),
        "lmk_bary_coords": np.ones((1, 3), dtype=np.float32),
        "part2num": np.array({"pelvis": 0}, dtype=object),  # real SMPL-X models hold such things
        **changes,
    }
    file = folder / model / f"{model.upper()}_{gender.upper()}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **arrays)
    return file


def test_motion_is_turned_upright_and_resampled(tmp_path: Path) -> None:
    """A quarter turn a second about AMASS's vertical, walking along its x, 120 fps: so about our y, at 30."""
    write_amass(tmp_path / "raw" / "CMU" / "01" / "walk_poses.npz", frames=241)
    write_smplx(tmp_path / "raw" / "CMU" / "01" / "again_stageii.npz", frames=241)
    store = prepare(tmp_path / "raw", tmp_path / "store")
    assert (store.fps, store.skeleton, store.kinds) == (30.0, "smpl22", ("joints", "smpl_rot6d"))
    assert list(store.clips.ids) == ["CMU/01/again_stageii", "CMU/01/walk_poses"]
    assert list(store.clips.origin) == ["CMU/01/again", "CMU/01/walk"]
    assert store.clips.rows.tolist() == [61, 61] and store.clips.source_fps.tolist() == [120, 120]
    for clip in (0, 1):
        np.testing.assert_allclose(store.read("joints", clip, 30, 31)[0, :3], [1.0, 0.9, 0.0], atol=1e-5)
        first, second = store.read("smpl_rot6d", clip, 0, 61)[[0, 30], :6].reshape(2, 2, 3)
        # SMPL's y axis lay along AMASS's y, which is our -z; the x axis turns from x to AMASS's y.
        np.testing.assert_allclose(first, [[1, 0, 0], [0, 0, -1]], atol=1e-5)
        np.testing.assert_allclose(second, [[0, 0, -1], [-1, 0, 0]], atol=1e-5)
    assert {span.text for span in (store.annotations[0], store.annotations[1])} == {""}


def test_files_without_poses_have_root_and_body_apart(tmp_path: Path) -> None:
    write_smplx(tmp_path / "raw" / "CMU" / "01" / "whole_stageii.npz", 200)
    with np.load(tmp_path / "raw" / "CMU" / "01" / "whole_stageii.npz") as whole:
        apart = {"poses": None, "root_orient": whole["poses"][:, :3], "pose_body": whole["poses"][:, 3:66]}
    write_smplx(tmp_path / "raw" / "CMU" / "01" / "apart_stageii.npz", 200, **apart)
    store = prepare(tmp_path / "raw", tmp_path / "store")
    np.testing.assert_array_equal(store.read("smpl_rot6d", 0, 0, 50), store.read("smpl_rot6d", 1, 0, 50))


def test_rotations_stay_rotations_at_a_fractional_frame_rate(tmp_path: Path) -> None:
    """5.83 s at 119.88 fps, a metre a second: 73 frames at 12.5, the second window ends with the clip."""
    write_amass(tmp_path / "raw" / "CMU" / "01" / "a_poses.npz", 700, fps=119.88)
    store = prepare(tmp_path / "raw", tmp_path / "store", "--fps", "12.5")
    assert store.fps == 12.5 and store.clips.rows.tolist() == [73]
    np.testing.assert_allclose(store.frames("joints")[:, 0], np.arange(73) / 12.5, atol=1e-5)
    x, y = store.frames("smpl_rot6d").reshape(-1, 2, 3).swapaxes(0, 1)
    np.testing.assert_allclose([(x * x).sum(1), (y * y).sum(1)], 1, atol=1e-5)
    np.testing.assert_allclose((x * y).sum(1), 0, atol=1e-5)
    assert list(zip(store.annotations.start * 12.5, store.annotations.end * 12.5, strict=True)) == [
        (0, 62),
        (6, 68),
        (11, 73),
    ]


def test_windows_are_half_a_second_apart_at_any_rate_and_the_last_ends_with_the_clip() -> None:
    windows = Windows(5.0, 0.5)
    assert windows.rows(200, 30) == [(0, 150), (15, 165), (30, 180), (45, 195), (50, 200)]
    assert windows.rows(180, 30) == [(0, 150), (15, 165), (30, 180)]
    assert windows.rows(90, 30) == [(0, 90)] and windows.rows(150, 30) == [(0, 150)]
    assert windows.rows(120, 20) == [(0, 100), (10, 110), (20, 120)]
    assert windows.rows(80, 12.5) == [(0, 62), (6, 68), (12, 74), (18, 80)]
    assert Windows(2.0, 2.0).rows(100, 20) == [(0, 40), (40, 80), (60, 100)]


def test_windows_are_annotations_and_no_copies(tmp_path: Path) -> None:
    write_amass(tmp_path / "raw" / "CMU" / "01" / "a_poses.npz", 1200)
    store = prepare(tmp_path / "raw", tmp_path / "store", "--window", "4", "--stride", "2.5")
    assert store.clips.rows.tolist() == [300] and store.meta["frames"] == 300
    assert list(zip(store.annotations.start, store.annotations.end, strict=True)) == [
        (0, 4),
        (2.5, 6.5),
        (5, 9),
        (6, 10),
    ]
    assert "a frame later or more" in refused(tmp_path / "raw", tmp_path / "none", "--stride", "0.01")


def test_old_and_present_names_are_one_data_set_and_what_is_no_motion_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for dataset, names in (("MPI_HDM05", "HDM05"), ("HDM05", "MPI_HDM05"), ("MPIHDM05", "MPI_HDM05")):
        raw = tmp_path / dataset
        write_amass(raw / dataset / "bk" / "a_poses.npz", 200)
        write_amass(raw / "CMU" / "01" / "a_poses.npz", 200)
        for name in ("shape.npz", "female_stagei.npz"):
            np.savez(raw / dataset / "bk" / name, betas=np.zeros(16))
        store = prepare(raw, tmp_path / f"{dataset}.store", "--datasets", names)
        assert list(store.clips.ids) == [f"{dataset}/bk/a_poses"] and list(store.clips.origin) == ["HDM05/bk/a"]
        assert store.meta["options"]["datasets"] == ["HDM05"] and store.annotations.split[0] == split_of("HDM05", "bk")
        assert store.meta["options"]["left out"] == {"no motions": 2, "in no list": 0}
        assert "2 files hold no motion" in capsys.readouterr().err


def test_every_missing_data_set_is_named_before_any_work(tmp_path: Path) -> None:
    for folder in ("CMU", "MPI_HDM05", "MyOwn"):
        write_amass(tmp_path / "raw" / folder / "s1" / "a_poses.npz", 200)
    said = refused(tmp_path / "raw", tmp_path / "store", "--datasets", "CMU", "BioMotionLab_NTroje", "KIT", "HDM05")
    assert "2 of 4 are not in" in said and "There are CMU, MPI_HDM05, MyOwn" in said
    assert "BioMotionLab_NTroje (or BMLrub, BML); KIT (or no other name)" in said
    assert not list(tmp_path.glob(".*.partial"))
    assert prepare(tmp_path / "raw", tmp_path / "own", "--datasets", "MyOwn").meta["clips"] == 1


def test_a_recording_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write_amass(tmp_path / "raw" / "MPI_mosh" / "00008" / "a b_poses.npz", 200)
    write_smplx(tmp_path / "raw" / "MoSh" / "00008" / "a_b_stageii.npz", 200)
    said = refused(tmp_path / "raw", tmp_path / "store")
    assert "1 recordings are there more than once" in said
    assert "MPI_mosh/00008/a b_poses.npz and MoSh/00008/a_b_stageii.npz" in said


def test_a_person_is_one_subject_whatever_the_folder_adds(tmp_path: Path) -> None:
    assert subject_of("Female1Walking_c3d") == subject_of("Female1General_c3d") == "Female1"
    assert subject_of("20160930_50032") == "50032" and subject_of("rub001") == "rub001"
    places = [split_of("KIT", str(subject)) for subject in range(1000)]
    assert 770 < places.count("train") < 830 and 70 < places.count("val") < 130


def test_lists_decide_about_splits_and_the_most_exact_line_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("BioMotionLab_NTroje/rub001/a", "BioMotionLab_NTroje/rub001/b", "CMU/01/a", "CMU/02/a", "KIT/3/a"):
        write_amass(tmp_path / "raw" / f"{place}_poses.npz", 200)
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text("BMLrub/rub001\nCMU\nSFU/0005\n")
    (lists / "test.txt").write_text("BioMotionLab_NTroje/rub001/b_poses.npz\nCMU/02\n")
    store = prepare(tmp_path / "raw", tmp_path / "store", "--splits", str(lists))
    split = {
        store.clips.ids[clip]: store.annotations.splits[number]
        for clip, number in zip(store.annotations.clip.tolist(), store.annotations.split_number.tolist(), strict=True)
    }
    assert split == {
        "BioMotionLab_NTroje/rub001/a_poses": "train",
        "BioMotionLab_NTroje/rub001/b_poses": "test",
        "CMU/01/a_poses": "train",
        "CMU/02/a_poses": "test",
    }
    said = capsys.readouterr().err
    assert "1 motions are in no list of --splits and are left out: KIT/3/a_poses" in said
    assert "1 lines of --splits name nothing in it: SFU/0005" in said
    assert store.meta["options"]["left out"]["in no list"] == 1
    (lists / "test.txt").write_text("CMU/02\n")
    with pytest.raises(SystemExit, match="made from other inputs or with other options"):
        prepare(tmp_path / "raw", tmp_path / "store", "--splits", str(lists))


def test_kinds_that_joints_determine_are_there_too(tmp_path: Path) -> None:
    write_amass(tmp_path / "raw" / "CMU" / "01" / "a_poses.npz", 240)
    store = prepare(
        tmp_path / "raw", tmp_path / "store", "--fps", "20", "--features", "humanml3d", "smpl_rot6d", "ik_rot6d"
    )
    assert store.kinds == ("joints", "smpl_rot6d", "ik_rot6d", "humanml3d")
    assert store.valid_rows("humanml3d").tolist() == [39] and store.valid_rows("joints").tolist() == [40]
    assert "humanml3d is defined at 20 fps" in refused(tmp_path / "raw", tmp_path / "no", "--features", "humanml3d")
    assert "no feature kind 'kitml'" in refused(tmp_path / "raw", tmp_path / "no", "--features", "kitml")


@pytest.mark.parametrize("model", SIZES)
def test_joints_of_body_models_are_those_of_smplx(tmp_path: Path, model: str) -> None:
    rng = np.random.default_rng(0)
    betas = rng.normal(size=16)
    poses = rng.normal(size=(8, 156 if model == "smplh" else 165)) * 0.4
    poses[:, 66:] = 0
    trans = rng.normal(size=(8, 3))
    write = write_amass if model == "smplh" else write_smplx
    write(
        tmp_path / "raw" / "CMU" / "01" / "a.npz",
        8,
        30.0,
        poses=poses,
        trans=trans,
        betas=betas,
        gender=np.array(b"male"),
    )
    file = write_body_model(tmp_path / "models", model, "male", SIZES[model])
    store = prepare(tmp_path / "raw", tmp_path / "store", "--body-models", str(tmp_path / "models"))
    joints = store.frames("joints").reshape(8, 22, 3)

    options = {"ext": "npz", "use_pca": False, "flat_hand_mean": True, "num_betas": 16, "batch_size": 8}
    body = {"smplh": smplx.SMPLH, "smplx": smplx.SMPLX}[model](str(file), **options)
    with torch.no_grad():
        posed = body(
            betas=torch.from_numpy(betas).float().expand(8, -1),
            global_orient=torch.from_numpy(poses[:, :3]).float(),
            body_pose=torch.from_numpy(poses[:, 3:66]).float(),
            transl=torch.from_numpy(trans).float(),
        ).joints[:, :22]
        rest = body(betas=torch.from_numpy(betas).float().expand(8, -1)).joints[0, :22]
    np.testing.assert_allclose(joints, posed.numpy() @ Y_UP.T, atol=1e-4)

    offsets = [tuple((rest[joint] - rest[parent]).tolist()) for joint, parent in enumerate(SMPL22.parents)]
    person = replace(SMPL22, offsets=tuple(offsets))
    local = matrix_from_axis_angle(torch.from_numpy(poses[:, :66]).reshape(8, 22, 3))
    ours = forward_kinematics(local, rest[0].double() + torch.from_numpy(trans), person)
    np.testing.assert_allclose(joints, ours.numpy() @ Y_UP.T, atol=1e-4)
    ((name, described),) = store.meta["options"]["joints"].items()
    assert name == f"body model {'SMPL-H' if model == 'smplh' else 'SMPL-X'} male"
    assert described["shape components"] == 16


def test_the_store_says_where_its_joints_come_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_amass(tmp_path / "raw" / "CMU" / "01" / "a.npz", 200)
    prepare(tmp_path / "raw", tmp_path / "store")
    main(["check", str(tmp_path / "store")])
    assert "'joints': 'neutral skeleton'" in capsys.readouterr().out


def test_every_missing_body_model_is_named_before_any_work(tmp_path: Path) -> None:
    write_amass(tmp_path / "raw" / "CMU" / "01" / "a.npz", 200, gender="female")
    write_amass(tmp_path / "raw" / "CMU" / "02" / "a.npz", 200, gender="male")
    write_smplx(tmp_path / "raw" / "CMU" / "03" / "a.npz", 200)
    models = tmp_path / "models" / "smplh" / "male"
    models.mkdir(parents=True)
    write_body_model(tmp_path, "smplh", "male").rename(models / "model.npz")
    said = refused(tmp_path / "raw", tmp_path / "store", "--body-models", str(tmp_path / "models"))
    assert "2 of the body models" in said
    assert "SMPL-H female: no smplh/SMPLH_FEMALE.npz and no smplh/female/model.npz" in said
    assert (
        "SMPL-X neutral: no smplx/SMPLX_NEUTRAL.npz and no smplx/neutral/model.npz" in said
        and "male:" not in said.split("female:")[0]
    )


def test_no_pickle_in_a_body_model_is_ever_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "exploded",)

    write_amass(tmp_path / "raw" / "CMU" / "01" / "a.npz", 200, gender="male", betas=np.zeros(16))
    bomb = np.array([Bomb()], dtype=object)
    write_body_model(tmp_path / "models", "smplh", "male", J_regressor=bomb, shapedirs=bomb)
    said = refused(tmp_path / "raw", tmp_path / "store", "--body-models", str(tmp_path / "models"))
    assert "SMPLH_MALE.npz: shapedirs, J_regressor are pickled objects, which are never loaded" in said
    write_body_model(tmp_path / "models", "smplh", "male", part2num=bomb)  # what is not needed is not read
    prepare(tmp_path / "raw", tmp_path / "store", "--body-models", str(tmp_path / "models"))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"J_regressor": np.zeros((52, 24))}, "J_regressor has shape (52, 24), not (T, 520)"),
        ({"v_template": np.full((520, 3), "a")}, "v_template holds <U1, not numbers"),
        ({"kintree_table": np.zeros((2, 52))}, "are not of the 22 body joints"),
    ],
)
def test_body_models_that_cannot_be_used_say_why(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    write_amass(tmp_path / "raw" / "CMU" / "01" / "a.npz", 200, betas=np.zeros(16))
    write_body_model(tmp_path / "models", "smplh", "neutral", **changes)
    said = refused(tmp_path / "raw", tmp_path / "store", "--body-models", str(tmp_path / "models"))
    assert "SMPLH_NEUTRAL.npz: " in said and reason in said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trans": None}, "has no trans"),
        ({"poses": None}, "has no poses"),
        ({"mocap_framerate": None}, "has no mocap_framerate"),
        ({"mocap_framerate": np.array(0.0)}, "has a frame rate of 0"),
        ({"mocap_framerate": np.array([30.0, 60.0])}, "damaged"),
        ({"poses": np.array([None])}, "holds pickled objects"),
        ({"poses": np.zeros((5, 24))}, "has poses of shape"),
        ({"trans": np.zeros((3, 3))}, "has shape"),
        ({"trans": np.full((200, 3), np.nan)}, "holds NaN"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    write_amass(tmp_path / "raw" / "CMU" / "01" / "good.npz", 200)
    write_amass(tmp_path / "raw" / "CMU" / "01" / "bad.npz", 200, **changes)
    assert f"CMU/01/bad.npz: {reason}" in refused(tmp_path / "raw", tmp_path / "store")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gender": None}, "has no gender"),
        ({"gender": "unknown"}, "was fitted with 'smplh', 'unknown'"),
        ({"gender": np.array(["male"], dtype=object)}, "holds pickled objects"),
        ({"surface_model_type": "mano"}, "was fitted with 'mano', 'neutral'"),
        ({"betas": None}, "has no betas"),
        ({"betas": np.full(16, np.nan)}, "holds NaN"),
    ],
)
def test_motions_that_do_not_say_their_body_are_named(
    tmp_path: Path, changes: dict[str, object], reason: str, body_models: Path
) -> None:
    write_amass(tmp_path / "raw" / "CMU" / "01" / "good.npz", 200, betas=np.zeros(16))
    write_amass(tmp_path / "raw" / "CMU" / "01" / "bad.npz", 200, **{"betas": np.zeros(16), **changes})
    more = ("--body-models", str(body_models))
    assert f"CMU/01/bad.npz: {reason}" in refused(tmp_path / "raw", tmp_path / "store", *more)
    assert prepare(tmp_path / "raw", tmp_path / "store", *more, "--allow-skips").meta["clips"] == 1


@pytest.fixture(scope="module")
def body_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_body_model(folder, "smplh", "neutral")
    return folder


def test_the_synthetic_folder_is_split_by_its_actors(tmp_path: Path) -> None:
    main(["prepare", "synthetic", "--out", str(tmp_path), "--clips", "40"])
    store, seen = Store.open(tmp_path / "amass"), Store.open(tmp_path / "humanml3d")
    assert splits_of(store) == {recording(clip).removesuffix(".npz"): clip.split for clip in plan(40, 0)}
    assert {name: n["clips"] for name, n in store.meta["splits"].items()} == {"train": 28, "val": 4, "test": 8}
    assert {name: n["clips"] for name, n in seen.meta["splits"].items()} == {"train": 28, "val": 4, "test": 8}
    assert {name.split("/")[0] for name in store.clips.origin} == {"SyntheticA", "SyntheticB", "SyntheticC"}
    assert set(store.clips.source_fps.tolist()) == {120.0, 60.0, 100.0}
    shutil.rmtree(tmp_path / "amass")
    again = prepare(tmp_path / "amass_raw", tmp_path / "amass", "--splits", str(tmp_path / "amass_raw" / "splits"))
    assert again.fingerprint == store.fingerprint

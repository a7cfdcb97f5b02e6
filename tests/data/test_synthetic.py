from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlang_pl.cli import main
from motionlang_pl.data.sources.synthetic.actions import ACTIONS
from motionlang_pl.data.sources.synthetic.clips import (
    ACTORS,
    Clip,
    Part,
    describe,
    perform,
    plan,
    recording,
    write_amass,
    write_humanml3d,
)
from motionlang_pl.data.store import Store
from motionlang_pl.motion.features import humanml3d, joints_from_humanml3d
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.rotations import matrix_from_axis_angle
from motionlang_pl.motion.skeleton import SMPL22

CLIPS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic")
    write_humanml3d(out, CLIPS, seed=3)
    return out


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _perform(action: str, *values: str, **other: int) -> torch.Tensor:
    return perform(Clip(0, "train", other.get("actor", 0), (Part(action, values),)), 20.0, seed=0).joints


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(folder: Path, tmp_path: Path) -> None:
    write_humanml3d(tmp_path / "again", CLIPS, seed=3)
    write_humanml3d(tmp_path / "other", CLIPS, seed=4)
    assert _bytes(tmp_path / "again") == _bytes(folder)
    assert _bytes(tmp_path / "other")["new_joints/000000.npy"] != _bytes(folder)["new_joints/000000.npy"]


def test_the_folder_has_humanml3ds_layout(folder: Path) -> None:
    lists = {split: (folder / f"{split}.txt").read_text().split() for split in ("train", "val", "test", "all")}
    assert [len(lists[split]) for split in ("train", "val", "test", "all")] == [28, 4, 8, 40]
    assert sorted(lists["train"] + lists["val"] + lists["test"]) == lists["all"]
    for name in lists["all"]:
        joints = np.load(folder / "new_joints" / f"{name}.npy", allow_pickle=False)
        assert joints.dtype == np.float32 and joints.shape[1:] == (22, 3) and 40 <= len(joints) <= 200
        assert np.isfinite(joints).all() and abs(joints[..., 1].min()) < 1e-5
        assert np.abs(joints[0, 0, [0, 2]]).max() < 1e-5
        across = joints[0, 2] - joints[0, 1] + joints[0, 17] - joints[0, 16]
        assert abs(across[2]) < 1e-5 and across[0] < 0, "facing +z"


def test_caption_lines_have_tokens_with_a_part_of_speech_and_seconds_inside_the_clip(folder: Path) -> None:
    for path in (folder / "texts").glob("*.txt"):
        seconds = len(np.load(folder / "new_joints" / f"{path.stem}.npy")) / 20
        lines = [line.split("#") for line in path.read_text().splitlines()]
        assert len(lines) in (3, 5)
        for index, (caption, tokens, start, end) in enumerate(lines):
            assert len(caption.split()) == len(tokens.split())
            assert all(token.count("/") == 1 and token.split("/")[1].isupper() for token in tokens.split())
            whole = float(start) == float(end) == 0
            assert whole == (index < 3) and 0 <= float(start) <= float(end) <= seconds
        assert len({caption for caption, *_ in lines[:3]}) == 3


def test_tokens_are_lemmas() -> None:
    clip = Clip(0, "train", 0, (Part("wave", ("left", "fast", "large")),))
    caption, tokens, start, end = describe(clip, perform(clip, 20.0, 0), 0)[0].split("#")
    assert "waves" in caption or "waving" in caption
    assert "wave/VERB" in tokens and "left/ADJ" in tokens
    assert (start, end) == ("0.00", "0.00")


def test_test_and_val_hold_only_new_actors_combinations_and_pairs() -> None:
    clips = plan(600, seed=0)
    parts, pairs, actors = (defaultdict(set) for _ in range(3))
    for clip in clips:
        actors[clip.split].add(clip.actor)
        parts[clip.split].update(clip.parts)
        if len(clip.parts) == 2:
            pairs[clip.split].add(tuple(part.action for part in clip.parts))
    for split, others in (("test", ("train", "val")), ("val", ("train",))):
        for other in others:
            assert not actors[split] & actors[other]
            assert not parts[split] & parts[other]
            assert not pairs[split] & pairs[other]
    assert all(actors[split] <= set(ACTORS[split]) for split in ACTORS)


def test_training_shows_every_action_and_every_value_of_its_attributes() -> None:
    seen = defaultdict(set)
    for clip in plan(600, seed=0):
        if clip.split == "train":
            for part in clip.parts:
                seen[part.action].update(part.traits.items())
    assert len(ACTIONS) >= 16
    for name, action in ACTIONS.items():
        assert seen[name] == {(trait, value) for trait, values in action.traits for value in values}, name


def test_fewer_than_ten_clips_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least 10"):
        plan(9, seed=0)


def test_sides_directions_sizes_repetitions_and_speeds_are_in_the_motion() -> None:
    left, right = _perform("wave", "left", "normal", "normal"), _perform("wave", "right", "normal", "normal")
    assert left[:, 20, 1].max() > left[:, 21, 1].max() + 0.5 and right[:, 21, 1].max() > right[:, 20, 1].max() + 0.5
    assert _perform("walk", "forward", "normal", "no")[-1, 0, 2] > 1
    assert _perform("walk", "backward", "normal", "no")[-1, 0, 2] < -0.7
    assert _perform("sidestep", "left", "normal", "no")[-1, 0, 0] > 1, "left is +x"
    turned = _perform("turn", "left", "half", "normal")[-1]
    assert turned[1, 0] < turned[2, 0], "half a turn brings the left hip to -x"
    low, high = (_perform("jump", "up", size, "1")[:, 0, 1].max() for size in ("small", "large"))
    assert high > low + 0.2
    shallow, deep = (_perform("squat", size, "1", "normal")[:, 0, 1].min() for size in ("small", "large"))
    assert deep < shallow - 0.3
    heights = _perform("squat", "large", "3", "normal")[:, 0, 1]
    below = heights < 0.5 * (heights.min() + heights.max())
    assert (below[1:] & ~below[:-1]).sum() == 3
    assert len(_perform("squat", "large", "3", "slow")) > 2 * len(_perform("squat", "large", "3", "fast"))
    assert len(_perform("bow", "large", "normal", "yes")) == pytest.approx(
        len(_perform("bow", "large", "normal", "no")) + 1.2 * 20, abs=1
    )


def test_actors_differ_in_size() -> None:
    heights = [_perform("bow", "normal", "normal", "no", actor=actor)[0, 15, 1].item() for actor in range(6)]
    assert max(heights) - min(heights) > 0.05


def test_features_of_synthetic_motion_give_its_joints_back() -> None:
    joints = _perform("kick", "left", "large", "2")
    torch.testing.assert_close(joints_from_humanml3d(humanml3d(joints)), joints[:-1], atol=1e-5, rtol=0)


def test_amass_files_hold_the_same_motion_with_z_up_in_the_layouts_of_smplh_and_smplx(tmp_path: Path) -> None:
    write_amass(tmp_path, 10, seed=0)
    files = {recording(clip): clip for clip in plan(10, seed=0)}
    motions = [file for ending in ("poses", "stageii") for file in tmp_path.glob(f"*/*/*_{ending}.npz")]
    assert {file.relative_to(tmp_path).as_posix() for file in motions} == set(files)
    layouts = set()
    for path, clip in files.items():
        with np.load(tmp_path / path, allow_pickle=False) as data:
            frames = len(data["poses"])
            named = "mocap_frame_rate" if "surface_model_type" in data.files else "mocap_framerate"
            layouts.add((path.split("/")[0], path.rsplit("_", 1)[1], data["poses"].shape[1], named, float(data[named])))
            assert data["poses"].dtype == np.float64 and str(data["gender"]) == "neutral"
            assert data["trans"].shape == (frames, 3) and data["betas"].shape == (16,)
            local = matrix_from_axis_angle(torch.from_numpy(data["poses"][:, :66]).reshape(frames, 22, 3))
            joints = forward_kinematics(local, torch.from_numpy(data["trans"]), SMPL22)
            assert (joints[0, 15] - joints[0, 0])[2] > 0.4, "the head is above the pelvis along z"
            height = perform(clip, float(data[named]), seed=0).root[:, 1]
            np.testing.assert_allclose(data["trans"][:, 2], height, atol=1e-6)
    for split in ("train", "val", "test"):
        listed = (tmp_path / "splits" / f"{split}.txt").read_text().split()
        actors = {clip.actor for clip in files.values() if clip.split == split}
        assert {int(place[-2:]) for place in listed} == actors and len(listed) == len(actors)
    assert layouts == {
        ("SyntheticA", "poses.npz", 156, "mocap_framerate", 120.0),
        ("SyntheticB", "stageii.npz", 165, "mocap_frame_rate", 60.0),
        ("Synthetic_C", "poses.npz", 156, "mocap_framerate", 100.0),
    }


@pytest.mark.slow
def test_every_layout_is_read_by_its_reader_without_a_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layouts = ("humanml3d", "amass", "kitml", "babel", "unified", "index", "humanact12", "ntu13", "uestc")
    main(["prepare", "synthetic", "--out", str(tmp_path), "--clips", "40", "--layouts", *layouts])
    stores = {name: Store.open(tmp_path / name) for name in layouts}
    assert all(store.meta["skipped"] == [] for store in stores.values())
    assert {
        name: len(store.clips.ids) for name, store in stores.items() if name in ("humanml3d", "amass", "babel")
    } == {
        "humanml3d": 40,
        "amass": 40,
        "babel": 40,
    }
    assert all(len(stores[name].clips.ids) == 80 for name in ("kitml", "unified", "index"))  # with mirrored twins
    assert all(0 < len(stores[name].clips.ids) <= 40 for name in ("humanact12", "ntu13", "uestc"))  # one action each
    assert [store.fps for store in stores.values()] == [20, 30, 12.5, 30, 20, 20, 20, 20, 20]
    for name in layouts:
        main(["check", str(tmp_path / name)])
        assert f"{tmp_path / name}: no errors" in capsys.readouterr().out

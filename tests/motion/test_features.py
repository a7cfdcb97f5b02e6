import math

import pytest
import torch

from motionlang_pl.data.sources.synthetic.clips import Clip, Part, perform
from motionlang_pl.motion.features import (
    COLUMNS,
    canonical,
    column_map,
    columns,
    compute,
    humanml3d,
    ik_rot6d,
    joints_from,
    joints_from_humanml3d,
)
from motionlang_pl.motion.skeleton import MMM21, SMPL22


@pytest.fixture(scope="module")
def walk() -> torch.Tensor:
    """A person walks forward, then turns left by a quarter: (T, 22, 3)."""
    parts = (Part("walk", ("forward", "normal", "no")), Part("turn", ("left", "quarter", "normal")))
    return perform(Clip(0, "train", 0, parts), 20.0, seed=0).joints


def test_canonical_motion_stands_at_the_origin_faces_z_and_is_a_fixed_point(walk: torch.Tensor) -> None:
    turn = torch.tensor([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    moved = walk @ turn + torch.tensor([3.0, -1.0, 2.0])
    torch.testing.assert_close(canonical(moved), walk, atol=1e-5, rtol=0)
    assert walk[..., 1].min().abs() < 1e-6
    assert walk[0, 0, [0, 2]].abs().max() < 1e-6
    assert walk[0, 1, 0] > 0 > walk[0, 2, 0], "the left hip is at +x"


def test_humanml3d_has_a_row_less_than_frames_and_joints_come_back(walk: torch.Tensor) -> None:
    features = humanml3d(walk)
    assert features.shape == (len(walk) - 1, 263) and features.dtype == torch.float32
    torch.testing.assert_close(joints_from_humanml3d(features), walk[:-1], atol=1e-5, rtol=0)
    batch = torch.stack((features, features))
    torch.testing.assert_close(joints_from_humanml3d(batch)[1], walk[:-1], atol=1e-5, rtol=0)


def test_root_columns_are_half_the_turn_the_way_and_the_height(walk: torch.Tensor) -> None:
    features = humanml3d(walk)
    torch.testing.assert_close(features[:, 3], walk[:-1, 0, 1])
    way = (walk[1:, 0, [0, 2]] - walk[:-1, 0, [0, 2]]).norm(dim=-1)
    torch.testing.assert_close(features[:, 1:3].norm(dim=-1), way, atol=1e-5, rtol=0)
    assert math.isclose(-2 * features[:, 0].sum(), math.pi / 2, abs_tol=0.35), "a quarter turn to the left, smoothed"


def test_contacts_are_one_for_feet_that_stand(walk: torch.Tensor) -> None:
    still = walk[:1].repeat(5, 1, 1)
    assert humanml3d(still)[:, 259:].eq(1).all()
    still[3, 11] += 0.1  # the right foot, in the last contact column, moves before and after frame 3
    assert humanml3d(still)[:, 259:].tolist() == [[1, 1, 1, 1]] * 2 + [[1, 1, 1, 0]] * 2


def test_humanml3d_of_another_frame_rate_or_of_one_frame_is_an_error(walk: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="20 fps and this motion has 30; resample"):
        humanml3d(walk, fps=30)
    with pytest.raises(ValueError, match="two frames"):
        humanml3d(walk[:1])


@pytest.mark.parametrize("joint", [3, 5, 9, 11, 15, 18, 20])
def test_moving_a_joint_changes_just_the_columns_and_rows_of_the_map(walk: torch.Tensor, joint: int) -> None:
    """Hips, shoulders and the root are left out: they turn or move the frame of reference."""
    frame = 20
    moved = walk.clone()
    moved[frame, joint] += torch.tensor([0.11, 0.07, 0.05])
    changed = (humanml3d(moved) - humanml3d(walk)).abs() > 1e-5
    told = column_map("humanml3d", SMPL22)
    of_joint = told.joints[:, joint]
    contacts = torch.arange(263) >= 259  # these change only where a threshold is passed
    assert not (changed[frame] & ~of_joint).any()
    assert not (changed[frame - 1] & ~(of_joint & told.next_frame)).any()
    assert (changed[frame] | contacts)[of_joint].all()
    assert (changed[frame - 1] | contacts)[of_joint & told.next_frame].all()
    elsewhere = torch.ones(len(changed), dtype=torch.bool)
    elsewhere[[frame - 1, frame]] = False
    assert not changed[elsewhere].any()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *((kind, SMPL22) for kind in ("joints", "smpl_rot6d", "ik_rot6d", "humanml3d")),
        *((kind, MMM21) for kind in ("joints", "kitml")),
    ],
)
def test_every_column_tells_about_a_joint_and_every_joint_is_told_of(kind: str, body) -> None:
    told = column_map(kind, body)
    assert told.joints.shape == (columns(kind, body), len(body.joints))
    assert told.joints.any(dim=0).all() and told.joints.any(dim=1).all()
    assert told.next_frame.any() == (kind in ("humanml3d", "kitml"))


def test_only_velocities_and_contacts_tell_about_the_next_frame() -> None:
    assert column_map("humanml3d", SMPL22).next_frame.nonzero().flatten().tolist() == [0, 1, 2, *range(193, 263)]
    assert column_map("kitml", MMM21).next_frame.nonzero().flatten().tolist() == [0, 1, 2, *range(184, 251)]


def test_kinds_that_a_skeleton_cannot_have_are_errors_that_list_its_own(walk: torch.Tensor) -> None:
    assert COLUMNS["humanml3d"] == 263 and columns("joints", MMM21) == 63
    with pytest.raises(ValueError, match="mmm21 has no feature kind 'humanml3d'; choose one of joints, kitml"):
        column_map("humanml3d", MMM21)
    with pytest.raises(ValueError, match="smpl_rot6d cannot be computed from joints"):
        compute("smpl_rot6d", walk, SMPL22, 20)


@pytest.mark.parametrize("kind", ["joints", "ik_rot6d", "humanml3d"])
def test_computed_kinds_have_a_row_per_frame(walk: torch.Tensor, kind: str) -> None:
    rows = compute(kind, walk, SMPL22, 20)
    assert rows.shape == (len(walk), COLUMNS[kind]) and rows.dtype == torch.float32 and rows.isfinite().all()
    assert torch.equal(rows[-1], rows[-2]) == (kind == "humanml3d")


def test_rotations_by_inverse_kinematics_give_the_pose_back_in_the_neutral_body(walk: torch.Tensor) -> None:
    joints = joints_from("ik_rot6d", ik_rot6d(walk), SMPL22)
    for joint, parent in enumerate(SMPL22.parents):
        if joint in (4, 7, 10, 18, 20):  # joints that are a single child: their bone points exactly as it did
            bones = [each[:, joint] - each[:, parent] for each in (joints, walk)]
            directions = [bone / bone.norm(dim=-1, keepdim=True) for bone in bones]
            torch.testing.assert_close(*directions, atol=1e-5, rtol=0)
    assert joints[:, 0].abs().max() == 0


def test_positions_come_back_from_their_own_columns(walk: torch.Tensor) -> None:
    assert torch.equal(joints_from("joints", compute("joints", walk, SMPL22, 20), SMPL22), walk)

"""Columns of motions whose numbers can be told by hand, in HumanML3D's form and in KIT-ML's."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from bodies import standing, wandering
from torch import Tensor

from motionlang_pl.motion.features import column_map, compute, humanml3d, joints_from, joints_from_humanml3d, kitml
from motionlang_pl.motion.humanml3d import HUMANML3D, KITML, Body, canonical, motion_before
from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton


class Form(NamedTuple):
    """One of the two forms. slow, quick: ways per frame, in metres, of a foot that stands and of one that does not."""

    body: Body
    skeleton: Skeleton
    columns: Callable[[Tensor], Tensor]
    left_foot: int
    slow: float
    quick: float

    def blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Yaw, way, height, positions, rotations, velocities, contacts; lengths in metres."""
        count = len(self.skeleton.joints)
        blocks = list(rows.split((1, 2, 1, 3 * (count - 1), 6 * (count - 1), 3 * count, 4), dim=1))
        for place in (1, 2, 3, 5):
            blocks[place] = blocks[place] * self.body.metres
        return tuple(blocks)


FORMS = (
    Form(HUMANML3D, SMPL22, humanml3d, 10, 0.04, 0.05),  # the square of the way is compared with 0.002 m^2
    Form(KITML, MMM21, kitml, 20, 0.0002, 0.00025),  # with 0.05 mm^2
)


@pytest.fixture(params=FORMS, ids=lambda form: form.body.name)
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


def test_a_body_that_stands_still_has_no_velocities_and_all_contacts(form: Form) -> None:
    joints = standing(form.skeleton, 12)
    rows = form.columns(joints)
    assert rows.shape == (11, 12 * len(form.skeleton.joints) - 1) and rows.dtype == torch.float32
    yaw, way, height, positions, _, velocities, contacts = form.blocks(rows)
    assert yaw.abs().max() == 0 and way.abs().max() == 0 and velocities.abs().max() == 0
    assert contacts.eq(1).all()
    torch.testing.assert_close(height, joints[:11, 0, 1:2], atol=1e-6, rtol=0)
    torch.testing.assert_close(positions, joints[:11, 1:].flatten(1), atol=1e-6, rtol=0)


def test_walking_ahead_at_a_metre_a_second_goes_by_the_frame_rate_per_frame(form: Form) -> None:
    joints = standing(form.skeleton, 12)
    joints[..., 2] += torch.arange(12)[:, None] / form.body.fps
    yaw, way, _, positions, _, velocities, contacts = form.blocks(form.columns(joints))
    step = torch.tensor([0.0, 1 / form.body.fps])  # 5 cm at 20 fps, 8 cm at 12.5 fps
    torch.testing.assert_close(way, step.expand(11, 2), atol=1e-6, rtol=0)
    ahead = velocities.view(11, -1, 3)[..., 2]
    torch.testing.assert_close(ahead, step[1].expand_as(ahead), atol=1e-6, rtol=0)
    torch.testing.assert_close(positions, positions[:1].expand(11, -1), atol=1e-6, rtol=0)
    assert yaw.abs().max() < 1e-6 and contacts.eq(0).all()


def test_a_quarter_turn_to_the_left_adds_up_to_minus_an_eighth_turn_of_yaw(form: Form) -> None:
    """Half the angle by definition; the body stands long enough before and after for smoothing to change no sum."""
    turn = (torch.arange(240) - 100).clamp(0, 40) / 40 * math.pi / 2
    x, y, z = standing(form.skeleton, 240).unbind(dim=-1)
    sine, cosine = turn.sin()[:, None], turn.cos()[:, None]
    yaw, way, _, positions, _, _, _ = form.blocks(
        form.columns(torch.stack((x * cosine + z * sine, y, z * cosine - x * sine), dim=-1))
    )
    assert math.isclose(yaw.sum(), -math.pi / 4, abs_tol=1e-4)
    assert yaw.max() < 1e-6 and yaw[:15].abs().max() < 1e-6, "turns one way, and not yet"
    assert yaw.argmin() in (119, 120), "fastest in the middle"
    assert way.abs().max() < 1e-6
    torch.testing.assert_close(positions[-1], positions[0], atol=1e-5, rtol=0)


def test_contacts_are_of_left_and_right_feet_that_move_by_less_than_the_threshold(form: Form) -> None:
    joints = standing(form.skeleton, 4)
    joints[2, form.left_foot, 0] += form.slow
    joints[3, form.left_foot, 0] += form.slow + form.quick
    contacts = form.blocks(form.columns(joints))[-1]
    assert contacts.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 1, 1]]
    right = joints[:, list(form.skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    assert form.blocks(form.columns(right))[-1].tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]]


def test_bones_that_point_along_their_rest_direction_have_no_rotation(form: Form) -> None:
    """Trunk and head upwards, shanks downwards."""
    joints = standing(form.skeleton, 3)
    straight = [form.skeleton.joints.index(name) for name in ("spine1", "spine2", "left_ankle", "right_ankle")]
    for joint in range(1, len(form.skeleton.joints)):
        parent = form.skeleton.parents[joint]
        if joint in straight or form.skeleton.parents[joint] in straight or "knee" in form.skeleton.joints[joint]:
            joints[:, joint] = joints[:, parent] + 0.1 * torch.tensor(form.body.axes[joint])
    rotations = form.blocks(form.columns(joints))[4].view(2, -1, 6)[:, [joint - 1 for joint in straight]]
    torch.testing.assert_close(rotations, torch.tensor([1.0, 0, 0, 0, 1, 0]).expand_as(rotations), atol=1e-5, rtol=0)


def test_joints_come_back_in_metres(form: Form) -> None:
    joints = canonical(wandering(form.skeleton, 120), form.body)
    rows = compute(form.body.name, joints, form.skeleton, form.body.fps)
    assert rows.shape == (120, 12 * len(form.skeleton.joints) - 1) and torch.equal(rows[-1], rows[-2])
    torch.testing.assert_close(joints_from(form.body.name, rows, form.skeleton)[:-1], joints[:-1], atol=1e-5, rtol=0)


def test_a_batch_gives_the_joints_of_each_of_its_motions(form: Form) -> None:
    rows = torch.stack([form.columns(wandering(form.skeleton, 50, seed=seed)) for seed in range(3)])
    together = joints_from_humanml3d(rows)
    torch.testing.assert_close(together, torch.stack([joints_from_humanml3d(each) for each in rows]), atol=0, rtol=0)


def test_the_number_of_threads_does_not_change_a_bit(form: Form) -> None:
    joints = wandering(form.skeleton, 400)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = form.columns(joints)
        torch.set_num_threads(2)
        assert torch.equal(form.columns(joints), one)
    finally:
        torch.set_num_threads(threads)


def test_where_it_starts_and_where_it_faces_do_not_change_the_columns(form: Form) -> None:
    joints = wandering(form.skeleton, 60).double()
    quarter = joints.new_tensor([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    moved = form.columns(joints @ quarter + joints.new_tensor([3.0, -1.0, 2.0]))
    error = (moved - form.columns(joints)).abs()
    assert max(float(block.max()) for block in form.blocks(error)) < 1e-5


@pytest.mark.parametrize("turn", [0.03, -0.03])
def test_the_motion_before_has_the_lost_frame_and_no_kink(form: Form, turn: float) -> None:
    joints = canonical(wandering(form.skeleton, 300, turn).double(), form.body)  # passes -z once or twice
    rows = form.columns(joints)
    kinked = (joints_from_humanml3d(rows.double()) * form.body.metres - joints[:-1]).abs().amax(dim=(1, 2))
    assert kinked[0] < 1e-5 < 0.01 < kinked[-1], "what is read back is turned after -z"
    torch.testing.assert_close(motion_before(rows) * form.body.metres, joints, atol=1e-4, rtol=0)


@pytest.mark.parametrize("frames", [2, 3])
def test_the_motion_before_of_the_shortest_clips(form: Form, frames: int) -> None:
    joints = canonical(wandering(form.skeleton, frames).double(), form.body)
    torch.testing.assert_close(motion_before(form.columns(joints)) * form.body.metres, joints, atol=1e-5, rtol=0)


def test_kitml_is_of_12_5_frames_a_second() -> None:
    with pytest.raises(ValueError, match=r"kitml is defined at 12\.5 fps and this motion has 20; resample"):
        kitml(standing(MMM21, 4), fps=20)


@pytest.mark.parametrize("name", ["spine1", "spine2", "head", "left_elbow", "right_wrist", "left_knee", "right_foot"])
def test_moving_a_joint_changes_just_the_columns_and_rows_of_the_map(form: Form, name: str) -> None:
    joints, joint, frame = canonical(wandering(form.skeleton, 40), form.body), form.skeleton.joints.index(name), 20
    joints[..., 1] += 1 - joints[:1, :1, 1]
    joints[0, form.left_foot, 1] = -1.0  # the floor, whatever moves
    moved = joints.clone()
    moved[frame, joint] += torch.tensor([0.11, 0.07, 0.05])
    changed = (form.columns(moved) - form.columns(joints)).abs() > 1e-4
    told = column_map(form.body.name, form.skeleton)
    assert not (changed[frame] & ~told.joints[:, joint]).any()
    assert not (changed[frame - 1] & ~(told.joints[:, joint] & told.next_frame)).any()
    changed[[frame - 1, frame]] = False
    assert not changed.any()

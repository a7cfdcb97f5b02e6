import math

import pytest
import torch

from motionlang_pl.motion.kinematics import forward_kinematics, inverse_kinematics
from motionlang_pl.motion.rotations import matrix_from_axis_angle
from motionlang_pl.motion.skeleton import MMM21, SMPL22


def test_a_body_at_rest_is_its_offsets_summed_up_from_the_root() -> None:
    still = torch.eye(3).expand(22, 3, 3)
    joints = forward_kinematics(still, torch.tensor([1.0, 2.0, 3.0]), SMPL22)
    torch.testing.assert_close(joints[0], torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(joints[10] - joints[7], torch.tensor(SMPL22.offsets[10]))
    assert joints[20, 0] > joints[0, 0] > joints[21, 0], "the left wrist is at +x"


def test_a_bent_knee_moves_only_what_hangs_from_it() -> None:
    local = torch.eye(3).repeat(22, 1, 1)
    at_rest = forward_kinematics(local, torch.zeros(3), SMPL22)
    local[4] = matrix_from_axis_angle(torch.tensor([math.pi / 2, 0.0, 0.0]))
    moved = (forward_kinematics(local, torch.zeros(3), SMPL22) - at_rest).norm(dim=-1) > 1e-6
    assert moved.nonzero().flatten().tolist() == [7, 10], "left ankle and foot"


@pytest.mark.parametrize("body", [SMPL22, MMM21])
def test_joints_come_back_from_inverse_and_forward_kinematics(body) -> None:
    angles = 0.7 * torch.randn(2, 30, len(body.joints), 3, generator=torch.Generator().manual_seed(0))
    root = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1))
    joints = forward_kinematics(matrix_from_axis_angle(angles.double()), root.double(), body)
    local = inverse_kinematics(joints, body)
    torch.testing.assert_close(forward_kinematics(local, root.double(), body), joints, atol=1e-9, rtol=0)
    torch.testing.assert_close(local[..., 0, :, :], matrix_from_axis_angle(angles[:, :, 0].double()))


def test_inverse_kinematics_of_the_body_at_rest_turns_nothing() -> None:
    still = torch.eye(3).expand(22, 3, 3)
    joints = forward_kinematics(still, torch.zeros(3), SMPL22)
    torch.testing.assert_close(inverse_kinematics(joints, SMPL22), still, atol=1e-5, rtol=0)

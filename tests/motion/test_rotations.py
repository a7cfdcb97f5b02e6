import math

import torch

from motionlang_pl.motion.rotations import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    matrix_from_rot6d,
    orthonormalise,
    rot6d_from_matrix,
    rotation_between,
)


def _rotations(*shape: int) -> torch.Tensor:
    return matrix_from_axis_angle(torch.randn(*shape, 3, generator=torch.Generator().manual_seed(0)))


def test_six_numbers_are_the_first_column_then_the_second() -> None:
    quarter = matrix_from_axis_angle(torch.tensor([0.0, 0.0, math.pi / 2]))  # x to y, y to -x
    expected = torch.tensor([0.0, 1.0, 0.0, -1.0, 0.0, 0.0])
    torch.testing.assert_close(rot6d_from_matrix(quarter), expected, atol=1e-6, rtol=0)


def test_rotations_come_back_from_six_numbers_and_from_axis_angle() -> None:
    matrices = _rotations(5, 22)
    torch.testing.assert_close(matrix_from_rot6d(rot6d_from_matrix(matrices)), matrices, atol=1e-6, rtol=0)
    torch.testing.assert_close(matrix_from_axis_angle(axis_angle_from_matrix(matrices)), matrices, atol=1e-5, rtol=0)


def test_orthonormalise_keeps_the_first_direction_and_gives_a_rotation() -> None:
    straight = orthonormalise(torch.tensor([2.0, 0.0, 0.0, 1.0, 3.0, 0.0]))
    torch.testing.assert_close(straight, torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
    matrix = matrix_from_rot6d(torch.randn(7, 6, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3).expand(7, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(matrix.det(), torch.ones(7))


def test_rotation_between_turns_one_direction_into_the_other_even_when_opposite() -> None:
    generator = torch.Generator().manual_seed(2)
    start, end = torch.randn(9, 3, generator=generator), torch.randn(9, 3, generator=generator)
    end[0] = -2 * start[0]
    end[1] = start[1]
    turned = (rotation_between(start, end) @ start[..., None])[..., 0]
    expected = end / end.norm(dim=-1, keepdim=True) * start.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(rotation_between(start[0], torch.zeros(3)), torch.eye(3))

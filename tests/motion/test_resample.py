import math

import pytest
import torch

from motionlang_pl.motion.resample import resample_positions, resample_rotations
from motionlang_pl.motion.rotations import matrix_from_axis_angle, matrix_from_rot6d, rot6d_from_matrix


def test_a_whole_ratio_picks_every_sixth_frame_exactly() -> None:
    x = torch.randn(100, 22, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resample_positions(x, 120, 20), x[::6])
    assert torch.equal(resample_positions(x, 20, 20), x)


@pytest.mark.parametrize(("fps_in", "fps_out", "frames"), [(30, 20, 7), (12.5, 20, 15), (20, 30, 14), (59.94, 20, 4)])
def test_a_straight_line_stays_the_line_at_any_rate(fps_in: float, fps_out: float, frames: int) -> None:
    line = torch.arange(10.0)[:, None] / fps_in
    resampled = resample_positions(line, fps_in, fps_out)
    torch.testing.assert_close(resampled[:, 0], torch.arange(frames) / fps_out)


def test_one_frame_stays_one_frame() -> None:
    assert resample_positions(torch.ones(1, 4), 30, 20).tolist() == [[1.0, 1.0, 1.0, 1.0]]


def test_resampled_rotations_are_rotations_halfway_between() -> None:
    ends = matrix_from_axis_angle(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, math.pi / 2]]))
    middle = resample_rotations(rot6d_from_matrix(ends)[:, None], 10, 20)[1, 0]
    expected = matrix_from_axis_angle(torch.tensor([0.0, 0.0, math.pi / 4]))
    torch.testing.assert_close(matrix_from_rot6d(middle), expected, atol=1e-6, rtol=0)

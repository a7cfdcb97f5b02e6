from __future__ import annotations

import torch

from motionlang_pl.models.targets import over_the_clip, over_the_split


def test_over_the_clip_every_column_that_moves_has_mean_0_and_deviation_1_over_real_frames():
    x = torch.tensor([[[1.0, 5.0], [3.0, 5.0], [99.0, 99.0]]])
    mask = torch.tensor([[True, True, False]])
    assert over_the_clip(x, mask).tolist() == [[[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]]
    assert over_the_split(x, mask) is x


def test_a_column_that_hardly_moves_is_not_blown_up():
    x = torch.tensor([[[0.001], [-0.001]]])
    torch.testing.assert_close(over_the_clip(x, torch.ones(1, 2, dtype=torch.bool)), x / 0.1)


def test_a_clip_of_padding_is_finite():
    assert (over_the_clip(torch.randn(1, 3, 2), torch.zeros(1, 3, dtype=torch.bool)) == 0).all()

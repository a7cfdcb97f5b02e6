"""Pictures of scores and motions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton
from motionlang_pl.plots import Strip, draw_strips, heat_map, pixels


def test_the_heat_map_is_a_picture_that_grows_with_the_captions(tmp_path: Path) -> None:
    for n in (2, 12):
        heat_map(
            torch.eye(n),
            [f"a person costs ${n}$ and walks a very long way to the very end" for n in range(n)],
            tmp_path / f"{n}.png",
        )
    small, large = imread(tmp_path / "2.png"), imread(tmp_path / "12.png")
    assert large.shape[0] > small.shape[0] and large.std() > 0.05


def test_a_heat_map_needs_a_caption_per_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\) for 3 captions"):
        heat_map(torch.eye(2), ["a", "b", "c"], tmp_path / "x.png")


@pytest.mark.parametrize("skeleton", [SMPL22, MMM21], ids=lambda skeleton: skeleton.name)
def test_a_strip_has_both_sides_colours_and_marks_hidden_frames(skeleton: Skeleton) -> None:
    joints = torch.tensor(skeleton.offsets).cumsum(0).expand(30, -1, -1)
    plain = pixels(draw_strips([Strip(joints, "costs $5$", "hand 1.2")], skeleton))
    shaded = pixels(draw_strips([Strip(joints, "costs $5$", "hand 1.2", torch.arange(30) < 10)], skeleton))
    assert plain.shape == shaded.shape and plain.dtype == "uint8"
    blue, orange = (plain[..., channel].astype(int) - plain[..., 2 - channel] for channel in (2, 0))
    assert blue.max() > 100 and orange.max() > 100
    assert not (plain == (243, 227, 195)).all(-1).any() and (shaded == (243, 227, 195)).all(-1).mean() > 0.05


def test_motions_that_a_diverged_model_predicts_are_drawn_all_the_same() -> None:
    assert pixels(draw_strips([Strip(torch.full((1, 22, 3), torch.nan))], SMPL22)).std() > 0

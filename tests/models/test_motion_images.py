"""Motions as images: standardised by the store's statistics, of the kind of features that the images are made of."""

from __future__ import annotations

import pytest
import torch

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.motion_images import AngleImages, ChainImages, MotionImages
from motionlang_pl.motion.angles import PARTS
from motionlang_pl.motion.features import columns
from motionlang_pl.motion.skeleton import SMPL22


def images(of: type[MotionImages]) -> MotionImages:
    size = columns(of.reads, SMPL22)
    torch.manual_seed(0)
    return of(MotionSpec(of.reads, "smpl22", 20.0, torch.full((size,), 2.0), torch.full((size,), 4.0)))


def motion(of: type[MotionImages], frames: int, value: float) -> Motion:
    features = torch.full((1, frames, columns(of.reads, SMPL22)), value)
    return Motion(features, torch.ones(1, frames, dtype=torch.bool))


def test_a_chain_image_shows_standardised_joints_and_zeros_after_the_motion() -> None:
    image, mask = images(ChainImages)(motion(ChainImages, 40, 10.0))
    assert image.shape == (1, 3, *ChainImages.size) and mask.sum() == 40
    torch.testing.assert_close(image[:, :, :40], torch.full((1, 3, 40, 80), 2.0))  # (10 - 2) / 4
    assert image[:, :, 40:].count_nonzero() == 0


def test_an_angle_image_is_one_linear_per_part() -> None:
    maker = images(AngleImages)
    features = torch.randn(1, 30, 29, generator=torch.Generator().manual_seed(0))
    image, _ = maker(Motion(features, torch.ones(1, 30, dtype=torch.bool)))
    angles = maker.standardise(features)[0]
    for number, part in enumerate(PARTS.values()):
        band = slice(16 * number, 16 * number + 16)
        expected = angles[:, part] @ maker.weight[band, part].T + maker.bias[band]
        torch.testing.assert_close(image[0, 0, :30, band], expected)


def test_weights_between_the_parts_stay_without_effect_and_without_gradient() -> None:
    maker = images(AngleImages)
    with torch.no_grad():
        maker.weight[~maker.bands] = 5.0
    image, _ = maker(motion(AngleImages, 8, 1.0))
    image.sum().backward()
    assert image.abs().max() < 5
    assert maker.weight.grad[~maker.bands].count_nonzero() == 0 and maker.weight.grad[maker.bands].count_nonzero() > 0


@pytest.mark.parametrize("of", [ChainImages, AngleImages])
def test_frames_after_the_224th_are_left_out(of: type[MotionImages]) -> None:
    long = torch.randn(1, 300, columns(of.reads, SMPL22), generator=torch.Generator().manual_seed(0))
    whole = images(of)(Motion(long, torch.ones(1, 300, dtype=torch.bool)))
    first = images(of)(Motion(long[:, :224], torch.ones(1, 224, dtype=torch.bool)))
    torch.testing.assert_close(whole, first)


def test_what_is_hidden_is_zero_or_noise() -> None:
    hidden = torch.zeros(1, 4, len(SMPL22.joints), dtype=torch.bool)
    hidden[0, 2] = True
    maker, seen = images(ChainImages), motion(ChainImages, 4, 10.0)
    assert maker(seen, hidden)[0][0, :, 2].count_nonzero() == 0
    noise = torch.full((1, 4, 66), 7.0)
    torch.testing.assert_close(
        maker(seen, hidden, noise)[0][0, :, 1:3], torch.tensor([2.0, 7.0])[:, None].expand(3, 2, 80)
    )


def test_images_of_another_kind_of_features_say_so() -> None:
    with pytest.raises(ValueError, match=r"ChainImages are made of joints, this run reads angles; set --data.features"):
        ChainImages(MotionSpec("angles", "smpl22", 20.0, torch.zeros(29), torch.ones(29)))

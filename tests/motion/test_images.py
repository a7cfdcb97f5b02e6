from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from motionlang_pl.motion.angles import ANGLES, PARTS
from motionlang_pl.motion.images import angle_bands, angle_image, chain_image, chain_matrix, patch_mask
from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton

BOTH = pytest.mark.parametrize("skeleton", [SMPL22, MMM21], ids=lambda skeleton: skeleton.name)
SMPL_CHAINS = ([0, 3, 6, 9, 12, 15], [0, 1, 4, 7, 10], [0, 2, 5, 8, 11], [9, 13, 16, 18, 20], [9, 14, 17, 19, 21])
KIT_CHAINS = ([0, 1, 2, 3, 4], [0, 16, 17, 18, 19, 20], [0, 11, 12, 13, 14, 15], [3, 8, 9, 10], [3, 5, 6, 7])


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def real(*lengths: int) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


@BOTH
def test_chains_of_22_and_21_joints_are_80_points(skeleton: Skeleton) -> None:
    matrix = chain_matrix(skeleton)
    assert matrix.shape == (80, len(skeleton.joints)) and (matrix @ noise(7, len(skeleton.joints), 3)).shape == (
        7,
        80,
        3,
    )
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(80))
    assert (matrix >= 0).all() and (matrix > 0).sum(dim=1).max() == 2


@pytest.mark.parametrize(("skeleton", "chains"), [(SMPL22, SMPL_CHAINS), (MMM21, KIT_CHAINS)])
def test_a_chain_ends_in_joints_and_lies_between_its_neighbours(
    skeleton: Skeleton, chains: tuple[list[int], ...]
) -> None:
    joints = noise(len(skeleton.joints), 3)
    for points, chain in zip((chain_matrix(skeleton) @ joints).view(5, 16, 3), chains, strict=True):
        assert torch.equal(points[0], joints[chain[0]]) and torch.equal(points[-1], joints[chain[-1]])
        for point in range(16):
            before, share = divmod(point * (len(chain) - 1) / 15, 1)
            expected = torch.lerp(
                joints[chain[int(before)]], joints[chain[min(int(before) + 1, len(chain) - 1)]], share
            )
            torch.testing.assert_close(points[point], expected, atol=1e-5, rtol=0)


@BOTH
def test_a_straight_chain_of_equal_bones_stays_straight_and_even(skeleton: Skeleton) -> None:
    joints = torch.zeros(len(skeleton.joints), 3)
    arm = skeleton.parts["left_arm"]
    for place, joint in enumerate((skeleton.parents[arm[0]], *arm)):
        joints[joint] = place * torch.tensor([0.3, 0.1, -0.2])
    points = (chain_matrix(skeleton) @ joints)[48:64]
    torch.testing.assert_close(points.diff(dim=0), (joints[arm[-1]] / 15).expand(15, 3))


def test_a_chain_image_shows_points_across_frames_down_and_coordinates_as_channels() -> None:
    joints, mask = noise(2, 300, 22, 3), real(300, 100)
    image, shown = chain_image(joints, chain_matrix(SMPL22), mask)
    assert image.shape == (2, 3, 224, 80) and shown.sum(dim=1).tolist() == [224, 100]
    torch.testing.assert_close(image[0, :, 30, 15], joints[0, 30, 15])  # the head, at the end of the trunk's chain
    torch.testing.assert_close(image[0, :, 223, 0], joints[0, 223, 0])


def test_an_angle_image_is_a_linear_for_each_part() -> None:
    layers = {part: nn.Linear(len(ANGLES[columns]), 16) for part, columns in PARTS.items()}
    weight, bias = torch.zeros(224, 29), torch.cat([layer.bias for layer in layers.values()])
    for place, (part, columns) in enumerate(PARTS.items()):
        weight[16 * place : 16 * place + 16, columns] = layers[part].weight
    angles = noise(2, 50, 29)
    image, shown = angle_image(angles, weight, bias, real(50, 20))
    expected = torch.cat([layer(angles[:, :, PARTS[part]]) for part, layer in layers.items()], dim=-1)
    assert image.shape == (2, 3, 224, 224) and shown.sum(dim=1).tolist() == [50, 20]
    torch.testing.assert_close(image[0, 0, :50], expected[0])
    assert torch.equal(image[:, 0], image[:, 1]) and torch.equal(image[:, 0], image[:, 2])
    assert torch.equal(angle_bands(), weight != 0)


def test_an_angle_image_is_not_stored_three_times() -> None:
    image, _ = angle_image(noise(2, 50, 29), noise(224, 29), noise(224), real(50, 50))
    assert image.stride(1) == 0


@pytest.mark.parametrize("frames", [1, 40, 224, 260])
def test_padding_is_zero_whatever_it_holds_and_changes_nothing(frames: int) -> None:
    joints, angles, mask = noise(2, frames + 9, 22, 3), noise(2, frames + 9, 29), real(frames, frames + 9)
    joints[0, frames:] = angles[0, frames:] = torch.nan
    for image, shown in (
        chain_image(joints, chain_matrix(SMPL22), mask),
        angle_image(angles, noise(224, 29) * angle_bands(), noise(224), mask),
    ):
        assert image.isfinite().all() and (image.movedim(2, 1)[~shown] == 0).all()
        assert shown.sum(dim=1).tolist() == [min(frames, 224), min(frames + 9, 224)]
    alone, _ = chain_image(joints[:1, :frames], chain_matrix(SMPL22), mask[:1, :frames])
    torch.testing.assert_close(chain_image(joints, chain_matrix(SMPL22), mask)[0][:1], alone)


def test_a_patch_is_real_where_one_of_its_16_frames_is() -> None:
    _, shown = chain_image(noise(4, 224, 22, 3), chain_matrix(SMPL22), real(224, 17, 16, 1))
    assert patch_mask(shown).sum(dim=1).tolist() == [14, 2, 1, 1]
    assert patch_mask(shown)[1].tolist() == [True, True, *[False] * 12]


def test_weights_learn_through_the_image() -> None:
    weight = noise(224, 29).requires_grad_()
    image, _ = angle_image(noise(1, 10, 29), weight * angle_bands(), torch.zeros(224), real(10))
    image.square().sum().backward()
    assert weight.grad is not None and torch.equal(weight.grad != 0, angle_bands())

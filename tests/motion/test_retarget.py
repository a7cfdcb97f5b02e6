from __future__ import annotations

import pytest
import torch
from bodies import standing, wandering

from motionlang_pl.motion.retarget import HUMANML3D_BONES, bone_lengths, retarget
from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton

SKELETONS = (SMPL22, MMM21)


def bones(joints: torch.Tensor, skeleton: Skeleton) -> torch.Tensor:
    return joints[:, 1:] - joints[:, list(skeleton.parents[1:])]


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda skeleton: skeleton.name)
def test_lengths_become_canonical_and_directions_stay(skeleton: Skeleton) -> None:
    joints = wandering(skeleton, 30).double() * 37
    moved = retarget(joints, skeleton)
    torch.testing.assert_close(bones(moved, skeleton).norm(dim=-1), bone_lengths(skeleton).expand(30, -1))
    cosine = torch.cosine_similarity(bones(moved, skeleton), bones(joints, skeleton), dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda skeleton: skeleton.name)
def test_a_canonical_body_stays_as_it_is_whatever_its_unit(skeleton: Skeleton) -> None:
    once = retarget(wandering(skeleton, 30).double(), skeleton)
    torch.testing.assert_close(retarget(once, skeleton), once)
    torch.testing.assert_close(retarget(once * 100, skeleton), once)


def test_a_body_of_twice_the_size_goes_half_as_far() -> None:
    joints = standing(SMPL22, 2).double()
    joints[1, :, 2] += 1.0
    small, large = retarget(joints, SMPL22), retarget(2 * joints, SMPL22)
    torch.testing.assert_close(large, small)
    way = small[1, 0, 2] - small[0, 0, 2]
    leg = bones(joints, SMPL22)[0, [4, 7]].norm(dim=-1).sum()  # right knee and ankle
    torch.testing.assert_close(way, (0.390188 + 0.425643) / leg)


def test_humanml3ds_body_is_an_adult_with_sides_that_differ_by_millimetres() -> None:
    lengths = dict(zip(SMPL22.joints[1:], HUMANML3D_BONES, strict=True))
    assert lengths["left_knee"] == 0.393623 and lengths["right_knee"] == 0.390188
    rounded = torch.tensor(SMPL22.offsets[1:], dtype=torch.float64).norm(dim=-1)
    assert float((bone_lengths(SMPL22) - rounded).abs().max()) < 0.005


def test_a_bone_without_length_is_named() -> None:
    joints = standing(SMPL22, 3)
    joints[2, 15] = joints[2, 12]
    with pytest.raises(ValueError, match="neck and head are at one place in frame 2"):
        retarget(joints, SMPL22)

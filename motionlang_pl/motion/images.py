"""Motion images: 224 frames down, what a body does across, so that a vision transformer can read a motion.

Chain images (MotionPatches, Yu et al. 2024): five kinematic chains of joints, each resampled to 16 points.  Angle
images (MotionColBert, arXiv 2603.09930): 14 parts of joint angles, each projected to 16 numbers.  Either is one matrix
product per batch.  Frames after the 224th are left out; missing ones are 0, and the returned mask says which.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlang_pl.motion.angles import ANGLES, PARTS
from motionlang_pl.motion.skeleton import Skeleton

FRAMES = 224
PATCH = 16
"""Points per chain, numbers per part, and frames per patch of the usual vision transformers."""


def chain_matrix(skeleton: Skeleton) -> Tensor:
    """Return the weights (80, J) of joints in the points of the five chains, 16 each, in the order of `skeleton.parts`.

    A limb's chain starts at the joint that the limb hangs from.  Points are spread evenly over the numbers of the
    chain's joints, not over its length; the joints at its ends are the first and the last.
    """
    matrix = torch.zeros(len(skeleton.parts), PATCH, len(skeleton.joints))
    for points, part in zip(matrix, skeleton.parts.values(), strict=True):
        chain = [joint for joint in (skeleton.parents[part[0]], *part) if joint >= 0]
        at = torch.linspace(0, len(chain) - 1, PATCH)
        points[:, chain] = (1 - (at[:, None] - torch.arange(len(chain))).abs()).clamp(min=0)
    return matrix.flatten(0, 1)


def chain_image(joints: Tensor, matrix: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return images (B, 3, 224, 80), with x, y and z as channels, and their mask over frames (B, 224).

    joints: (B, T, J, 3), standardised.  matrix: (80, J) of `chain_matrix`.  mask: (B, T) bool, True = real.
    """
    joints, mask = joints[:, :FRAMES], mask[:, :FRAMES]
    image = torch.einsum("pj,btjc->bctp", matrix, joints)
    return _window(image, mask), _pad(mask)


def angle_bands() -> Tensor:
    """Return which weights (224, 29) of `angle_image` there are: 16 rows for each part, over the part's own columns."""
    bands = torch.zeros(len(PARTS), PATCH, len(ANGLES), dtype=torch.bool)
    for band, columns in zip(bands, PARTS.values(), strict=True):
        band[:, columns] = True
    return bands.flatten(0, 1)


def angle_image(angles: Tensor, weight: Tensor, bias: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return images (B, 3, 224, 224), one channel seen three times, and their mask over frames (B, 224).

    angles: (B, T, 29), standardised.  weight: (224, 29), 0 outside of `angle_bands`, and bias: (224,): together they
    are one Linear per part, from its columns to 16 numbers.  mask: (B, T) bool, True = real.
    """
    angles, mask = angles[:, :FRAMES], mask[:, :FRAMES]
    image = F.linear(angles, weight, bias).unsqueeze(1)
    return _window(image, mask).expand(-1, 3, -1, -1), _pad(mask)


def patch_mask(mask: Tensor) -> Tensor:
    """Return the mask (B, 14) over patches of 16 frames of a mask (B, 224): real where any of its frames is."""
    return mask.view(len(mask), -1, PATCH).any(dim=-1)


def _window(image: Tensor, mask: Tensor) -> Tensor:
    """Images (B, channels, T, columns) with 0 where the mask (B, T) is False, up to 224 frames."""
    image = torch.where(mask[:, None, :, None], image, 0.0)
    return F.pad(image, (0, 0, 0, FRAMES - image.shape[2]))


def _pad(mask: Tensor) -> Tensor:
    return F.pad(mask, (0, FRAMES - mask.shape[1]))

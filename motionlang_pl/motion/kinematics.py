"""From joint rotations to joint positions and back, in SMPL's convention: a joint turns all that hangs from it."""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from motionlang_pl.motion.rotations import rotation_between
from motionlang_pl.motion.skeleton import Skeleton


def forward_kinematics(local: Tensor, root: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the joints (..., J, 3) in metres of a body with the skeleton's own bones.

    local: (..., J, 3, 3) rotations relative to the parent (the root's: to the world).  root: (..., 3) its position.
    """
    offsets = local.new_tensor(skeleton.offsets)
    turned, joints = [local[..., 0, :, :]], [root]
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        joints.append(joints[parent] + turned[parent] @ offsets[joint])
        turned.append(turned[parent] @ local[..., joint, :, :])
    return torch.stack(joints, dim=-2)


def inverse_kinematics(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Return rotations (..., J, 3, 3) relative to the parent whose forward kinematics point every bone as in `joints`.

    joints: (..., J, 3).  A joint with several children takes the rotation that fits all their bones best (Kabsch); one
    with a single child the smallest rotation, which leaves no twist about the bone; an end joint none.  Bone lengths
    do not matter.  Where one body is both source and target, `forward_kinematics` gives the same joints back.
    """
    offsets = joints.new_tensor(skeleton.offsets)
    still = torch.eye(3, dtype=joints.dtype, device=joints.device).expand(*joints.shape[:-2], 3, 3)
    turned: list[Tensor] = []
    local: list[Tensor] = []
    for joint, parent in enumerate(skeleton.parents):
        outside = turned[parent] if parent >= 0 else still
        children = list(skeleton.children(joint))
        bones = (joints[..., children, :] - joints[..., joint : joint + 1, :]) @ outside  # seen from the parent
        if len(children) == 0:
            local.append(still)
        elif len(children) == 1:
            local.append(rotation_between(offsets[children[0]], bones[..., 0, :]))
        else:
            neutral = torch.nn.functional.normalize(offsets[children], dim=-1)
            matrix: Tensor = roma.special_procrustes(torch.nn.functional.normalize(bones, dim=-1).mT @ neutral)
            local.append(matrix)
        turned.append(outside @ local[-1])
    return torch.stack(local, dim=-3)

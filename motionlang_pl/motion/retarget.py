"""Another body for a motion: its bones get the lengths of one canonical body, and keep their directions.

HumanML3D gives every clip the same body before anything is computed from it (Guo et al. 2022, sec. 4), so what is
learned on it expects that body. Its lengths below are those of a released clip; all released clips have them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlang_pl.motion.skeleton import SMPL22, Skeleton

HUMANML3D_BONES = (
    *(0.103074, 0.109883, 0.131568, 0.393623, 0.390188, 0.143190, 0.432433, 0.425643, 0.057365, 0.143382, 0.149419),
    *(0.219360, 0.137487, 0.143383, 0.103039, 0.131614, 0.122984, 0.256840, 0.263092, 0.266012, 0.269876),
)
"""Metres from each joint of smpl22 but the pelvis to its parent; left and right differ by millimetres."""


def bone_lengths(skeleton: Skeleton) -> Tensor:
    """Return the lengths (J-1,) float64 in metres of a skeleton's canonical bones, by the joint they end in."""
    if skeleton.name == SMPL22.name:
        return torch.tensor(HUMANML3D_BONES, dtype=torch.float64)
    lengths: Tensor = torch.tensor(skeleton.offsets[1:], dtype=torch.float64).norm(dim=-1)
    return lengths


def retarget(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the motion (T, J, 3) of the canonical body that points every bone as `joints` (T, J, 3) do.

    The root's path is scaled by the ratio of leg lengths, so that the feet stay about where they stood. The leg is
    HumanML3D's: the right thigh and shin in the first frame.  Works in any unit; the result is in metres.

    Raises ValueError where a bone has no length and so no direction.
    """
    parents = list(skeleton.parents[1:])
    bones = joints[:, 1:] - joints[:, parents]
    lengths = bones.norm(dim=-1)
    if not bool((lengths > 0).all()):
        frame, bone = (~(lengths > 0)).nonzero()[0].tolist()
        ends = f"{skeleton.joints[parents[bone]]} and {skeleton.joints[bone + 1]}"
        raise ValueError(f"{ends} are at one place in frame {frame}: the bone between them has no direction")
    wanted = bone_lengths(skeleton).to(joints)
    _, knee, ankle, *_ = skeleton.parts["right_leg"]
    leg = [knee - 1, ankle - 1]
    bones = bones * (wanted / lengths).unsqueeze(-1)
    moved = [joints[:, 0] * (wanted[leg].sum() / lengths[0, leg].sum())]
    for bone, parent in enumerate(parents):
        moved.append(moved[parent] + bones[:, bone])
    return torch.stack(moved, dim=1)

"""Units and axes of users' files as the body tells them: its leg is 0.6 to 1.1 m long, and its head is up."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlang_pl.motion.skeleton import SMPL22

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "foot": 0.3048, "cmu": 0.0254 / 0.45}
"""Length of each unit; `cmu` is that of CMU's recordings as they are released."""
LEG = (0.6, 1.1)  # metres from hip to ankle; no two units can both be meant
UPRIGHT = 0.8  # cosine to an axis from which the direction to the head is along it
UP = ("y", "z")

_JOINT = SMPL22.joints.index
_LEGS = [[_JOINT(f"{side}_{joint}") for joint in ("hip", "knee", "ankle")] for side in ("left", "right")]


def leg_length(joints: Tensor) -> float:
    """Mean length of thigh plus shin of joints (T, 22, 3)."""
    return float(joints[:, _LEGS].diff(dim=2).norm(dim=-1).sum(dim=-1).mean())


def towards_head(joints: Tensor) -> Tensor:
    """Mean over time (3,) of the direction from the feet to the head."""
    feet = joints[:, [leg[-1] for leg in _LEGS]].mean(dim=1)
    return torch.nn.functional.normalize(joints[:, _JOINT("head")] - feet, dim=-1).mean(dim=0)


def detect_unit(leg: float) -> str:
    """The unit in which a leg of that length is human; ValueError where there is none."""
    for unit, metres in METRES.items():
        if LEG[0] <= leg * metres <= LEG[1]:
            return unit
    raise ValueError(
        f"a leg of {leg:.4g} is {LEG[0]} to {LEG[1]} m in no known unit; state it with --unit {'|'.join(METRES)}"
    )


def detect_up(head: Tensor) -> str:
    """The axis along which heads are above feet; ValueError where it is neither y nor z."""
    axis = int(head.abs().argmax())
    if head[axis] < UPRIGHT * head.norm() or "xyz"[axis] not in UP:
        where = ", ".join(f"{value:.2f}" for value in head.tolist())
        raise ValueError(f"heads lie from feet towards ({where}), which is neither y nor z; state it with --up y|z")
    return "xyz"[axis]


def metric(joints: Tensor, unit: str, up: str) -> Tensor:
    """Joints (T, 22, 3) in metres, y up, of joints in a unit; a z-up body is turned about x."""
    if up == "z":
        x, y, z = joints.unbind(dim=-1)
        joints = torch.stack((x, z, -y), dim=-1)
    return joints * METRES[unit]


def faces_forward(joints: Tensor) -> bool:
    """Whether the toes of a body (T, 22, 3), y up, point to where hips and shoulders face; not so in mirrored axes."""
    left, right = ([_JOINT(f"{side}_{joint}") for joint in ("hip", "shoulder")] for side in ("left", "right"))
    across = (joints[:, left] - joints[:, right]).sum(dim=1)
    toes = (joints[:, [_JOINT("left_foot"), _JOINT("right_foot")]] - joints[:, [leg[-1] for leg in _LEGS]]).sum(dim=1)
    return bool((across[:, 2] * toes[:, 0] < across[:, 0] * toes[:, 2]).double().mean() >= 0.5)

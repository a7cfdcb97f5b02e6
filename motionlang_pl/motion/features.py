"""Feature kinds: the ways to write a frame of motion as numbers, and which joint each of their columns tells about.

`joints` are positions in metres, `smpl_rot6d` SMPL's own rotations (they come from AMASS and from nothing else),
`ik_rot6d` rotations by our inverse kinematics, `humanml3d` and `kitml` the representations of Guo et al. (2022),
`angles` the joint angles of MotionColBert.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from motionlang_pl.motion.angles import ANGLES, angles, column_joints
from motionlang_pl.motion.humanml3d import (
    HUMANML3D,
    KITML,
    Body,
    canonical,
    humanml3d,
    joints_from_humanml3d,
    joints_from_kitml,
    kitml,
)
from motionlang_pl.motion.kinematics import forward_kinematics, inverse_kinematics
from motionlang_pl.motion.rotations import matrix_from_rot6d, rot6d_from_matrix
from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton

__all__ = [
    "COLUMNS",
    "ColumnMap",
    "canonical",
    "column_map",
    "columns",
    "compute",
    "humanml3d",
    "ik_rot6d",
    "joints_from",
    "joints_from_humanml3d",
    "joints_from_kitml",
    "kitml",
]

COLUMNS: dict[str, int] = {
    "joints": 66,
    "smpl_rot6d": 132,
    "ik_rot6d": 132,
    "humanml3d": 263,
    "kitml": 251,
    "angles": len(ANGLES),
}
"""Width of each kind; `joints` of another skeleton than smpl22 are three per joint, see `columns`."""

_KINDS = {
    SMPL22.name: ("joints", "smpl_rot6d", "ik_rot6d", "humanml3d", "angles"),
    MMM21.name: ("joints", "kitml", "angles"),
}


class ColumnMap(NamedTuple):
    """What a kind's columns tell.

    joints: (C, J) bool, the joints that a column tells about.  next_frame: (C,) bool, whether row t also tells about
    frame t+1, as velocities do.
    """

    joints: Tensor
    next_frame: Tensor


def columns(kind: str, skeleton: Skeleton) -> int:
    """Return the number of columns of a kind; ValueError lists the kinds that the skeleton can have."""
    _check(kind, skeleton)
    return 3 * len(skeleton.joints) if kind == "joints" else COLUMNS[kind]


def column_map(kind: str, skeleton: Skeleton) -> ColumnMap:
    """Return which joints and frames each column tells about; ValueError lists the kinds the skeleton can have.

    A rotation of `smpl_rot6d` and `ik_rot6d` counts as its own joint's: the other rotations do not tell it.  In
    `humanml3d` a bone's rotation also tells about the joints of the bone before it.  Its smoothed heading, a frame of
    reference that moves with hips and shoulders over eight seconds, counts for the yaw velocity only.
    """
    _check(kind, skeleton)
    own = torch.eye(len(skeleton.joints), dtype=torch.bool)
    if kind in ("humanml3d", "kitml"):
        return _guo_map(own, HUMANML3D if kind == "humanml3d" else KITML)
    if kind == "angles":
        return ColumnMap(column_joints(skeleton), torch.zeros(len(ANGLES), dtype=torch.bool))
    joints = own.repeat_interleave(3 if kind == "joints" else 6, dim=0)
    return ColumnMap(joints, torch.zeros(len(joints), dtype=torch.bool))


def ik_rot6d(joints: Tensor) -> Tensor:
    """Return rotations (T, 132) of a motion (T, 22, 3) by inverse kinematics, 6D per joint, relative to its parent.

    In SMPL's convention but with no twist about the limbs, so not to be mixed with `smpl_rot6d`.
    """
    return rot6d_from_matrix(inverse_kinematics(joints.double(), SMPL22)).flatten(-2).float()


def compute(kind: str, joints: Tensor, skeleton: Skeleton, fps: float) -> Tensor:
    """Return the rows (T, C) float32 of a kind for a motion (T, J, 3) in metres, y up.

    `humanml3d` and `kitml` have a row less than frames: the last is repeated, and the caller marks it invalid.  `kitml`
    gives columns in millimetres, as they are released, of joints in metres.  Raises ValueError for kinds that joints do
    not determine, such as `smpl_rot6d`.
    """
    _check(kind, skeleton)
    if kind == "joints":
        return joints.flatten(1).float()
    if kind == "ik_rot6d":
        return ik_rot6d(joints)
    if kind == "angles":
        return angles(joints, skeleton)
    if kind in ("humanml3d", "kitml"):
        rows = humanml3d(joints, fps) if kind == "humanml3d" else kitml(joints, fps)
        return torch.cat((rows, rows[-1:]))
    raise ValueError(f"{kind} cannot be computed from joints, only read with SMPL's own poses; ik_rot6d can be")


def joints_from(kind: str, features: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the joints (..., T, J, 3) in metres of features (..., T, C).

    Rotations alone say neither where the body is nor how large: they give the neutral body with its root at the origin.
    Raises ValueError for `angles`, which leave out collars, spine and bone lengths.
    """
    _check(kind, skeleton)
    if kind == "angles":
        raise ValueError(
            "angles do not tell where the joints are; prepare the store with both: --features joints angles"
        )
    if kind == "joints":
        return features.reshape(*features.shape[:-1], -1, 3)
    if kind == "humanml3d":
        return joints_from_humanml3d(features)
    if kind == "kitml":
        return joints_from_kitml(features)
    local = matrix_from_rot6d(features.reshape(*features.shape[:-1], -1, 6))
    return forward_kinematics(local, local.new_zeros(*local.shape[:-3], 3), skeleton)


def _check(kind: str, skeleton: Skeleton) -> None:
    if kind not in _KINDS[skeleton.name]:
        known = ", ".join(_KINDS[skeleton.name])
        raise ValueError(f"{skeleton.name} has no feature kind {kind!r}; choose one of {known}")


def _guo_map(own: Tensor, body: Body) -> ColumnMap:
    bones = own.clone()
    for chain in body.chains:
        for place, joint in enumerate(chain[1:], start=1):
            bones[joint, list(chain[max(place - 2, 0) : place])] = True
    root = torch.stack((own[[0, *body.hips, *body.shoulders]].any(dim=0), own[0], own[0], own[0]))
    blocks = (
        (root[:3], True),
        (root[3:], False),
        (own[1:].repeat_interleave(3, dim=0), False),
        (bones[1:].repeat_interleave(6, dim=0), False),
        (own.repeat_interleave(3, dim=0), True),
        (own[list(body.feet)], True),
    )
    following = torch.cat([torch.full((len(block),), later) for block, later in blocks])
    return ColumnMap(torch.cat([block for block, _ in blocks]), following)

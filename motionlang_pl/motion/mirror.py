"""Left-right mirroring of motion as a signed permutation of columns: the twin of a row x is `x[source] * sign`.

Exact for every feature kind, because what the kinds are made of is symmetric: neutral bodies, bone axes and headings.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from motionlang_pl.motion.angles import MIRROR, MIRROR_SIGN
from motionlang_pl.motion.features import columns
from motionlang_pl.motion.humanml3d import HUMANML3D, KITML, Body
from motionlang_pl.motion.skeleton import Skeleton

_POSITION = (-1.0, 1.0, 1.0)  # x points to the left
_ROTATION = (1.0, -1.0, -1.0, -1.0, 1.0, 1.0)  # the first two columns of D R D with D = diag(-1, 1, 1)


class Mirror(NamedTuple):
    """The twin of rows x (..., C) is `x[..., source] * sign`.

    source: (C,) int64, the column that each column comes from.  sign: (C,) float32, 1 or -1.
    """

    source: Tensor
    sign: Tensor


def mirror_columns(kind: str, skeleton: Skeleton) -> Mirror:
    """Return how to mirror rows of a kind; ValueError lists the kinds that the skeleton can have."""
    count = columns(kind, skeleton)
    if kind == "angles":
        mirror = Mirror(torch.tensor(MIRROR), torch.tensor(MIRROR_SIGN, dtype=torch.float32))
    elif kind in ("humanml3d", "kitml"):
        mirror = _guo(skeleton.mirror, HUMANML3D if kind == "humanml3d" else KITML)
    else:
        mirror = _per_joint(skeleton.mirror, _POSITION if kind == "joints" else _ROTATION)
    assert len(mirror.source) == len(mirror.sign) == count
    return mirror


def _per_joint(twins: tuple[int, ...], sign: tuple[float, ...]) -> Mirror:
    """Columns that are the same numbers for each of some joints; `twins` is the place of each joint's twin."""
    width = len(sign)
    places = torch.tensor(twins).repeat_interleave(width) * width
    return Mirror(places + torch.arange(width).repeat(len(twins)), torch.tensor(sign).repeat(len(twins)))


def _guo(twins: tuple[int, ...], body: Body) -> Mirror:
    limbs = tuple(twin - 1 for twin in twins[1:])
    blocks = (
        Mirror(torch.arange(4), torch.tensor((-1.0, -1.0, 1.0, 1.0))),  # yaw, way to the side, way ahead, height
        _per_joint(limbs, _POSITION),
        _per_joint(limbs, _ROTATION),
        _per_joint(twins, _POSITION),
        _per_joint(tuple(body.feet.index(twins[foot]) for foot in body.feet), (1.0,)),
    )
    starts = torch.tensor([0, *(len(block.source) for block in blocks[:-1])]).cumsum(dim=0)
    sources = [block.source + start for block, start in zip(blocks, starts, strict=True)]
    return Mirror(torch.cat(sources), torch.cat([block.sign for block in blocks]))

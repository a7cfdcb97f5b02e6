"""Motion at another speed: the rows of a feature kind read at a rate, as if the body had moved faster or slower."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlang_pl.motion.features import column_map
from motionlang_pl.motion.resample import resample_positions
from motionlang_pl.motion.rotations import orthonormalise
from motionlang_pl.motion.skeleton import Skeleton

CONTACTS = 4  # the last columns of HumanML3D's and KIT-ML's rows


class _Layout(NamedTuple):
    """Columns that are not plain values of a frame: velocities (per frame), 6D rotations, and contacts of 0 or 1."""

    velocities: Tensor
    rotations: slice
    contacts: slice


def change_speed(kind: str, features: Tensor, rate: float, skeleton: Skeleton) -> Tensor:
    """Return the rows (T', C) that a body would give which moves `rate` times as fast as in the rows (T, C).

    T' is about T / rate; the first row's pose stays the first. Values are interpolated in time, 6D rotations made
    orthonormal again (pitfall of any interpolation), velocities are the way per new frame, contacts the nearest row's,
    and an angle that jumps by more than half a turn from row to row is taken from the nearer one.
    """
    if rate == 1:
        return features
    layout = _layout(kind, skeleton)
    rows = resample_positions(features, rate, 1.0)
    if kind == "angles":
        places = torch.arange(len(rows), dtype=torch.float64) * rate
        jumps = F.pad(features.diff(dim=0).abs() > math.pi, (0, 0, 0, 1))[places.long()]
        rows = torch.where(jumps, features[places.round().long()], rows)
    rotations = rows[:, layout.rotations]
    rows[:, layout.rotations] = orthonormalise(rotations.reshape(len(rows), -1, 6)).flatten(1)
    rows[:, layout.velocities] = _velocities(features[:, layout.velocities], rate, len(rows))
    rows[:, layout.contacts] = rows[:, layout.contacts].round()
    return rows


def _velocities(velocities: Tensor, rate: float, rows: int) -> Tensor:
    """The way (rows, V) per new frame, off the path that velocities (T, V) make; at its end the last one goes on."""
    path = torch.cat((velocities, velocities[-1:].expand(math.ceil(rate), -1))).double().cumsum(dim=0)
    return resample_positions(F.pad(path, (0, 0, 1, 0)), rate, 1.0)[: rows + 1].diff(dim=0).to(velocities)


@cache
def _layout(kind: str, skeleton: Skeleton) -> _Layout:
    velocities = column_map(kind, skeleton).next_frame.clone()
    none, columns = slice(0, 0), len(velocities)
    if not velocities.any():
        return _Layout(velocities, slice(0, columns) if kind.endswith("rot6d") else none, none)
    bones = len(skeleton.joints) - 1
    contacts = slice(columns - CONTACTS, columns)
    velocities[contacts] = False
    return _Layout(velocities, slice(4 + 3 * bones, 4 + 9 * bones), contacts)

"""What readers compute of joints: the feature kinds that a store gets, and their rows for a clip."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.data.sources.raw import BadInput
from motionlang_pl.data.writer import Kind
from motionlang_pl.motion.features import COLUMNS, column_map, columns, compute
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.skeleton import Skeleton


def kinds_of(features: Sequence[str], skeleton: Skeleton, fps: float, read: Collection[str] = ()) -> dict[str, Kind]:
    """The kinds of a store, by name, in the order of `COLUMNS`. read: those that files give, so not computed.

    Raises:
        ValueError: none, one that the skeleton cannot have, or one that cannot be computed of joints at that rate.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"--fps {fps:g}: frames per second must be more than 0")
    if not features:
        raise ValueError("--features: none; name a feature kind or several, such as joints")
    still = torch.eye(3).expand(2, len(skeleton.joints), 3, 3)
    standing = forward_kinematics(still, torch.zeros(2, 3), skeleton)  # a motion to ask `compute` with
    kinds = {}
    for kind in dict.fromkeys(kind for kind in (*COLUMNS, *features) if kind in features):
        try:
            width = columns(kind, skeleton)
            if kind not in read:
                compute(kind, standing, skeleton, fps)
        except ValueError as error:
            raise ValueError(f"--features {kind} at {fps:g} fps: {error}") from error
        repeated = kind not in read and bool(column_map(kind, skeleton).next_frame.any())
        kinds[kind] = Kind(width, int(repeated))
    return kinds


def require_motion(joints: Tensor, fps: float, file: Path) -> None:
    """Raises BadInput where there are less than the two frames that make a motion."""
    if len(joints) < 2:
        raise BadInput(file, f"is too short: {len(joints)} frames at {fps:g} fps, a motion needs 2")


def frames_of(
    joints: Tensor,
    kinds: Sequence[str],
    skeleton: Skeleton,
    fps: float,
    file: Path,
    read: Mapping[str, NDArray[np.float32]] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """The rows (T, C) of a clip's kinds, computed of its joints (T, J, 3) in metres but for those that were `read`.

    file: what BadInput names where they are not finite.
    """
    read = read or {}
    frames = {kind: read[kind] if kind in read else compute(kind, joints, skeleton, fps).numpy() for kind in kinds}
    for kind, rows in frames.items():
        if not np.isfinite(rows).all():
            raise BadInput(file, f"its {kind} features are not finite; do its limbs have a length in every frame?")
    return frames

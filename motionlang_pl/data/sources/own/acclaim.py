"""ASF/AMC (Acclaim), read by pyacclaim: a subject's bones in an .asf, the rotations of its bones in an .amc.

A bone's frame is that of its parent, turned about the bone's own axes; its point is where it ends.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.data.sources.own.recording import Recording
from motionlang_pl.data.sources.raw import BadInput
from motionlang_pl.motion.rotations import matrix_from_euler


def skeleton_file(motion: Path) -> Path:
    """The .asf of an .amc: the one whose name begins the motion's (02.asf, 02_01.amc), else the folder's only one."""
    found = sorted(motion.parent.glob("*.asf"))
    named = [file for file in found if motion.stem.startswith(file.stem)]
    if named:
        return max(named, key=lambda file: len(file.stem))
    if len(found) != 1:
        raise BadInput(
            motion, f"has no skeleton: none of {len(found)} .asf files beside it has the beginning of its name"
        )
    return found[0]


def read_amc(file: Path) -> Recording:
    """Reads a motion with its skeleton; the points are the root and the end of each bone, in inches for CMU's files."""
    try:
        import pyacclaim
    except ImportError as error:
        raise ValueError(f'{file}: reading ASF/AMC needs pyacclaim: pip install "motionlang-pl[import]"') from error
    skeleton = skeleton_file(file)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            asf = pyacclaim.loadASF(skeleton, verbose=False)
        frames: list[dict[str, NDArray[np.float64]]] = pyacclaim.loadAMC(asf, file)
        values = {name: torch.from_numpy(np.stack([frame[name] for frame in frames])) for name in frames[0]}
    except UnicodeDecodeError as error:
        raise BadInput(file, f"it or {skeleton.name} is not UTF-8 text") from error
    except (AssertionError, LookupError, ValueError, TypeError) as error:
        raise BadInput(
            file, f"pyacclaim can't read it with {skeleton.name} ({type(error).__name__}: {error})"
        ) from error
    points: dict[str, Tensor] = {}
    try:
        _place(asf["bones"]["root"], values, torch.zeros(1, 3, 1), torch.eye(3).expand(1, 3, 3), points)
    except ValueError as error:
        raise BadInput(file, str(error)) from error
    return Recording(tuple(points), torch.stack(list(points.values()), dim=1).numpy(), 0.0)


def _place(bone: Any, values: dict[str, Tensor], start: Tensor, above: Tensor, points: dict[str, Tensor]) -> None:
    """Adds the point (T, 3) of a bone that begins at `start` (T, 3, 1) under rotations `above` (T, 3, 3), and so on."""
    angles = values.get(bone.name, torch.zeros(1, 0))
    if bone.parent is None:
        start, angles = angles[:, :3].unsqueeze(-1), angles[:, 3:]
        free = [0, 1, 2]
    else:
        free = [] if bone.limits is None else [axis for axis in range(3) if bone.limits[axis].any()]
    if angles.shape[1] != len(free):
        raise ValueError(f"bone {bone.name} has {angles.shape[1]} angles and {len(free)} axes with limits")
    turns = torch.zeros(len(angles), 3, dtype=torch.float64)
    turns[:, free] = angles.double()
    axes = torch.from_numpy(bone.frame)
    # about x, then y, then z, all fixed in the bone's frame: from the left that reads z, y, x
    turned = above.double() @ axes @ matrix_from_euler("ZYX", turns.flip(-1).rad2deg()) @ axes.mT
    end = start.double() + turned @ torch.from_numpy(bone.direction * bone.length).unsqueeze(-1)
    points[bone.name] = end.squeeze(-1).expand(max(len(each) for each in values.values()), 3)
    for child in bone.children:
        _place(child, values, end, turned, points)

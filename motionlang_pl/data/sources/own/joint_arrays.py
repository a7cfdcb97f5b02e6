"""Joint positions in NumPy files: .npy (T, J, 3), or .npz with `joints` and what is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionlang_pl.data.sources.own.recording import Recording
from motionlang_pl.data.sources.raw import BadInput, checked, load_array, open_arrays
from motionlang_pl.motion.skeleton import MMM21, SMPL22

NAMES = {21: MMM21.joints, 22: SMPL22.joints, 24: (*SMPL22.joints, "left_hand", "right_hand")}
"""Whose joints an array without names has, by their number: MMM's, HumanML3D's, SMPL's."""


def read_npy(file: Path) -> Recording:
    """Reads positions; the file says nothing else."""
    points = load_array(file, (None, None, 3))
    return Recording(_names(file, points, ()), points.astype(np.float64), 0.0)


def read_npz(file: Path) -> Recording:
    """Reads `joints` (T, J, 3), and where they are there `names` (J,), `fps`, `unit` and `up`."""
    with open_arrays(file) as arrays:
        content: dict[str, NDArray[Any]] = {name: arrays[name] for name in arrays.files}
    if "joints" not in content:
        if {"poses", "trans"} <= set(content):
            raise BadInput(file, "holds SMPL's poses as AMASS does; `motionlang prepare amass` reads those")
        raise BadInput(file, f"has no array `joints`; it has {', '.join(content) or 'none'}")
    points = checked(file, content["joints"], (None, None, 3))
    names = _names(file, points, tuple(str(name) for name in content.get("names", np.array([])).ravel()))
    fps = content.get("fps", np.array(0.0))
    if fps.size != 1 or fps.dtype.kind not in "fiu" or not 0 <= float(fps.item()) < float("inf"):
        raise BadInput(file, f"its fps is {fps}, not a number of frames per second")
    unit, up = (str(content[name]) if name in content else "" for name in ("unit", "up"))
    return Recording(names, points.astype(np.float64), float(fps.item()), unit, up)


def _names(file: Path, points: NDArray[np.float32], names: tuple[str, ...]) -> tuple[str, ...]:
    count = points.shape[1]
    if names and len(names) != count:
        raise BadInput(file, f"has {len(names)} names for {count} joints")
    if not names and count not in NAMES:
        known = ", ".join(map(str, NAMES))
        raise BadInput(
            file, f"has {count} joints and no names; without names it takes {known}: write an .npz with `names`"
        )
    return names or NAMES[count]

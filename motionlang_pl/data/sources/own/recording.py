"""A recording as a user's file holds it: named points in the file's own unit, axes and frame rate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Recording(NamedTuple):
    """Named points over time.

    names: N of them, empty where the file has none (their number then says which they are).  points: (T, N, 3).
    fps: frames per second, 0 where the file does not say.  unit, up: as the file states them, empty where it does not.
    """

    names: tuple[str, ...]
    points: NDArray[np.float64]
    fps: float
    unit: str = ""
    up: str = ""

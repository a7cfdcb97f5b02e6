"""Other frame rates, by interpolation between the two nearest frames."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlang_pl.motion.rotations import orthonormalise


def resample_positions(x: Tensor, fps_in: float, fps_out: float) -> Tensor:
    """Return values (T', ...) at `fps_out` of values (T, ...) at `fps_in`, linearly; the first frame stays the first.

    The last new frame lies at or before the last old one.  A whole ratio (120 to 20) picks every sixth frame exactly.
    No frames give none.
    """
    if not len(x):
        return x
    last = int((len(x) - 1) * fps_out / fps_in + 1e-6)
    return positions_at(x, torch.arange(last + 1, dtype=torch.float64, device=x.device) * (fps_in / fps_out))


def positions_at(x: Tensor, places: Tensor) -> Tensor:
    """Return values (n, ...) at places (n,) float64 between the frames of values (T, ...), linearly.

    Place 2.5 lies between frames 2 and 3.  Whole places give those frames exactly; what lies beyond an end is the end.
    """
    last = len(x) - 1
    before = (places + 1e-6).long().clamp(max=last)
    after = (before + 1).clamp(max=last)
    share = (places - before).clamp(0, 1).to(x.dtype).view(-1, *[1] * (x.dim() - 1))
    return torch.lerp(x[before], x[after], share)


def resample_rotations(rot6d: Tensor, fps_in: float, fps_out: float) -> Tensor:
    """Return 6D rotations (T', J, 6) at `fps_out` of (T, J, 6) at `fps_in`.

    Interpolated in 6D as MoLang does (Kim 2023, sec. 3.1), then made orthonormal again.
    """
    return orthonormalise(resample_positions(rot6d, fps_in, fps_out))

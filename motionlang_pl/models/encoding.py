"""What every encoder returns, whatever it encodes; heads turn it into a representation."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Encoding(NamedTuple):
    """tokens: (B, N, D).  mask: (B, N) bool, True = real, neither padding nor special.  summary: (B, D)."""

    tokens: Tensor
    mask: Tensor
    summary: Tensor

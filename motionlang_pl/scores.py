"""Scores between two sets of vectors, higher is better: the only definitions, for losses, metrics and the index."""

from __future__ import annotations

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products in float32, under autocast too.  a: (Q, D).  b: (N, D).  Returns (Q, N)."""
    with torch.autocast(a.device.type, enabled=False):
        return a.float() @ b.float().T


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosines in float32, under autocast too; 0, with gradient 0, where a row is zero.

    a: (Q, D).  b: (N, D).  Returns (Q, N).
    """
    return dot(_unit(a), _unit(b))


def _unit(x: Tensor) -> Tensor:
    """Rows of length 1; a zero row stays zero (dividing by a small number instead would blow its gradient up)."""
    x = x.float()
    square = x.square().sum(dim=-1, keepdim=True)
    return x * torch.where(square > 0, square, 1).rsqrt().masked_fill(square == 0, 0)

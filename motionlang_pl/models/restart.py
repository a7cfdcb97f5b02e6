"""Dead-code restart: codewords that nobody uses become queries of the batch (as in Jukebox, Dhariwal et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlang_pl.models.masking import uniform

_NONE = torch.iinfo(torch.int64).max


class Candidates(NamedTuple):
    """Pairs whose queries a codeword may become.

    queries: (N, sides, width) float32, of length 1.  order: (N,) int64, lowest first; the largest int64 marks a pair
    that is none.
    """

    queries: Tensor
    order: Tensor


def candidates(key: Tensor, *sides: tuple[Tensor, Tensor]) -> Candidates:
    """One query of each motion and one of its sentence, in an order of pairs, all chosen by the keys.

    key: (B,) int64.  sides: queries (B, N, width) and mask (B, N) of each side.
    """
    real = torch.stack([mask.any(dim=1) for _, mask in sides]).all(dim=0)
    return Candidates(torch.stack([_one(key, *side) for side in sides], dim=1), key.masked_fill(~real, _NONE))


def _one(key: Tensor, queries: Tensor, mask: Tensor) -> Tensor:
    """The direction of one real token's query (B, width), chosen by the sample's key."""
    chosen = uniform(key, 6000, queries.shape[1]).masked_fill(~mask, -1.0).argmax(dim=1)
    rows = torch.arange(len(queries), device=queries.device)
    return F.normalize(queries.detach()[rows, chosen].float(), dim=1)


def between(new: Candidates) -> Tensor:
    """Direction half way between a pair's queries, each less the mean of its side.  Returns (N, width).

    A query of one side alone would make a codeword that only this side uses, and a query with what all queries have in
    common one that all use: pairs would have nothing in common, or everything (docs/stages.md). A single pair has 0.
    """
    real = (new.order < _NONE)[:, None, None]
    mean = (new.queries * real).sum(dim=0) / real.sum().clamp(min=1)
    return F.normalize(F.normalize(new.queries - mean, dim=2).sum(dim=1), dim=1)


def either(new: Candidates) -> Tensor:
    """One of a pair's queries as it is, by chance the motion's or the sentence's: the usual restart.  (N, width)."""
    side = new.order % new.queries.shape[1]
    return new.queries[torch.arange(len(side), device=side.device), side]


class Restart(nn.Module):
    """Counts the steps in which a codeword was not used, and restarts it when they are too many.

    A new value has the codewords' mean length.  The optimizer's moments are left as they are: what an unused codeword
    has gathered there comes from the orthogonality term alone, and moves the new value by a few learning rates.

    Args:
        codewords: Number K.
        after: Steps without use, over both modalities and all processes; 0 never restarts.
        direction: Of the new value, by candidate; where it is 0 a codeword is left alone.

    Attributes:
        idle: (K,) int64, steps since a codeword was last used; travels in the checkpoint.
    """

    idle: Tensor

    def __init__(self, codewords: int, after: int, direction: Callable[[Candidates], Tensor] = between) -> None:
        super().__init__()
        self.after = after
        self.direction = direction
        self.register_buffer("idle", torch.zeros(codewords, dtype=torch.long))

    def see(self, weights: Tensor) -> None:
        """Note which codewords the running step uses.  weights: (B, K), of all processes."""
        self.idle.masked_fill_((weights > 0).any(dim=0), -1)

    @torch.no_grad()
    def step(self, codewords: Tensor, new: Candidates) -> Tensor:
        """Count the step; the n-th codeword that has been idle for too long becomes the n-th candidate, in place.

        codewords: (K, width).  new: of all processes.  Returns how many were restarted, an int64 scalar.
        """
        self.idle += 1
        dead = (self.idle >= self.after) & (self.after > 0)
        number = dead.cumsum(dim=0) - 1
        values = self.direction(new)[new.order.argsort()][number.clamp(0, len(new.order) - 1)]
        restarted = dead & (number < (new.order < _NONE).sum()) & values.any(dim=1)
        codewords.copy_(torch.where(restarted[:, None], values * codewords.norm(dim=1).mean(), codewords))
        self.idle.masked_fill_(restarted, 0)
        return restarted.sum()

"""Scores between two sets of vectors, higher is better: the only definitions, for losses, metrics and the index."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_MOST_COSINES = 32_000_000  # held at once by `maxsim`: 128 MB


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products in float32, under autocast too.  a: (Q, D).  b: (N, D).  Returns (Q, N)."""
    with torch.autocast(a.device.type, enabled=False):
        return a.float() @ b.float().T


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosines in float32, under autocast too; 0, with gradient 0, where a row is zero.

    a: (Q, D).  b: (N, D).  Returns (Q, N).
    """
    return dot(_unit(a), _unit(b))


def maxsim(text: Tensor, motion: Tensor) -> Tensor:
    """Late interaction (ColBERT, Khattab & Zaharia 2020): each word's best cosine among a motion's tokens, their mean.

    MotionColBert takes the mean over a sentence's words where ColBERT takes the sum.  A zero row is no token: it has no
    say, whatever stands beside it; a sentence or a motion without any token scores 0, with gradient 0.  Float32, under
    autocast too.  Goes through the words in parts and computes each part's cosines again in the backward pass: memory
    grows with Q x L x N, never with Q x L x N x P.

    text: (Q, L, D).  motion: (N, P, D).  Returns (Q, N).
    """
    text, motion = text.float(), motion.float()
    spoken, real = text.ne(0).any(dim=-1), motion.ne(0).any(dim=-1)
    words, tokens = _unit(text[spoken]), _unit(motion)
    rows = max(1, _MOST_COSINES // max(1, real.numel()))
    best = [
        checkpoint(_best, part, tokens, real, use_reentrant=False, preserve_rng_state=False)
        for part in torch.split(words, rows)
    ]
    owner = spoken.nonzero()[:, 0]
    total = text.new_zeros(len(text), len(motion)).index_add(0, owner, torch.cat(best))
    return total / spoken.sum(dim=1, keepdim=True).clamp(min=1)


def _best(words: Tensor, tokens: Tensor, real: Tensor) -> Tensor:
    """Largest cosine of unit words (W, D) among real unit tokens (N, P, D), 0 where there are none: (W, N)."""
    cosines = dot(words, tokens.flatten(0, 1)).view(-1, *real.shape)
    best = cosines.masked_fill(~real, -2.0).amax(dim=2)  # below any cosine, and finite
    return best.masked_fill(~real.any(dim=1), 0.0)


def _unit(x: Tensor) -> Tensor:
    """Rows of length 1; a zero row stays zero (dividing by a small number instead would blow its gradient up)."""
    x = x.float()
    square = x.square().sum(dim=-1, keepdim=True)
    return x * torch.where(square > 0, square, 1).rsqrt().masked_fill(square == 0, 0)

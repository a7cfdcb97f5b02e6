"""What every encoder returns, whatever it encodes; heads turn it into a representation."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Encoding(NamedTuple):
    """tokens: (B, N, D).  mask: (B, N) bool, True = real, neither padding nor special.  summary: (B, D)."""

    tokens: Tensor
    mask: Tensor
    summary: Tensor


def own_summary(encoding: Encoding) -> Tensor:
    """The summary that the encoder made: of texts and the trunk the class token's state, which published recipes read.

    Returns (B, D).
    """
    return encoding.summary


def mean_token(encoding: Encoding) -> Tensor:
    """Mean of the real tokens, 0 where there is none.

    In an encoder that starts from noise, class tokens are the same for every sample (texts: cosine 0.99997), and a
    contrast of them stays at chance for its first hundreds of steps; means differ from the start (docs/LOG.md).

    Returns (B, D).
    """
    count = encoding.mask.sum(dim=1, keepdim=True).clamp(min=1)
    return encoding.tokens.masked_fill(~encoding.mask[..., None], 0.0).sum(dim=1) / count

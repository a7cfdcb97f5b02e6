"""Heads turn encodings into representations: terms of a vocabulary, projections for a contrast, frames as words."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.transformer import initialise

_MOST_LOGITS = 64_000_000  # logits held at once: 256 MB in float32


class LexicalHead(nn.Module):
    """BERT's masked-language-model head (Devlin 2019) on states of text or motion, with word embeddings lent to it.

    Args:
        width: Width D of states and word embeddings.
        vocabulary: Number of terms V.
        eps: Of the layer norm.
    """

    def __init__(self, width: int, vocabulary: int, eps: float = 1e-12) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.apply(initialise)

    @classmethod
    def like(cls, head: LexicalHead) -> LexicalHead:
        """A head of its own that starts as a copy of another, as LexLIP's image head does of the text's."""
        return copy.deepcopy(head)

    def forward(self, states: Tensor, word_embeddings: Tensor) -> Tensor:
        """states: (..., D).  word_embeddings: (V, D).  Returns logits (..., V)."""
        return F.linear(self.norm(F.gelu(self.dense(states))), word_embeddings, self.bias)

    def maxima(self, states: Tensor, mask: Tensor, word_embeddings: Tensor) -> Tensor:
        """Pool the logits: `lexical_max(self(states, word_embeddings), mask)` without ever holding a large (B, N, V).

        Beyond a bound it goes through the batch in parts and computes each part's logits again in the backward pass.

        states: (B, N, D).  mask: (B, N).  word_embeddings: (V, D).  Returns (B, V) float32, -inf where a row has no
        token.
        """
        rows = max(1, _MOST_LOGITS // (states.shape[1] * len(self.bias)))
        if rows >= len(states):
            return self._pooled(states, mask, word_embeddings)
        parts = zip(torch.split(states, rows), torch.split(mask, rows), strict=True)
        pooled = [checkpoint(self._pooled, *part, word_embeddings, use_reentrant=False) for part in parts]
        return torch.cat(pooled)

    def _pooled(self, states: Tensor, mask: Tensor, word_embeddings: Tensor) -> Tensor:
        return lexical_max(self(states, word_embeddings), mask)


def lexical_max(logits: Tensor, mask: Tensor) -> Tensor:
    """Largest logit of each term over the real tokens.

    logits: (B, N, V).  mask: (B, N).  Returns (B, V) float32, -inf where a row has no token.
    """
    return logits.masked_fill(~mask[..., None], -math.inf).amax(dim=1).float()


def lexical_vector(maxima: Tensor) -> Tensor:
    """Term weights log(1 + max(0, s)) (SPLADE-max, Formal et al. 2021).  maxima: (B, V).  Returns (B, V) float32."""
    return F.relu(maxima.float()).log1p()


class Projection(nn.Module):
    """A two-layer perceptron in front of a contrast (SimCLR, Chen et al. 2020).

    Args:
        width: Width of its input and of the layer between.
        out: Width of its output.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, out))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., out)."""
        return self.layers(x)  # type: ignore[no-any-return]


class FrameProjection(nn.Module):
    """Brings a motion's encoding to the text's width, one token for each `stride` frames, counted from the first frame.

    Args:
        width: Width of the motion's tokens.
        text_width: Width of the text's.
        stride: Frames per token; a token is the mean of those that are real.
    """

    def __init__(self, width: int, text_width: int, stride: int = 4) -> None:
        super().__init__()
        self.stride = stride
        self.linear = nn.Linear(width, text_width)
        self.apply(initialise)

    def forward(self, encoding: Encoding) -> Encoding:
        """Average and project: tokens (B, T, width) -> (B, ceil(T / stride), text_width)."""
        missing = -encoding.mask.shape[1] % self.stride
        groups = (-1, self.stride)
        mask = torch.unflatten(F.pad(encoding.mask, (0, missing)), 1, groups)
        frames = torch.unflatten(F.pad(encoding.tokens, (0, 0, 0, missing)), 1, groups)
        count = mask.sum(dim=2, keepdim=True).clamp(min=1)
        means = frames.masked_fill(~mask[..., None], 0.0).sum(dim=2) / count
        return Encoding(self.linear(means), mask.any(dim=2), self.linear(encoding.summary))

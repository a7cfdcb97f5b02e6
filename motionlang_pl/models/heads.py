"""Heads turn encodings into representations: terms of a vocabulary, projections for a contrast, frames as words."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.transformer import initialise

if TYPE_CHECKING:
    from motionlang_pl.models.tokenizer import Tokens

AnyHead = TypeVar("AnyHead", bound="TermHead")

_MOST_LOGITS = 64_000_000  # logits held at once: 256 MB in float32


class TermHead(nn.Module, ABC):
    """Gives every term of a vocabulary a weight, from states of text or motion and word embeddings lent to it."""

    @classmethod
    def like(cls, head: AnyHead) -> AnyHead:
        """A head of its own that starts as a copy of another, as LexLIP's image head does of the text's."""
        return copy.deepcopy(head)

    @abstractmethod
    def forward(self, states: Tensor, word_embeddings: Tensor) -> Tensor:
        """states: (..., D).  word_embeddings: (V, D).  Returns logits (..., V)."""

    @abstractmethod
    def weights(self, maxima: Tensor, said: Tokens | None = None) -> Tensor:
        """Turn each term's largest logit into its weight.

        maxima: (B, V), see `maxima`.  said: the words of a text; None for a motion.  Returns (B, V) float32,
        non-negative, 0 throughout where a row has no token.
        """

    def settle(self, maxima: Tensor, share: float) -> None:
        """Shift the head so that every term is active in `share` of some samples, where it can be shifted."""

    def maxima(self, states: Tensor, mask: Tensor, word_embeddings: Tensor) -> Tensor:
        """Pool the logits: `lexical_max(self(states, word_embeddings), mask)` without ever holding a large (B, N, V).

        Beyond a bound it goes through the batch, and through a long row, in parts and computes each part's logits again
        in the backward pass: memory does not grow with B x N x V.

        states: (B, N, D).  mask: (B, N).  word_embeddings: (V, D).  Returns (B, V) float32, -inf where a row has no
        token.
        """
        most = max(1, _MOST_LOGITS // len(word_embeddings))  # tokens at once
        if states.shape[0] * states.shape[1] <= most:
            return self._pooled(states, mask, word_embeddings)
        length = min(states.shape[1], most)
        rows = max(1, most // length)
        parts = zip(torch.split(states, rows), torch.split(mask, rows), strict=True)
        return torch.cat([self._in_parts(*part, word_embeddings, length) for part in parts])

    def _in_parts(self, states: Tensor, mask: Tensor, word_embeddings: Tensor, length: int) -> Tensor:
        """Pool parts of `length` tokens, then the parts' maxima."""
        parts = zip(torch.split(states, length, dim=1), torch.split(mask, length, dim=1), strict=True)
        pooled = [checkpoint(self._pooled, *part, word_embeddings, use_reentrant=False) for part in parts]
        return torch.stack(pooled).amax(dim=0)

    def _pooled(self, states: Tensor, mask: Tensor, word_embeddings: Tensor) -> Tensor:
        return lexical_max(self(states, word_embeddings), mask)


class LexicalHead(TermHead):
    """BERT's masked-language-model head (Devlin 2019); weights are SPLADE's.

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

    def forward(self, states: Tensor, word_embeddings: Tensor) -> Tensor:
        """states: (..., D).  word_embeddings: (V, D).  Returns logits (..., V)."""
        return F.linear(self.norm(F.gelu(self.dense(states))), word_embeddings, self.bias)

    def weights(self, maxima: Tensor, said: Tokens | None = None) -> Tensor:
        """See `lexical_vector`; what a text says makes no difference."""
        return lexical_vector(maxima)

    @torch.no_grad()
    def settle(self, maxima: Tensor, share: float) -> None:
        """Subtract from each term's bias what its logit exceeds in `share` of the samples, their median for a half.

        maxima: (B, V) of some samples; those without a token do not count.
        """
        maxima = maxima[maxima.isfinite().all(dim=1)]
        if len(maxima):
            self.bias.sub_(maxima.quantile(1 - share, dim=0))


class DisentanglementHead(TermHead):
    """VDR's head (Zhou et al., ICLR 2024): layer norm, word embeddings, elu + 1, the k strongest terms.

    elu(x) + 1 has no exact zeros: without the choice of k every vector would be dense.

    Args:
        width: Width D of states and word embeddings.
        vocabulary: Number of terms V.
        k: Terms that are kept (VDR: 768).
        skip: The vocabulary's first terms, which are never active (VDR: 999, BERT's unused ones and the special ones).
    """

    def __init__(self, width: int, vocabulary: int, k: int = 768, skip: int = 0) -> None:
        super().__init__()
        if not 0 <= skip < vocabulary:
            raise ValueError(f"skip {skip} leaves none of the {vocabulary} terms; 999 fits BERT's vocabulary only")
        self.norm = nn.LayerNorm(width)
        self.k = min(k, vocabulary)
        self.skip = skip

    def forward(self, states: Tensor, word_embeddings: Tensor) -> Tensor:
        """states: (..., D).  word_embeddings: (V, D).  Returns logits (..., V), -inf for the terms that are skipped."""
        logits = F.linear(self.norm(states), word_embeddings[self.skip :])
        return F.pad(logits, (self.skip, 0), value=-math.inf)

    def weights(self, maxima: Tensor, said: Tokens | None = None) -> Tensor:
        """elu(largest logit) + 1 of the k strongest terms, 0 elsewhere."""
        return (F.elu(maxima.float()) + 1) * self._strongest(maxima)

    def _strongest(self, maxima: Tensor) -> Tensor:
        return torch.zeros_like(maxima, dtype=torch.bool).scatter(1, maxima.topk(self.k, dim=1).indices, True)


class WordKeepingHead(DisentanglementHead):
    """The same, where a text also keeps the terms that it says (VDR's bag of words), however weak."""

    def weights(self, maxima: Tensor, said: Tokens | None = None) -> Tensor:
        """elu(largest logit) + 1 of the k strongest terms and of the words said, 0 elsewhere."""
        kept = self._strongest(maxima)
        if said is not None:
            words = torch.zeros_like(kept, dtype=torch.int64).scatter_add(1, said.ids, said.content.long())
            kept |= words > 0
        return (F.elu(maxima.float()) + 1) * kept


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
        width: Of its input, of the layer between and of its output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.layers(x)  # type: ignore[no-any-return]


class ResidualProjection(nn.Module):
    """Brings a summary to the width of a contrast, with a residual perceptron (MotionPatches, Yu et al. 2024).

    Args:
        width: Width of its input.
        out: Width of its output.
        dropout: Before the residual sum.
    """

    def __init__(self, width: int, out: int, dropout: float) -> None:
        super().__init__()
        self.projection = nn.Linear(width, out)
        self.dense = nn.Linear(out, out)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(out)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, out)."""
        projected = self.projection(x)
        return self.norm(projected + self.dropout(self.dense(F.gelu(projected))))  # type: ignore[no-any-return]


class FrameProjection(nn.Module):
    """Brings a motion's encoding to the text's width, one token for each `stride` frames, counted from the first frame.

    Args:
        width: Width of the motion's tokens.
        text_width: Width of the text's.
        stride: Frames per token; a token is the mean of those that are real.
    """

    def __init__(self, width: int, text_width: int, stride: int = 4) -> None:
        super().__init__()
        if stride < 1:
            raise ValueError(f"frame_stride {stride}: it must be at least 1")
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

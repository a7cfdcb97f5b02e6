"""A codebook that both modalities share, sparsely assigned (MSCode, Shi & Zhang 2026; rebuilt on FDT, Chen 2023)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from entmax import sparsemax
from torch import Tensor, nn


class CodebookQuery(nn.Module):
    """A modality's map from tokens to queries: Linear(LN(GELU(Linear(LN x)))) (FDT).

    Args:
        width: Width of the tokens.
        code_width: Width of a codeword.
    """

    def __init__(self, width: int, code_width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, code_width),
            nn.GELU(),
            nn.LayerNorm(code_width),
            nn.Linear(code_width, code_width),
        )
        self.apply(_unit_variance)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, width) -> (B, N, code_width)."""
        return self.layers(tokens)  # type: ignore[no-any-return]


def _unit_variance(module: nn.Module) -> None:
    """Queries and the words' logits start at unit variance as codewords do."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
        nn.init.zeros_(module.bias)


def cosine_match(queries: Tensor, codewords: Tensor) -> Tensor:
    """sqrt(width) * cosine: bounded, whatever training does to lengths.  (B, N, width), (K, width) -> (B, N, K)."""
    cosines = F.normalize(queries, dim=-1) @ F.normalize(codewords, dim=-1).T
    return math.sqrt(codewords.shape[1]) * cosines


def dot_match(queries: Tensor, codewords: Tensor) -> Tensor:
    """Inner product / sqrt(width), as FDT.  (B, N, width), (K, width) -> (B, N, K)."""
    return queries @ codewords.T / math.sqrt(codewords.shape[1])


class Codebook(nn.Module):
    """K codewords.  They start at unit variance, so that logits of unit-variance queries have unit variance.

    Args:
        codewords: Number K.
        width: Width of a codeword.
        match: Of queries with codewords, `cosine_match` or `dot_match`.
    """

    def __init__(
        self, codewords: int = 1024, width: int = 256, match: Callable[[Tensor, Tensor], Tensor] = cosine_match
    ) -> None:
        super().__init__()
        self.match = match
        self.codewords = nn.Parameter(torch.randn(codewords, width))

    def logits(self, queries: Tensor, mask: Tensor, temperature: float) -> Tensor:
        """Best match of each codeword with any real token, divided by the temperature.

        Padding is -inf; as 0, which FDT makes it, it would be a floor under every codeword.

        queries: (B, N, width).  mask: (B, N).  temperature: higher gives denser assignments.  Returns (B, K) float32, 0
        where a row has no token.
        """
        with torch.autocast(queries.device.type, enabled=False):
            matches = self.match(queries.float(), self.codewords.float())
            best = matches.masked_fill(~mask[..., None], -math.inf).amax(dim=1) / temperature
        return best.masked_fill(~mask.any(dim=1)[:, None], 0.0)

    def assign(self, queries: Tensor, mask: Tensor, temperature: float) -> Tensor:
        """Weights of the codewords: sparsemax of the logits, (B, K) on the simplex, uniform where there is no token."""
        weights: Tensor = sparsemax(self.logits(queries, mask, temperature), dim=-1)
        return weights

    def vector(self, weights: Tensor) -> Tensor:
        """Mix codewords.  weights: (B, K).  Returns (B, width) float32."""
        with torch.autocast(weights.device.type, enabled=False):
            return weights.float() @ self.codewords.float()


class ContentHead(nn.Module):
    """Logits of words from a mixture of codewords: its projection times each normalised word embedding, passed in.

    Directions, because embeddings that were never trained are too short to give logits of any size.

    Args:
        code_width: Width of a codeword.
        width: Width D of the word embeddings.
        vocabulary: Number of terms V.
    """

    def __init__(self, code_width: int, width: int, vocabulary: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(code_width), nn.Linear(code_width, width))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.apply(_unit_variance)

    def forward(self, vectors: Tensor, word_embeddings: Tensor) -> Tensor:
        """vectors: (B, code_width).  word_embeddings: (V, D), held fixed.  Returns logits (B, V)."""
        return F.linear(self.layers(vectors), F.normalize(word_embeddings.detach(), dim=1), self.bias)

"""Variational encoders of motions and sentences, and the decoder of motion (ACTOR, Petrovich et al. 2021, as in TMR).

The transformer is the one of Vaswani et al. (2017), normalised after each residual, unlike this project's trunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlang_pl.models.transformer import check_heads


@dataclass(frozen=True)
class Sizes:
    """Of a transformer; the defaults are TMR's.

    Args:
        width: Width D of states and latents.
        depth: Layers.
        heads: Attention heads; must divide the width.
        feedforward: Width of the feed-forward layers.
        dropout: On inputs, branches and feed-forward layers; not on attention weights, which rules out fused attention.
    """

    width: int = 256
    depth: int = 6
    heads: int = 4
    feedforward: int = 1024
    dropout: float = 0.1


class Gaussian(NamedTuple):
    """Diagonal Gaussians.  mean, log_variance: (B, D)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Turn standard normal noise (B, D) into a latent (B, D), with gradient to mean and variance."""
        return self.mean + (self.log_variance / 2).exp() * noise


class VariationalEncoder(nn.Module):
    """Reads a sequence of any length through two learnt tokens, which become a Gaussian's mean and log-variance.

    Args:
        sizes: Of the transformer.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(2, sizes.width))
        self.dropout = nn.Dropout(sizes.dropout)
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.depth))

    def forward(self, states: Tensor, mask: Tensor) -> Gaussian:
        """states: (B, N, D).  mask: (B, N), True = real; a row without any is read as nothing but the two tokens."""
        tokens = self.tokens.to(states.dtype).expand(len(states), -1, -1)
        x = torch.cat((tokens, states), dim=1)
        real = F.pad(mask, (2, 0), value=True)
        x = self.dropout(x + sinusoids(x.shape[1], x))
        for layer in self.layers:
            x = layer(x, real)
        return Gaussian(x[:, 0], x[:, 1])


class LatentDecoder(nn.Module):
    """Unfolds a latent into the states of a motion's frames; the queries are sinusoidal positions alone.

    Args:
        sizes: Of the transformer.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.dropout = nn.Dropout(sizes.dropout)
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.depth))

    def forward(self, latent: Tensor, mask: Tensor) -> Tensor:
        """latent: (B, D).  mask: (B, T), the frames that are wanted.  Returns (B, T, D); others mean nothing."""
        x: Tensor = self.dropout(sinusoids(mask.shape[1], latent).expand(len(latent), -1, -1))
        real = mask | ~mask.any(dim=1, keepdim=True)  # attention over no frame at all would be NaN
        for layer in self.layers:
            x = layer(x, real, latent)
        return x


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward.

    Args:
        sizes: Of the transformer.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention = SelfAttention(sizes)
        self.feedforward = FeedForward(sizes)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, N, D).  mask: (B, N), what is attended to.  Returns (B, N, D)."""
        return self.feedforward(self.attention(x, mask))  # type: ignore[no-any-return]


class DecoderLayer(nn.Module):
    """Self-attention, attention to the latent, then feed-forward.

    Args:
        sizes: Of the transformer.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention = SelfAttention(sizes)
        self.latent = LatentAttention(sizes)
        self.feedforward = FeedForward(sizes)

    def forward(self, x: Tensor, mask: Tensor, latent: Tensor) -> Tensor:
        """x: (B, T, D).  mask: (B, T), what is attended to.  latent: (B, D).  Returns (B, T, D)."""
        return self.feedforward(self.latent(self.attention(x, mask), latent))  # type: ignore[no-any-return]


class SelfAttention(nn.Module):
    """LN(x + attention(x)).

    Args:
        sizes: Of the transformer.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        check_heads(sizes.width, sizes.heads)
        self.heads = sizes.heads
        self.qkv = nn.Linear(sizes.width, 3 * sizes.width)
        self.attended = nn.Linear(sizes.width, sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.norm = nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, N, D).  mask: (B, N), what is attended to, at least one per row.  Returns (B, N, D)."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        return self.norm(x + self.dropout(self.attended(mixed.transpose(1, 2).flatten(2))))  # type: ignore[no-any-return]


class LatentAttention(nn.Module):
    """LN(x + attention of x to one latent): that is the latent's value whatever the query, so a linear map of it.

    Args:
        sizes: Of the transformer.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.value = nn.Linear(sizes.width, sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.norm = nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """x: (B, T, D).  latent: (B, D).  Returns (B, T, D)."""
        return self.norm(x + self.dropout(self.value(latent)[:, None].expand_as(x)))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """LN(x + Linear(GELU(Linear(x)))).

    Args:
        sizes: Of the transformer.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sizes.width, sizes.feedforward),
            nn.GELU(),
            nn.Dropout(sizes.dropout),
            nn.Linear(sizes.feedforward, sizes.width),
            nn.Dropout(sizes.dropout),
        )
        self.norm = nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        return self.norm(x + self.layers(x))  # type: ignore[no-any-return]


def sinusoids(length: int, like: Tensor) -> Tensor:
    """Sines and cosines of places, in turn, wavelengths from 2 pi to 10,000 * 2 pi (Vaswani et al. 2017, sec. 3.5).

    like: (..., D), of the width, type and device that are wanted.  Returns (length, D).
    """
    width = like.shape[-1]
    place = torch.arange(length, device=like.device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10_000) / width))
    return torch.stack(((place * rate).sin(), (place * rate).cos()), dim=-1).flatten(1)[:, :width].to(like.dtype)

"""Locality-aware Gaussian encoders that refine a motion's frame tokens (MSCode, Shi & Zhang 2026).

The abstract names a "locality-aware Gaussian encoder" and no more.  Two readings of it stand here, attention with a
Gaussian of the distance in time or along the skeleton, and poses as Gaussians; all forms are our reconstruction.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlang_pl.models.masking import normal
from motionlang_pl.models.transformer import TransformerLayer, check_heads, initialise
from motionlang_pl.motion.skeleton import Skeleton

ROWS = 512  # frames whose attention bias is laid out at a time


class PoseRefiner(nn.Module, ABC):
    """Refines the frame tokens that a trunk hands out; a module of its own, so that the trunk hands over strictly.

    Built for the trunk's width and a skeleton.
    """

    @abstractmethod
    def forward(self, tokens: Tensor, mask: Tensor, key: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Refine tokens, and say what each costs in the loss.

        tokens: (B, T, D).  mask: (B, T).  key: (B,) int64, keys the noise of a training step; None draws none. Returns
        tokens (B, T, D), 0 where padded, and costs (B, T).
        """


class Unrefined(PoseRefiner):
    """The trunk's tokens as they are, for the ablation."""

    def __init__(self, width: int, skeleton: Skeleton) -> None:
        super().__init__()

    def forward(self, tokens: Tensor, mask: Tensor, key: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the tokens."""
        return tokens, torch.zeros_like(tokens[..., 0])


class GaussianBias(nn.Module):
    """Additive attention bias -d^2 / (2 sigma_h^2) of a distance d, with a learnable sigma per head.

    Args:
        heads: Number of heads.
        least, most: Where the sigmas start, spread evenly in their logarithm.
    """

    def __init__(self, heads: int, least: float, most: float) -> None:
        super().__init__()
        start = torch.logspace(math.log2(least), math.log2(most), heads, base=2.0)
        self.raw = nn.Parameter(start + torch.log(-torch.expm1(-start)))  # softplus of this is the start

    @property
    def sigma(self) -> Tensor:
        """(heads,) float32, above 0."""
        return F.softplus(self.raw.float())

    def forward(self, distance: Tensor) -> Tensor:
        """distance: (N, N).  Returns (heads, N, N) float32, 0 on the diagonal."""
        return -distance.float().square() / (2 * self.sigma.square())[:, None, None]


class LocalLayer(TransformerLayer):
    """A transformer layer over frames whose heads look around a frame, each as wide as its sigma.

    Args: as `TransformerLayer`; least, most: sigmas at the start, in frames.
    """

    def __init__(
        self, width: int, heads: int, feedforward: int, dropout: float, least: float = 2.0, most: float = 16.0
    ) -> None:
        super().__init__(width, heads, feedforward, dropout)
        self.locality = GaussianBias(heads, least, most)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """With the bias, -inf at padding; a clip of nothing but padding has none.

        The bias is laid out for `ROWS` frames at a time, so that memory grows with T and not with its square.
        """
        place = torch.arange(mask.shape[1], device=mask.device)
        hidden = ~(mask | ~mask.any(dim=1, keepdim=True))[:, None, None]
        parts = []
        for rows, asked in zip(torch.split(place, ROWS), torch.split(query, ROWS, dim=2), strict=True):
            bias = self.locality(rows[:, None] - place).masked_fill(hidden, -math.inf)
            parts.append(F.scaled_dot_product_attention(asked, key, value, attn_mask=bias))
        return torch.cat(parts, dim=2)


class LocalGaussian(PoseRefiner):
    """Layers of attention in time, each head around the frame that it refines: the default reading.

    Args:
        width: Width D.
        skeleton: Not used; all refiners are built alike.
        heads: Attention heads, with sigmas that start from 2 to 16 frames.
        depth: Layers.
        feedforward: Width of the feed-forward layers.
        dropout: On both branches.
    """

    def __init__(
        self,
        width: int,
        skeleton: Skeleton,
        heads: int = 4,
        depth: int = 1,
        feedforward: int = 1024,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(LocalLayer(width, heads, feedforward, dropout) for _ in range(depth))
        self.apply(initialise)

    def forward(self, tokens: Tensor, mask: Tensor, key: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend to neighbouring frames; costs nothing."""
        x = tokens
        for layer in self.layers:
            x = layer(x, mask)
        return x.masked_fill(~mask[..., None], 0.0), torch.zeros_like(x[..., 0])


class LocalGaussianJoints(PoseRefiner):
    """Attention between the joints of a frame, by the number of bones between them: the same reading in space.

    A token is unfolded to joints as in the trunk's graph bottleneck.

    Args:
        width: Width D.
        skeleton: Whose bones.
        heads: Attention heads, with sigmas that start from 1 to 4 bones.
        joint_width: Width of a joint.
    """

    hops: Tensor

    def __init__(self, width: int, skeleton: Skeleton, heads: int = 4, joint_width: int = 32) -> None:
        super().__init__()
        check_heads(joint_width, heads)
        self.heads = heads
        self.register_buffer("hops", bones_between(skeleton), persistent=False)
        self.norm = nn.LayerNorm(width)
        self.unfold = nn.Linear(width, len(skeleton.joints) * joint_width)
        self.qkv = nn.Linear(joint_width, 3 * joint_width)
        self.fold = nn.Linear(len(skeleton.joints) * joint_width, width)
        self.locality = GaussianBias(heads, 1.0, 4.0)
        self.apply(initialise)

    def forward(self, tokens: Tensor, mask: Tensor, key: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend to neighbouring joints; costs nothing."""
        joints = self.unfold(self.norm(tokens)).unflatten(-1, (len(self.hops), -1))
        query, key_, value = self.qkv(joints).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        mixed = F.scaled_dot_product_attention(query, key_, value, attn_mask=self.locality(self.hops))
        x = tokens + self.fold(mixed.transpose(2, 3).flatten(2))
        return x.masked_fill(~mask[..., None], 0.0), torch.zeros_like(x[..., 0])


class GaussianPoses(PoseRefiner):
    """Each pose a Gaussian with a diagonal covariance, drawn from in training: the probabilistic reading.

    A draw is mu + sigma * noise (Kingma & Welling 2014); evaluation reads mu.  The divergence from N(0, 1) keeps the
    sigmas from shrinking to nothing.

    Args:
        width: Width D.
        skeleton: Not used; all refiners are built alike.
        divergence: Weight of the divergence, mean over D (TMR's: 1e-5).
    """

    def __init__(self, width: int, skeleton: Skeleton, divergence: float = 1e-5) -> None:
        super().__init__()
        self.divergence = divergence
        self.norm = nn.LayerNorm(width)
        self.shift = nn.Linear(width, width)
        self.log_variance = nn.Linear(width, width)
        self.apply(initialise)
        nn.init.constant_(self.log_variance.bias, 2 * math.log(0.1))

    def forward(self, tokens: Tensor, mask: Tensor, key: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw with a key, else take mu; costs the divergence."""
        normed = self.norm(tokens)
        mean, log_variance = tokens + self.shift(normed), self.log_variance(normed)
        cost = (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=-1) / 2
        x = mean
        if key is not None:
            x = mean + (log_variance / 2).exp() * normal(key, 5000, *mean.shape[1:])
        return x.masked_fill(~mask[..., None], 0.0), (self.divergence * cost).masked_fill(~mask, 0.0)


def bones_between(skeleton: Skeleton) -> Tensor:
    """Number of bones on the path between two joints.  Returns (J, J) float32."""
    step = skeleton.adjacency().float() + torch.eye(len(skeleton.joints))
    reached, hops = torch.eye(len(step)), torch.zeros(len(step), len(step))
    for _ in skeleton.joints:
        hops += reached == 0
        reached = ((reached @ step) > 0).float()
    return hops

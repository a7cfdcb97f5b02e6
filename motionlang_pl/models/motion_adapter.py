"""What of a motion encoder depends on the kind of features: standardisation, projections in and out, what is hidden.

A trunk hands over across feature kinds, an adapter only to its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.transformer import initialise
from motionlang_pl.motion.features import column_map
from motionlang_pl.motion.skeleton import skeleton

_CONSTANT = 1e-5  # columns with a smaller standard deviation say nothing: they are centred but not scaled


class Columns(nn.Module):
    """The columns of a feature kind: their standardisation, and which of them a hidden joint hides.

    Args:
        spec: The feature kind with the training split's mean and standard deviation.

    Attributes:
        kind, skeleton, fps: Of the features.
    """

    mean: Tensor
    std: Tensor
    column_joints: Tensor
    next_frame: Tensor

    def __init__(self, spec: MotionSpec) -> None:
        super().__init__()
        self.kind, self.skeleton, self.fps = spec.kind, spec.skeleton, spec.fps
        depends = column_map(spec.kind, skeleton(spec.skeleton))
        columns = len(depends.joints)
        if len(spec.mean) != columns:
            raise ValueError(f"{spec.kind} of {spec.skeleton} has {columns} columns, the store's mean {len(spec.mean)}")
        self.register_buffer("mean", spec.mean.clone())
        self.register_buffer("std", torch.where(spec.std > _CONSTANT, spec.std, 1.0))
        self.register_buffer("column_joints", depends.joints, persistent=False)
        self.register_buffer("next_frame", depends.next_frame, persistent=False)

    def standardise(self, features: Tensor) -> Tensor:
        """(B, T, C) as stored -> (B, T, C) with mean 0 and standard deviation 1 over the training split."""
        return (features - self.mean) / self.std

    def restore(self, standardised: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        return standardised * self.std + self.mean

    def hidden_columns(self, hidden: Tensor) -> Tensor:
        """Hide every column that tells about a hidden joint; a velocity does so one frame early too.

        hidden: (B, T, J) bool.  Returns (B, T, C) bool.
        """
        columns = (hidden.float() @ self.column_joints.T.float()) > 0
        following = torch.cat((columns[:, 1:], torch.zeros_like(columns[:, :1])), dim=1)
        return columns | (following & self.next_frame)


class Adapter(Columns, ABC):
    """Turns motions into a trunk's tokens, and a trunk's tokens back into motions."""

    @abstractmethod
    def forward(self, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Project to the trunk's width; what is hidden becomes 0, and the trunk is told so.

        With noise it becomes that, and nothing tells the trunk.

        hidden: (B, T, J) bool.  noise: (B, T, C), in standard deviations.  Returns (B, N, D).
        """

    @abstractmethod
    def real_tokens(self, mask: Tensor) -> Tensor:
        """Mark the tokens that are real.  mask: (B, T).  Returns (B, N) bool."""

    @abstractmethod
    def reconstruct(self, tokens: Tensor) -> Tensor:
        """(B, N, D) -> standardised features (B, T or a little more, C)."""

    @abstractmethod
    def freeze_pretraining(self) -> None:
        """Freeze what only masked modelling uses, for stages that hide and reconstruct nothing."""


class MotionAdapter(Adapter):
    """Turns frames of a feature kind into a trunk's input, and a trunk's tokens back into frames.

    Args:
        spec: The feature kind with the training split's mean and standard deviation.
        width: The trunk's width D.
    """

    def __init__(self, spec: MotionSpec, width: int) -> None:
        super().__init__(spec)
        columns, joints = self.column_joints.shape
        self.input = nn.Linear(columns, width)
        self.hidden = nn.Linear(joints, width, bias=False)
        self.output = nn.Linear(width, columns)
        self.apply(initialise)

    def forward(self, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Project frames to the trunk's width; what is hidden becomes 0, and the trunk is told so.

        With noise it becomes that, and nothing tells the trunk (MoLang, sec. 3.1).

        hidden: (B, T, J) bool.  noise: (B, T, C), in standard deviations.  Returns (B, T, D); padded frames mean
        nothing.
        """
        x = self.standardise(motion.features)
        if hidden is None:
            return self.input(x)  # type: ignore[no-any-return]
        columns = self.hidden_columns(hidden)
        if noise is not None:
            return self.input(torch.where(columns, noise, x))  # type: ignore[no-any-return]
        x = x.masked_fill(columns, 0.0)
        return self.input(x) + self.hidden(hidden.to(x.dtype))  # type: ignore[no-any-return]

    def real_tokens(self, mask: Tensor) -> Tensor:
        """Mark the tokens that are real.  mask: (B, T).  Returns (B, T) bool: a token per frame."""
        return mask

    def reconstruct(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> standardised features (B, T, C)."""
        return self.output(tokens)  # type: ignore[no-any-return]

    def freeze_pretraining(self) -> None:
        """Freeze what only masked modelling uses, for stages that hide and reconstruct nothing."""
        self.hidden.requires_grad_(False)
        self.output.requires_grad_(False)

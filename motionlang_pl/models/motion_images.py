"""Motions as images that a vision transformer reads: of the joints' chains, or of joint angles.

They stand where a trunk has its adapter: standardisation, and what depends on the kind of features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.motion_adapter import Columns
from motionlang_pl.motion.images import FRAMES, angle_bands, angle_image, chain_image, chain_matrix
from motionlang_pl.motion.skeleton import skeleton


class MotionImages(Columns, ABC):
    """Turns frames of a feature kind into images whose rows are frames; frames after the 224th are left out.

    Args:
        spec: The feature kind with the training split's mean and standard deviation.

    Attributes:
        reads: The feature kind.  size: Height and width of an image.
    """

    reads: ClassVar[str]
    size: ClassVar[tuple[int, int]]

    def __init__(self, spec: MotionSpec) -> None:
        if spec.kind != self.reads:
            raise ValueError(
                f"{type(self).__name__} are made of {self.reads}, this run reads {spec.kind}; "
                f"set --data.features {self.reads}"
            )
        super().__init__(spec)

    def forward(
        self, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, 224, width), 0 where there is no frame, and their mask over frames (B, 224).

        What is hidden becomes noise, or 0.  hidden: (B, T, J) bool.  noise: (B, T, C), in standard deviations.
        """
        x = self.standardise(motion.features)
        if hidden is not None:
            x = torch.where(self.hidden_columns(hidden), torch.zeros_like(x) if noise is None else noise, x)
        return self.draw(x, motion.mask)

    @abstractmethod
    def draw(self, columns: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Images and their mask over frames, of standardised columns (B, T, C) and their mask (B, T)."""


class ChainImages(MotionImages):
    """Five kinematic chains of 16 points each, with x, y and z as channels (MotionPatches, Yu et al. 2024)."""

    reads = "joints"
    size = (FRAMES, 80)
    matrix: Tensor

    def __init__(self, spec: MotionSpec) -> None:
        super().__init__(spec)
        self.register_buffer("matrix", chain_matrix(skeleton(spec.skeleton)), persistent=False)

    def draw(self, columns: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `motion.images.chain_image`."""
        return chain_image(torch.unflatten(columns, -1, (-1, 3)), self.matrix, mask)


class AngleImages(MotionImages):
    """14 parts of joint angles, each projected to 16 numbers, in three equal channels (MotionColBert, 2603.09930).

    One Linear per part is one weight with zeros between the parts; it starts as the Linears would, from
    U(-1/sqrt(n), 1/sqrt(n)) for the n angles of a part.
    """

    reads = "angles"
    size = (FRAMES, FRAMES)
    bands: Tensor

    def __init__(self, spec: MotionSpec) -> None:
        super().__init__(spec)
        bands = angle_bands()
        bound = bands.sum(dim=1).rsqrt()
        self.register_buffer("bands", bands, persistent=False)
        self.weight = nn.Parameter((2 * torch.rand(bands.shape) - 1) * bound[:, None] * bands)
        self.bias = nn.Parameter((2 * torch.rand(len(bands)) - 1) * bound)

    def draw(self, columns: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `motion.images.angle_image`."""
        return angle_image(columns, self.weight * self.bands, self.bias, mask)

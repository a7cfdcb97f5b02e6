"""The motion side of a stage that any encoder can serve: an adapter and an encoder, chosen by class_path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.motion_encoder import MotionEncoder, encode_frames
from motionlang_pl.motion.skeleton import Skeleton, skeleton


class MotionParts(NamedTuple):
    """What a motion side is built from again, and its modules; the encoder has a `width`."""

    spec: MotionSpec
    adapter: nn.Module
    encoder: nn.Module


class MotionModel(ABC):
    """Where a motion side comes from, and how its two modules read a motion.

    Attributes:
        reading: How long motions are read where that is not in windows; part of the evaluation protocol's name.
    """

    reading: str = ""

    @abstractmethod
    def build(self, spec: MotionSpec) -> MotionParts:
        """Build the modules for a feature kind; of a checkpoint's spec with new weights, fetching nothing."""

    @abstractmethod
    def encode(
        self, adapter: Any, encoder: Any, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None
    ) -> Encoding:
        """Motions through adapter and encoder.  hidden: (B, T, J) bool.  noise: (B, T, C), in standard deviations."""


class FrameMotion(MotionModel):
    """The trunk on frames of any feature kind, which takes over from `mmp` and `cmmm`; its summary is the class token.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
    """

    def __init__(self, motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder) -> None:
        self.motion_encoder = motion_encoder

    def build(self, spec: MotionSpec) -> MotionParts:
        """Trunk and adapter; what only masked modelling uses of the adapter is frozen."""
        encoder = self.motion_encoder(skeleton(spec.skeleton))
        adapter = encoder.adapter(spec)
        adapter.freeze_pretraining()
        return MotionParts(spec, adapter, encoder)

    def encode(
        self, adapter: Any, encoder: Any, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None
    ) -> Encoding:
        """Motions longer than the trunk's `max_frames` in overlapping windows."""
        return encode_frames(adapter, encoder, motion, hidden, noise)

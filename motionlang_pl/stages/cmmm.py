"""CMMM, contrastive masked motion modelling (LexMotion, Lyu et al., ICLR 2025).

The paper gives name and purpose; formulas are our reconstruction (docs/stages.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather, gather_plain
from motionlang_pl.losses.contrastive import info_nce
from motionlang_pl.losses.masked import masked_mse
from motionlang_pl.models.heads import Projection
from motionlang_pl.models.masking import view_hidden
from motionlang_pl.models.motion_adapter import MotionAdapter
from motionlang_pl.models.motion_encoder import MotionEncoder, encode_windows
from motionlang_pl.motion.skeleton import Skeleton, skeleton
from motionlang_pl.scores import cosine
from motionlang_pl.stages.base import Stage


class CMMM(Stage):
    """Contrastive masked motion modelling.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
        ratio: Share of a motion that a view hides, as spans of frames or as body parts.
        contrast: Weight of the contrast between the two views.
        temperature: Of that contrast.
        decoder_depth: Layers of the decoder that reconstructs from the trunk's tokens.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    reads = "motion"

    def __init__(
        self,
        motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder,
        ratio: float = 0.6,
        contrast: float = 1.0,
        temperature: float = 0.1,
        decoder_depth: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_motion_encoder = motion_encoder
        self.ratio = ratio
        self.contrast = contrast
        self.temperature = temperature
        self.decoder_depth = decoder_depth

    def assemble(self, corpus: Corpus) -> None:
        """Adapter, trunk, a light decoder and the projection of the contrast."""
        assert corpus.motion is not None
        self.skeleton = skeleton(corpus.motion.skeleton)
        self.motion_encoder = self.build_motion_encoder(self.skeleton)
        width, heads = self.motion_encoder.width, self.motion_encoder.heads
        self.motion_adapter = MotionAdapter(corpus.motion, width)
        self.motion_decoder = MotionEncoder(
            self.skeleton,
            width=width,
            depth=self.decoder_depth,
            heads=heads,
            feedforward=2 * width,
            dropout=0.0,
            max_frames=self.motion_encoder.max_frames,
            graph_after=0,
        )
        self.projection = Projection(width, width)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L = L_rec(hidden columns) + contrast * InfoNCE(view 1, view 2)."""
        assert batch.motion is not None
        features, mask = batch.motion
        joints, parts = len(self.skeleton.joints), self.skeleton.parts
        hidden = torch.cat([view_hidden(batch.key, view, mask, parts, joints, self.ratio) for view in (1, 2)])
        views = Motion(features.repeat(2, 1, 1), mask.repeat(2, 1))
        encoding = self.encode_motion(views, hidden)
        decoded = encode_windows(self.motion_decoder, encoding.tokens, views.mask)
        predicted = self.motion_adapter.reconstruct(decoded.tokens)
        columns = self.motion_adapter.hidden_columns(hidden) & views.mask[..., None]
        reconstruction = masked_mse(predicted, self.motion_adapter.standardise(views.features), columns)
        count = views.mask.sum(1, keepdim=True).clamp(min=1)
        means = (encoding.tokens * views.mask[..., None]).sum(1) / count
        first, second = self.projection(means).chunk(2)
        real = gather_plain(batch.sample) >= 0
        contrast = info_nce(cosine(gather(first)[real], gather(second)[real]) / self.temperature)
        return {
            "loss": reconstruction + self.contrast * contrast,
            "reconstruction": reconstruction,
            "contrast": contrast,
        }

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Two masked views of each motion."""
        losses = self.losses(batch)
        self.record("train", losses)
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Reconstruction and contrast with each sample's masks fixed."""
        self.record("val", self.losses(batch))

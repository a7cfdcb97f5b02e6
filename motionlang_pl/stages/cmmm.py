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
from motionlang_pl.models.encoding import mean_token
from motionlang_pl.models.heads import Projection
from motionlang_pl.models.masking import view_hidden
from motionlang_pl.models.motion_encoder import MotionEncoder, encode_windows
from motionlang_pl.models.targets import over_the_split
from motionlang_pl.models.temperature import check_temperature
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
        target: What is reconstructed; the alternative is motionlang_pl.models.targets.over_the_clip.
        differences: Weight of a second target, the hidden columns' change from frame to frame.
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
        target: Callable[[Tensor, Tensor], Tensor] = over_the_split,
        differences: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_temperature(temperature)
        if not 0 < ratio < 1:
            raise ValueError(f"ratio {ratio:g}: it is a share, between 0 and 1")
        self.build_motion_encoder = motion_encoder
        self.ratio = ratio
        self.contrast = contrast
        self.temperature = temperature
        self.decoder_depth = decoder_depth
        self.target = target
        self.differences = differences

    def assemble(self, corpus: Corpus) -> None:
        """Adapter, trunk, a light decoder and the projection of the contrast."""
        assert corpus.motion is not None
        self.skeleton = skeleton(corpus.motion.skeleton)
        self.motion_encoder = self.build_motion_encoder(self.skeleton)
        self.motion_adapter = self.motion_encoder.adapter(corpus.motion)
        self.motion_decoder = self.motion_encoder.shallow(self.skeleton, self.decoder_depth)
        self.projection = Projection(self.motion_encoder.width)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L = L_rec(hidden columns) + contrast * InfoNCE(view 1, view 2) [+ differences * L_rec(their changes)]."""
        assert batch.motion is not None
        features, mask = batch.motion
        views = Motion(features.repeat(2, 1, 1), mask.repeat(2, 1))
        hidden = torch.cat([self._hidden(batch.key, view, mask) for view in (1, 2)])
        encoding = self.encode_motion(views, hidden)
        decoded = encode_windows(self.motion_decoder, encoding.tokens, encoding.mask)
        predicted = self.motion_adapter.reconstruct(decoded.tokens)[:, : mask.shape[1]]
        columns = self.motion_adapter.hidden_columns(hidden) & views.mask[..., None]
        target = self.target(self.motion_adapter.standardise(features), mask).repeat(2, 1, 1)
        reconstruction = masked_mse(predicted, target, columns)
        moved = predicted if self.differences else predicted.detach()
        changes = masked_mse(moved.diff(dim=1), target.diff(dim=1), columns[:, 1:] & columns[:, :-1])
        first, second = self.projection(mean_token(encoding)).chunk(2)
        real = gather_plain(batch.sample) >= 0
        contrast = info_nce(cosine(gather(first)[real], gather(second)[real]) / self.temperature)
        return {
            "loss": reconstruction + self.contrast * contrast + self.differences * changes,
            "reconstruction": reconstruction,
            "differences": changes,
            "contrast": contrast,
        }

    def _hidden(self, key: Tensor, view: int, mask: Tensor) -> Tensor:
        parts, joints = self.skeleton.parts, len(self.skeleton.joints)
        return view_hidden(key, view, mask, parts, joints, self.ratio, self.motion_encoder.frames_per_token)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Two masked views of each motion."""
        losses = self.losses(batch)
        self.record("train", {**losses, "temperature": losses["loss"].new_tensor(self.temperature)})
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Reconstruction and contrast with each sample's masks fixed."""
        self.record_validation(batch, self.losses(batch))

"""MMP, masked motion prediction (MoLang, Kim et al. 2023, sec. 3.1): predict a motion whose span is noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from motionlang_pl.data.batch import Batch, Corpus
from motionlang_pl.losses.masked import all_frames, masked_l1
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.masking import normal, span_hidden
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.motion.skeleton import Skeleton, skeleton
from motionlang_pl.stages.base import Stage


class MMP(Stage):
    """Masked motion prediction.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
        longest_span: Frames; a span's length is drawn from U(1, longest_span) (sec. 3.1: 30).
        loss_on: What is predicted: all_frames or hidden_frames of motionlang_pl.losses.masked.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    reads = "motion"

    def __init__(
        self,
        motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder,
        longest_span: int = 30,
        loss_on: Callable[[Tensor, Tensor], Tensor] = all_frames,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_motion_encoder = motion_encoder
        self.longest_span = longest_span
        self.loss_on = loss_on

    def assemble(self, corpus: Corpus) -> None:
        """Adapter and trunk."""
        assert corpus.motion is not None
        self.motion_encoder = self.build_motion_encoder(skeleton(corpus.motion.skeleton))
        self.motion_adapter = self.motion_encoder.adapter(corpus.motion)
        self.motion_adapter.hidden.requires_grad_(False)  # noise tells nothing of where it is

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L1 over all real frames (the loss, unless `loss_on` says otherwise), and over the hidden span alone."""
        _, l1, hidden_l1 = encode_noised(self, batch, self.longest_span, self.loss_on)
        return {"loss": l1, "hidden_l1": hidden_l1}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Predict the motion whose span is noise."""
        losses = self.losses(batch)
        self.record("train", losses)
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The same, with each sample's span fixed."""
        self.record_validation(batch, self.losses(batch))

    def reconstruct(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Motions whose span was noise as they are predicted, features as stored (B, T, C), and the span (B, T)."""
        _, predicted, hidden = _predict(self, batch, self.longest_span)
        return self.motion_adapter.restore(predicted), hidden.any(dim=2)


def encode_noised(
    stage: Stage, batch: Batch, longest_span: int, loss_on: Callable[[Tensor, Tensor], Tensor] = all_frames
) -> tuple[Encoding, Tensor, Tensor]:
    """Encodes motions of which a span is noise, and decodes them: L1 where the loss is, and over the hidden span."""
    assert batch.motion is not None
    encoding, predicted, hidden = _predict(stage, batch, longest_span)
    target = stage.motion_adapter.standardise(batch.motion.features)
    real = batch.motion.mask[..., None].expand_as(target)
    columns = stage.motion_adapter.hidden_columns(hidden) & real
    return (
        encoding,
        masked_l1(predicted, target, loss_on(real, columns)),
        masked_l1(predicted.detach(), target, columns),
    )


def _predict(stage: Stage, batch: Batch, longest_span: int) -> tuple[Encoding, Tensor, Tensor]:
    """Encodings of motions of which a span is noise, standardised predictions (B, T, C), what is hidden (B, T, J)."""
    assert batch.motion is not None
    adapter, (features, mask) = stage.motion_adapter, batch.motion
    hidden = span_hidden(batch.key, mask, len(skeleton(adapter.skeleton).joints), longest_span)
    encoding = stage.encode_motion(batch.motion, hidden, normal(batch.key, 1, *features.shape[1:]))
    return encoding, adapter.reconstruct(encoding.tokens)[:, : features.shape[1]], hidden

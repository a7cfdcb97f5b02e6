"""Dense: one vector per motion and per sentence, contrasted; the plain baseline, and MotionPatches (Yu et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather
from motionlang_pl.losses.contrastive import info_nce
from motionlang_pl.models.encoding import Encoding, own_summary
from motionlang_pl.models.heads import ResidualProjection
from motionlang_pl.models.motion_model import FrameMotion, MotionModel
from motionlang_pl.models.temperature import Temperature
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.scores import cosine
from motionlang_pl.stages.false_negatives import EqualCaptions, FalseNegatives
from motionlang_pl.stages.retrieval import MotionModelStage


class Dense(MotionModelStage):
    """A dual encoder.

    Args:
        motion: The motion side: ImageMotion (a vision transformer on motion images) or FrameMotion (the trunk).
        text: The language model.
        summary: What of an encoding is contrasted; the alternative is motionlang_pl.models.encoding.mean_token.
        width: Width of the vectors that are compared.
        dropout: Of both projection heads (MotionPatches: 0.5 on HumanML3D, 0 on KIT-ML).
        temperature: Where the learnable temperature starts.
        false_negatives: Which pairs InfoNCE leaves out; the paper's are `NoFalseNegatives`.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    def __init__(
        self,
        motion: MotionModel | None = None,
        text: TextModel | None = None,
        summary: Callable[[Encoding], Tensor] = own_summary,
        width: int = 256,
        dropout: float = 0.5,
        temperature: float = 0.07,
        false_negatives: FalseNegatives | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.motion = motion or FrameMotion()
        self.text = text or SmallText()
        self.summary = summary
        self.vector_width = width
        self.dropout = dropout
        self.start_temperature = temperature
        self.false_negatives = false_negatives or EqualCaptions()

    def assemble(self, corpus: Corpus) -> None:
        """Both encoders and their heads."""
        assert corpus.motion is not None and corpus.text is not None
        self.take_motion(self.motion.build(corpus.motion))
        self.take_text(self.text.build(corpus.text))
        del self.text_lexical_head
        self.temperature = Temperature(self.start_temperature)
        self.assemble_heads()

    def assemble_heads(self) -> None:
        """A projection for each modality."""
        self.motion_head = ResidualProjection(self.motion_encoder.width, self.vector_width, self.dropout)
        self.text_head = ResidualProjection(self.text_encoder.width, self.vector_width, self.dropout)

    def motion_vectors(self, motion: Motion) -> Tensor:
        """Projected summaries (B, width)."""
        return self.motion_head(self.summary(self.encode_motion(motion))).float()  # type: ignore[no-any-return]

    def text_vectors(self, captions: list[str]) -> Tensor:
        """Projected summaries (B, width)."""
        return self.text_head(self.summary(self.encode_text(self.tokenize(captions)))).float()  # type: ignore[no-any-return]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L = InfoNCE(cosine / temperature)."""
        assert batch.motion is not None and batch.captions is not None
        text, motion = gather(self.text_vectors(batch.captions)), gather(self.motion_vectors(batch.motion))
        loss = info_nce(self.temperature(cosine(text, motion)), self.false_negatives(batch))
        self.record("train", {"loss": loss, "temperature": self.temperature.value})
        return loss

"""CstAR (MoLang, Kim et al. 2023, sec. 3.2): contrast of motions and sentences while the motion is reconstructed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather
from motionlang_pl.losses.contrastive import info_nce
from motionlang_pl.models.encoding import Encoding, own_summary
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.models.temperature import Temperature
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.models.transformer import initialise
from motionlang_pl.motion.skeleton import Skeleton, skeleton
from motionlang_pl.scores import cosine
from motionlang_pl.stages.false_negatives import EqualCaptions, FalseNegatives
from motionlang_pl.stages.mmp import encode_noised
from motionlang_pl.stages.retrieval import RetrievalStage


class CstAR(RetrievalStage):
    """Contrast and reconstruction: both summaries in one space, the motion's read from a masked motion.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
        text: The language model (MoLang: BERT).
        summary: What of an encoding is contrasted; the alternative is motionlang_pl.models.encoding.mean_token.
        longest_span: Frames; in training a span of U(1, longest_span) is noise, as in MMP.
        temperature: Where the learnable temperature starts (MoLang: 0.07).
        reconstruction: Weight of the L1 between decoded and input motion (MoLang: 10).
        false_negatives: Which pairs InfoNCE leaves out; null: equal captions.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    def __init__(
        self,
        motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder,
        text: TextModel | None = None,
        summary: Callable[[Encoding], Tensor] = own_summary,
        longest_span: int = 30,
        temperature: float = 0.07,
        reconstruction: float = 10.0,
        false_negatives: FalseNegatives | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_motion_encoder = motion_encoder
        self.text = text or SmallText()
        self.summary = summary
        self.longest_span = longest_span
        self.start_temperature = temperature
        self.reconstruction = reconstruction
        self.false_negatives = false_negatives or EqualCaptions()

    def assemble(self, corpus: Corpus) -> None:
        """Both encoders, and the projection of the motion's class token to the text's width."""
        assert corpus.motion is not None and corpus.text is not None
        self.motion_encoder = self.build_motion_encoder(skeleton(corpus.motion.skeleton))
        self.motion_adapter = self.motion_encoder.adapter(corpus.motion)
        self.motion_adapter.hidden.requires_grad_(False)  # noise tells nothing of where it is
        self.take_text(self.text.build(corpus.text))
        self.motion_projection = nn.Linear(self.motion_encoder.width, self.text_encoder.width).apply(initialise)
        self.temperature = Temperature(self.start_temperature)
        del self.text_lexical_head

    def motion_vectors(self, motion: Motion) -> Tensor:
        """Projected summaries (B, text width) of whole motions."""
        return self.motion_projection(self.summary(self.encode_motion(motion))).float()  # type: ignore[no-any-return]

    def text_vectors(self, captions: list[str]) -> Tensor:
        """Summaries (B, text width)."""
        return self.summary(self.encode_text(self.tokenize(captions))).float()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L = InfoNCE(cosine / temperature) + reconstruction * L1(decoded motion, motion) over all real frames."""
        assert batch.motion is not None and batch.captions is not None
        encoding, l1, hidden_l1 = encode_noised(self, batch, self.longest_span)
        motion = gather(self.motion_projection(self.summary(encoding)).float())
        text = gather(self.text_vectors(batch.captions))
        contrast = info_nce(self.temperature(cosine(text, motion)), self.false_negatives(batch))
        loss = contrast + self.reconstruction * l1
        return {"loss": loss, "contrast": contrast, "reconstruction": l1, "hidden_l1": hidden_l1}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One masked motion against its sentence."""
        losses = self.losses(batch)
        self.record("train", {**losses, "temperature": self.temperature.value})
        return losses["loss"]

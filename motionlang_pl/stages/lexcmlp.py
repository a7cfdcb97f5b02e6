"""LexCMLP (LexMotion, Lyu et al., ICLR 2025): contrast of motions and sentences as sparse vectors over the words.

The paper gives name and purpose; formulas follow LexLIP (Luo et al., ICCV 2023) and SPLADE (Formal et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather, gather_plain
from motionlang_pl.losses.contrastive import info_nce, same_caption
from motionlang_pl.losses.lexical import active_terms, flops
from motionlang_pl.models.heads import FrameProjection, LexicalHead, lexical_vector
from motionlang_pl.models.motion_adapter import MotionAdapter
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.models.temperature import Temperature
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.motion.skeleton import Skeleton, skeleton
from motionlang_pl.scores import cosine
from motionlang_pl.stages.retrieval import RetrievalStage


class LexCMLP(RetrievalStage):
    """Lexical contrastive motion-language pretraining.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
        text: The language model, the same as LexMLM's.
        frame_stride: Frames that are averaged into one token of the lexical head.
        temperature: Where the learnable temperature starts.
        flops_text: Weight of the sparsity term on text (SPLADE: 3e-4), reached over the first third of the steps.
        flops_motion: Weight of the sparsity term on motion (SPLADE's documents: 1e-4).
        start_terms: Active terms per sample at the start of a fresh fit, at most an eighth of the vocabulary.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    def __init__(
        self,
        motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder,
        text: TextModel | None = None,
        frame_stride: int = 4,
        temperature: float = 0.07,
        flops_text: float = 3e-4,
        flops_motion: float = 1e-4,
        start_terms: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_motion_encoder = motion_encoder
        self.text = text or SmallText()
        self.frame_stride = frame_stride
        self.start_temperature = temperature
        self.flops_text = flops_text
        self.flops_motion = flops_motion
        self.start_terms = start_terms

    def assemble(self, corpus: Corpus) -> None:
        """Both encoders with their lexical heads on one vocabulary."""
        assert corpus.motion is not None and corpus.text is not None
        self.motion_encoder = self.build_motion_encoder(skeleton(corpus.motion.skeleton))
        self.motion_adapter = MotionAdapter(corpus.motion, self.motion_encoder.width)
        self.motion_adapter.freeze_pretraining()
        self.take_text(self.text.build(corpus.text))
        self.motion_projection = FrameProjection(self.motion_encoder.width, self.text_encoder.width, self.frame_stride)
        self.motion_lexical_head = LexicalHead.like(self.text_lexical_head)
        self.temperature = Temperature(self.start_temperature)

    def setup(self, stage: str) -> None:
        """Builds the modules; on a fresh fit settles the heads' offsets, see `settle_offsets`."""
        fresh = not self._assembled and self.trainer.ckpt_path is None
        super().setup(stage)
        if fresh:
            self.settle_offsets(self.trainer.datamodule.example())  # type: ignore[attr-defined]

    @torch.no_grad()
    def settle_offsets(self, batch: Batch) -> None:
        """Shifts both heads' biases so that about `start_terms` terms of a sample are active.

        The softmax of the bottleneck does not see a common offset of the logits, so LexMLM and LexMMM leave it
        anywhere; the ReLU of a lexical vector does. Left alone, most terms would be active, whatever they mean.
        """
        assert batch.motion is not None and batch.captions is not None
        self.eval()
        count = max(1, min(self.start_terms, self.tokenizer.vocabulary // 8))
        for head, maxima in (
            (self.text_lexical_head, self._text_maxima(batch.captions)),
            (self.motion_lexical_head, self._motion_maxima(batch.motion)),
        ):
            head.bias.sub_(maxima.topk(count, dim=1).values[:, -1].median())
        self.train()

    @property
    def terms(self) -> list[str]:
        """The vocabulary."""
        return self.tokenizer.terms

    def lexical_motion(self, motion: Motion) -> Tensor:
        """Term weights (B, V) of motions."""
        return lexical_vector(self._motion_maxima(motion))

    def lexical_text(self, captions: list[str]) -> Tensor:
        """Term weights (B, V) of captions."""
        return lexical_vector(self._text_maxima(captions))

    def _motion_maxima(self, motion: Motion) -> Tensor:
        projected = self.motion_projection(self.encode_motion(motion))
        return self.motion_lexical_head.maxima(projected.tokens, projected.mask, self.word_embeddings.weight)

    def _text_maxima(self, captions: list[str]) -> Tensor:
        encoding = self.encode_text(self.tokenize(captions))
        return self.text_lexical_head.maxima(encoding.tokens, encoding.mask, self.word_embeddings.weight)

    motion_vectors = lexical_motion
    text_vectors = lexical_text

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L = InfoNCE(cosine / temperature) + ramp * (flops_text FLOPS(text) + flops_motion FLOPS(motion))."""
        assert batch.motion is not None and batch.captions is not None
        text, motion = gather(self.lexical_text(batch.captions)), gather(self.lexical_motion(batch.motion))
        ignore = same_caption(gather_plain(batch.sentence))
        contrast = info_nce(self.temperature(cosine(text, motion)), ignore)
        ramp = min(1.0, 3 * self.progress) ** 2
        text_flops, motion_flops = flops(text), flops(motion)
        loss = contrast + ramp * (self.flops_text * text_flops + self.flops_motion * motion_flops)
        values = {"loss": loss, "contrast": contrast, "flops_text": text_flops, "flops_motion": motion_flops}
        self.record("train", {**values, "temperature": self.temperature.value})
        self.record("lexical", {"active_terms_text": active_terms(text), "active_terms_motion": active_terms(motion)})
        return loss

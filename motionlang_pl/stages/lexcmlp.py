"""LexCMLP (LexMotion, Lyu et al., ICLR 2025): contrast of motions and sentences as sparse vectors over the words.

The paper gives name and purpose; formulas follow LexLIP (Luo et al., ICCV 2023) and SPLADE (Formal et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.func import functional_call

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather, gather_plain
from motionlang_pl.losses.contrastive import info_nce, queued_info_nce
from motionlang_pl.losses.lexical import flops
from motionlang_pl.metrics.representation import mean_active, mean_norm
from motionlang_pl.metrics.term_use import alarms
from motionlang_pl.models.heads import FrameProjection, TermHead
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.models.queue import MomentumQueue, SlowModules, SparseQueue
from motionlang_pl.models.temperature import Temperature
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.models.tokenizer import Tokens, words_alone
from motionlang_pl.motion.skeleton import Skeleton, skeleton
from motionlang_pl.scores import cosine
from motionlang_pl.stages.base import TrainingData
from motionlang_pl.stages.false_negatives import EqualCaptions, FalseNegatives
from motionlang_pl.stages.retrieval import LexicalRetrievalStage

RAMP = 3  # sparsity has its full weight after the first third of the steps
ENCODERS = (
    *("motion_adapter", "motion_encoder", "motion_projection", "motion_lexical_head"),
    *("word_embeddings", "text_encoder", "text_lexical_head"),
)


class LexCMLP(LexicalRetrievalStage):
    """Lexical contrastive motion-language pretraining.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
        text: The language model, the same as LexMLM's.
        frame_stride: The trunk's tokens (frames, or a grid's cells) that are averaged into one of the lexical head.
        pooled: A caption's tokens that its maximum is taken over: words_alone or every_token of
            motionlang_pl.models.tokenizer.
        temperature: Where the learnable temperature starts.
        flops_text: Weight of the sparsity term on text (SPLADE: 3e-4), reached over the first third of the steps.
        flops_motion: Weight of the sparsity term on motion (SPLADE's documents: 1e-4).
        sparsity: That term; the alternative is motionlang_pl.losses.lexical.overuse.
        start_share: Share of the samples in which each term is active at the start of a fresh fit.
        head: Builds both lexical heads for a width and a vocabulary, as `DisentanglementHead`; null: the language
            model's head and its copy.
        false_negatives: Which pairs of a batch are no negatives; null: equal captions.
        queue: Past representations as further negatives; null: none.
        compare: The score of two sets of vectors; the alternative, motionlang_pl.scores.dot, counts the vectors'
            lengths, too (SPLADE's score): give it temperature 1 and no queue.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    def __init__(
        self,
        motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder,
        text: TextModel | None = None,
        frame_stride: int = 4,
        pooled: Callable[[Tokens], Tensor] = words_alone,
        temperature: float = 0.07,
        flops_text: float = 3e-4,
        flops_motion: float = 1e-4,
        sparsity: Callable[[Tensor], Tensor] = flops,
        start_share: float = 0.5,
        head: Callable[[int, int], TermHead] | None = None,
        false_negatives: FalseNegatives | None = None,
        queue: MomentumQueue | None = None,
        compare: Callable[[Tensor, Tensor], Tensor] = cosine,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if queue is not None and compare is not cosine:
            raise ValueError("queue: its vectors have length 1, compared by cosine; leave out compare or queue")
        if not 0 < start_share <= 1:
            raise ValueError(f"start_share {start_share:g}: it is a share of the samples, above 0 and at most 1")
        self.build_motion_encoder = motion_encoder
        self.text = text or SmallText()
        self.frame_stride = frame_stride
        self.pooled = pooled
        self.start_temperature = temperature
        self.flops_text = flops_text
        self.flops_motion = flops_motion
        self.sparsity = sparsity
        self.start_share = start_share
        self.build_head = head
        self.false_negatives = false_negatives or EqualCaptions()
        self.queue = queue
        self.compare = compare

    def assemble(self, corpus: Corpus) -> None:
        """Both encoders with their lexical heads on one vocabulary, and where there is a queue their slow copies."""
        assert corpus.motion is not None and corpus.text is not None
        self.motion_encoder = self.build_motion_encoder(skeleton(corpus.motion.skeleton))
        self.motion_adapter = self.motion_encoder.adapter(corpus.motion)
        self.motion_adapter.freeze_pretraining()
        self.take_text(self.text.build(corpus.text))
        if self.build_head is not None:
            self.text_lexical_head = self.build_head(self.text_encoder.width, self.tokenizer.vocabulary)
        self.motion_projection = FrameProjection(self.motion_encoder.width, self.text_encoder.width, self.frame_stride)
        self.motion_lexical_head = TermHead.like(self.text_lexical_head)
        self.temperature = Temperature(self.start_temperature)
        if self.queue is not None:
            self.slow = SlowModules({name: getattr(self, name) for name in ENCODERS}, self.queue.momentum)
            self.past_texts = SparseQueue(self.queue.size, self.queue.terms, captions=2)
            self.past_motions = SparseQueue(self.queue.size, self.queue.terms, captions=2)

    def begin(self, data: TrainingData) -> None:
        """Settles the heads' offsets, see `settle_offsets`."""
        self.settle_offsets(self.transfer_batch_to_device(data.example(), self.device, 0))
        if self.queue is not None:
            self.slow.follow(self, momentum=0.0)

    @torch.no_grad()
    def settle_offsets(self, batch: Batch) -> None:
        """Shifts both heads so that each term is active in `start_share` of the motions, and of their sentences.

        Masked modelling leaves a term's logit near the logarithm of how common the word is, in every sample, and a
        softmax leaves a common offset free: a ReLU would see common words everywhere and rare ones nowhere. After the
        shift a term is active where it is likelier than usual. A dense start leaves it to contrast and sparsity which
        terms go: one that is active can fall silent, one that is silent has no gradient to come back by.
        """
        assert batch.motion is not None and batch.captions is not None
        self.eval()
        sentences = list(dict.fromkeys(batch.captions))  # else a common one would be the middle itself, with no term
        self.text_lexical_head.settle(self._text_maxima(self.tokenize(sentences)), self.start_share)
        self.motion_lexical_head.settle(self._motion_maxima(batch.motion), self.start_share)
        self.train()

    def motion_vectors(self, motion: Motion) -> Tensor:
        """Term weights (B, V) of motions."""
        return self.motion_lexical_head.weights(self._motion_maxima(motion))

    def text_vectors(self, captions: list[str]) -> Tensor:
        """Term weights (B, V) of captions."""
        tokens = self.tokenize(captions)
        return self.text_lexical_head.weights(self._text_maxima(tokens), tokens)

    def score(self, text: Tensor, motion: Tensor) -> Tensor:
        """What `compare` says."""
        return self.compare(text, motion)

    def _motion_maxima(self, motion: Motion) -> Tensor:
        projected = self.motion_projection(self.encode_motion(motion))
        return self.motion_lexical_head.maxima(projected.tokens, projected.mask, self.word_embeddings.weight)

    def _text_maxima(self, tokens: Tokens) -> Tensor:
        states = self.encode_text(tokens).tokens
        return self.text_lexical_head.maxima(states, self.pooled(tokens), self.word_embeddings.weight)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Term weights of a batch's captions and motions, (B, V) each."""
        assert batch.motion is not None and batch.captions is not None
        return self.text_vectors(batch.captions), self.motion_vectors(batch.motion)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Lets the slow encoders follow, once a step, however many batches its gradients are accumulated from."""
        super().on_train_batch_start(batch, batch_idx)
        if self.queue is not None and self.part_of_step(batch_idx) == 0:
            self.slow.follow(self)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L = InfoNCE(score / temperature) + ramp * (flops_text FLOPS(text) + flops_motion FLOPS(motion))."""
        text, motion = (gather(vectors) for vectors in self(batch))
        contrast = self._contrast(text, motion, batch)
        ramp = min(1.0, RAMP * self.progress) ** 2
        text_flops, motion_flops = self.sparsity(text), self.sparsity(motion)
        loss = contrast + ramp * (self.flops_text * text_flops + self.flops_motion * motion_flops)
        values = {"loss": loss, "contrast": contrast, "flops_text": text_flops, "flops_motion": motion_flops}
        self.record("train", {**values, "temperature": self.temperature.value})
        for name, vectors in (("text", text), ("motion", motion)):
            shape = {f"active_terms_{name}": mean_active(vectors), f"norm_{name}": mean_norm(vectors)}
            self.record("lexical", shape)
        return loss

    def _contrast(self, text: Tensor, motion: Tensor, batch: Batch) -> Tensor:
        """InfoNCE of the global batch; with a queue also against the past, which this batch then joins."""
        scores, ignore = self.temperature(self.score(text, motion)), self.false_negatives(batch)
        if self.queue is None:
            return info_nce(scores, ignore)
        captions = torch.stack((gather_plain(batch.sentence), gather_plain(batch.said)), dim=1)
        contrast = queued_info_nce(
            scores,
            self.temperature(self.past_motions.cosines(text)),
            self.temperature(self.past_texts.cosines(motion)),
            ignore,
            self.past_motions.ignored(captions),
            self.past_texts.ignored(captions),
        )
        with torch.no_grad():
            slow_text, slow_motion = functional_call(self, self.slow.parameters_by_name(), (batch,))
        self.past_texts.push(gather_plain(slow_text), captions)
        self.past_motions.push(gather_plain(slow_motion), captions)
        return contrast

    def warn_of_collapse(self, use: dict[str, Tensor], name: str) -> None:
        """Warns of a collapse by name."""
        settled = self.trainer.state.fn != "fit" or self.progress >= 0.5
        for alarm in alarms(use, name, self.terms, settled):
            rank_zero_warn(alarm)

"""Codebook (MSCode, Shi & Zhang, Findings of ACL 2026): motions and sentences as sparse mixtures of shared codewords.

The abstract gives the ingredients; all formulas are our reconstruction (docs/stages.md), on FDT (Chen et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from entmax import sparsemax
from torch import Tensor
from torch.optim import Optimizer

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather, gather_plain, global_mean
from motionlang_pl.losses.codebook import content_words, fenchel_young, orthogonality, usage_balance
from motionlang_pl.losses.contrastive import hard_negative_nce, info_nce
from motionlang_pl.metrics.codewords import CodewordUsage, shared
from motionlang_pl.metrics.representation import mean_active
from motionlang_pl.models.codebook import Codebook as SharedCodebook
from motionlang_pl.models.codebook import CodebookQuery, ContentHead, cosine_match
from motionlang_pl.models.local_gaussian import LocalGaussian, PoseRefiner
from motionlang_pl.models.motion_adapter import MotionAdapter
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.models.restart import Candidates, Restart, between, candidates
from motionlang_pl.models.temperature import Temperature
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.motion.skeleton import Skeleton, skeleton
from motionlang_pl.scores import cosine
from motionlang_pl.stages.false_negatives import EqualCaptions, FalseNegatives
from motionlang_pl.stages.retrieval import RetrievalStage


class _Queries(NamedTuple):
    """What a modality asks of the codebook.  queries: (B, N, code_width).  mask: (B, N)."""

    queries: Tensor
    mask: Tensor


class Codebook(RetrievalStage):
    """One codebook for both modalities.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
        text: The language model, the same as the parent's.
        local_gaussian: Builds what refines the trunk's frame tokens: LocalGaussian (attention in time),
            LocalGaussianJoints (attention along the skeleton), GaussianPoses (a pose is a distribution), Unrefined.
        codewords: Number of codewords K.
        code_width: Width of a codeword.
        match: Of queries with codewords: cosine_match or dot_match of motionlang_pl.models.codebook.
        sparsity_start: Temperature of the sparsemax at the start (higher is denser).
        sparsity_end: The same after the first 30% of the steps.
        temperature: Where the learnable temperature of the contrast starts.
        consistency_loss: Of a pair's logits: fenchel_young, jensen_shannon, soft_kl or squared_difference of
            motionlang_pl.losses.codebook.
        consistency: Its weight.
        hard_negative_loss: Of the cosines: hard_negative_nce or hardest_negative of motionlang_pl.losses.contrastive.
        hard_negatives: Its weight.
        usage_loss: Of all assignments: usage_balance or usage_entropy of motionlang_pl.losses.codebook.
        balance: Its weight, for each modality.
        orthogonal: Weight of the codewords' orthogonality.
        content: Weight of the caption's content words, told from either side's mixture.
        restart_after: Steps without use after which a codeword starts anew from a pair of the batch; 0 for never.
        restart_at: The pair's direction that it takes: between or either of motionlang_pl.models.restart.
        false_negatives: Which pairs of a batch are no negatives; null: equal captions.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    def __init__(
        self,
        motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder,
        text: TextModel | None = None,
        local_gaussian: Callable[[int, Skeleton], PoseRefiner] = LocalGaussian,
        codewords: int = 1024,
        code_width: int = 256,
        match: Callable[[Tensor, Tensor], Tensor] = cosine_match,
        sparsity_start: float = 5.0,
        sparsity_end: float = 3.0,
        temperature: float = 0.07,
        consistency_loss: Callable[[Tensor, Tensor], Tensor] = fenchel_young,
        consistency: float = 2.0,
        hard_negative_loss: Callable[[Tensor, Tensor], Tensor] = hard_negative_nce,
        hard_negatives: float = 0.1,
        usage_loss: Callable[[Tensor], Tensor] = usage_balance,
        balance: float = 0.01,
        orthogonal: float = 0.01,
        content: float = 0.1,
        restart_after: int = 200,
        restart_at: Callable[[Candidates], Tensor] = between,
        false_negatives: FalseNegatives | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_motion_encoder = motion_encoder
        self.text = text or SmallText()
        self.build_local_gaussian = local_gaussian
        self.codewords = codewords
        self.code_width = code_width
        self.match = match
        self.sparsity_start = sparsity_start
        self.sparsity_end = sparsity_end
        self.start_temperature = temperature
        self.consistency_loss = consistency_loss
        self.consistency = consistency
        self.hard_negative_loss = hard_negative_loss
        self.hard_negatives = hard_negatives
        self.usage_loss = usage_loss
        self.balance = balance
        self.orthogonal = orthogonal
        self.content = content
        self.restart_after = restart_after
        self.restart_at = restart_at
        self.false_negatives = false_negatives or EqualCaptions()
        self.val_usage = CodewordUsage(codewords)
        self._candidates: Candidates | None = None

    def assemble(self, corpus: Corpus) -> None:
        """Both encoders, what refines the frames, a query map for each side, the codebook, and a head for words."""
        assert corpus.motion is not None and corpus.text is not None
        bones = skeleton(corpus.motion.skeleton)
        self.motion_encoder = self.build_motion_encoder(bones)
        if self.motion_encoder.frames_per_token != 1:
            raise ValueError("motion_encoder: the codebook refines tokens of frames; give MotionEncoder, not a grid's")
        self.motion_adapter = MotionAdapter(corpus.motion, self.motion_encoder.width)
        self.motion_adapter.freeze_pretraining()
        self.local_gaussian = self.build_local_gaussian(self.motion_encoder.width, bones)
        self.take_text(self.text.build(corpus.text))
        self.motion_query = CodebookQuery(self.motion_encoder.width, self.code_width)
        self.text_query = CodebookQuery(self.text_encoder.width, self.code_width)
        self.codebook = SharedCodebook(self.codewords, self.code_width, self.match)
        self.restart = Restart(self.codewords, self.restart_after, self.restart_at)
        self.content_head = ContentHead(self.code_width, self.text_encoder.width, self.tokenizer.vocabulary)
        self.temperature = Temperature(self.start_temperature)
        del self.text_lexical_head

    # ---- representations ---------------------------------------------------------------------------------------------

    def ask_motion(self, motion: Motion, key: Tensor | None = None) -> tuple[_Queries, Tensor]:
        """Queries of the refined frames, and what the frames cost; ``key`` (B,) in a training step."""
        encoding = self.encode_motion(motion)
        tokens, cost = self.local_gaussian(encoding.tokens, encoding.mask, key)
        return _Queries(self.motion_query(tokens), encoding.mask), cost

    def ask_text(self, captions: list[str]) -> _Queries:
        """Queries of the tokens."""
        encoding = self.encode_text(self.tokenize(captions))
        return _Queries(self.text_query(encoding.tokens), encoding.mask)

    def motion_assignment(self, motion: Motion, sparsity: float) -> Tensor:
        """Weights of the codewords (B, K), on the simplex."""
        return self.codebook.assign(*self.ask_motion(motion)[0], sparsity)

    def text_assignment(self, captions: list[str], sparsity: float) -> Tensor:
        """Weights of the codewords (B, K), on the simplex."""
        return self.codebook.assign(*self.ask_text(captions), sparsity)

    def motion_vectors(self, motion: Motion) -> Tensor:
        """Mixtures of codewords (B, code_width)."""
        return self.codebook.vector(self.motion_assignment(motion, self.sparsity_end))

    def text_vectors(self, captions: list[str]) -> Tensor:
        """Mixtures of codewords (B, code_width)."""
        return self.codebook.vector(self.text_assignment(captions, self.sparsity_end))

    # ---- training ----------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L = InfoNCE + consistency + hard negatives + usage + orthogonality + content words + refiner, weighted."""
        assert batch.motion is not None and batch.captions is not None
        annealed = min(1.0, self.progress / 0.3)
        sparsity = self.sparsity_start + annealed * (self.sparsity_end - self.sparsity_start)
        asked_text, (asked_motion, cost) = self.ask_text(batch.captions), self.ask_motion(batch.motion, batch.key)
        own_text = self.codebook.logits(*asked_text, sparsity)
        own_motion = self.codebook.logits(*asked_motion, sparsity)

        text_logits, motion_logits = gather(own_text), gather(own_motion)
        text, motion = sparsemax(text_logits, dim=1), sparsemax(motion_logits, dim=1)
        cosines = cosine(self.codebook.vector(text), self.codebook.vector(motion))
        ignore = self.false_negatives(batch)
        contrast = info_nce(self.temperature(cosines), ignore)
        hard = self.hard_negative_loss(cosines, ignore)
        consistency = self.consistency_loss(text_logits, motion_logits)
        usage = self.usage_loss(text) + self.usage_loss(motion)
        orthogonal = orthogonality(self.codebook.codewords)
        content = self._content_words(batch.captions, own_text, own_motion)
        refinement = global_mean(cost.float().sum(), batch.motion.mask.sum())
        loss = (
            contrast
            + self.consistency * consistency
            + self.hard_negatives * hard
            + self.balance * usage
            + self.orthogonal * orthogonal
            + self.content * content
            + refinement
        )
        self._note_use(batch.key, asked_text, asked_motion, text, motion)
        values = {"loss": loss, "contrast": contrast, "hard_negatives": hard, "consistency": consistency}
        values |= {"usage": usage, "orthogonality": orthogonal, "content": content, "refinement": refinement}
        self.record("train", {**values, "temperature": self.temperature.value})
        active = {"active_text": mean_active(text), "active_motion": mean_active(motion)}
        self.record("codewords", {**active, "shared": shared(text, motion).mean()})
        return loss

    def _content_words(self, captions: list[str], text: Tensor, motion: Tensor) -> Tensor:
        """How badly the mixtures, of text and of motion alike, tell the captions' content words."""
        ids, there = (x.to(self.device) for x in self.tokenizer.content_words(captions))
        mixtures = self.codebook.vector(sparsemax(torch.cat((text, motion)), dim=1))
        logits = self.content_head(mixtures, self.word_embeddings.weight)
        return content_words(logits, ids.repeat(2, 1), there.repeat(2, 1))

    def _note_use(self, key: Tensor, text: _Queries, motion: _Queries, *weights: Tensor) -> None:
        """Keeps what the step's restart needs."""
        self._candidates = Candidates(*map(gather_plain, candidates(key, text, motion)))
        for used in weights:
            self.restart.see(used)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Restarts codewords before the step that is saved with it, so that a resumed run has the same."""
        assert self._candidates is not None
        restarted = self.restart.step(self.codebook.codewords, self._candidates)
        self.record("codewords", {"restarted": restarted.float()})

    def on_train_epoch_end(self) -> None:
        """Codewords that the epoch used, those just restarted among them."""
        accumulated = self.trainer.accumulate_grad_batches
        steps = min(-(-int(self.trainer.num_training_batches) // accumulated), self.global_step)
        used = (self.restart.idle < steps).sum().float()
        self.log_dict({"codewords/used": used, "codewords/dead": self.codewords - used}, sync_dist=True)

    # ---- validation --------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects vectors and assignments."""
        assert batch.motion is not None and batch.captions is not None
        text = self.text_assignment(batch.captions, self.sparsity_end)
        motion = self.motion_assignment(batch.motion, self.sparsity_end)
        self.collect(batch, self.codebook.vector(text), self.codebook.vector(motion))
        self.val_usage.update(text, motion, batch.sample >= 0)

    def on_validation_epoch_end(self) -> None:
        """Retrieval, and how the codebook is used."""
        super().on_validation_epoch_end()
        self.log_dict({f"val/codewords/{name}": value for name, value in self.val_usage.compute().items()})
        self.val_usage.reset()

"""Codebook (MSCode, Shi & Zhang, Findings of ACL 2026): motions and sentences as sparse mixtures of shared codewords.

The abstract gives the ingredients; all formulas are our reconstruction (docs/stages.md), on FDT (Chen et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather, gather_plain
from motionlang_pl.losses.codebook import jensen_shannon, orthogonality, usage_balance
from motionlang_pl.losses.contrastive import hn_nce, info_nce, same_caption
from motionlang_pl.losses.lexical import active_terms
from motionlang_pl.models.codebook import Codebook as SharedCodebook
from motionlang_pl.models.codebook import CodebookQuery
from motionlang_pl.models.motion_adapter import MotionAdapter
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.models.temperature import Temperature
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.motion.skeleton import Skeleton, skeleton
from motionlang_pl.scores import cosine
from motionlang_pl.stages.retrieval import RetrievalStage


class Codebook(RetrievalStage):
    """One codebook for both modalities.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
        text: The language model, the same as the parent's.
        codewords: Number of codewords K.
        code_width: Width of a codeword.
        sparsity_start: Temperature of the sparsemax at the start (higher is denser).
        sparsity_end: The same after the first 30% of the steps.
        temperature: Where the learnable temperature of the contrast starts.
        consistency: Weight of the Jensen-Shannon term between a pair's assignments.
        hard_negatives: Weight of HN-NCE.
        balance: Weight of the codewords' usage balance.
        orthogonal: Weight of the codewords' orthogonality.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    def __init__(
        self,
        motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder,
        text: TextModel | None = None,
        codewords: int = 1024,
        code_width: int = 256,
        sparsity_start: float = 5.0,
        sparsity_end: float = 3.0,
        temperature: float = 0.07,
        consistency: float = 0.5,
        hard_negatives: float = 0.1,
        balance: float = 0.01,
        orthogonal: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_motion_encoder = motion_encoder
        self.text = text or SmallText()
        self.codewords = codewords
        self.code_width = code_width
        self.sparsity_start = sparsity_start
        self.sparsity_end = sparsity_end
        self.start_temperature = temperature
        self.consistency = consistency
        self.hard_negatives = hard_negatives
        self.balance = balance
        self.orthogonal = orthogonal

    def assemble(self, corpus: Corpus) -> None:
        """Both encoders, a query map for each, and the shared codebook."""
        assert corpus.motion is not None and corpus.text is not None
        self.motion_encoder = self.build_motion_encoder(skeleton(corpus.motion.skeleton))
        self.motion_adapter = MotionAdapter(corpus.motion, self.motion_encoder.width)
        self.motion_adapter.freeze_pretraining()
        self.take_text(self.text.build(corpus.text))
        self.motion_query = CodebookQuery(self.motion_encoder.width, self.code_width)
        self.text_query = CodebookQuery(self.text_encoder.width, self.code_width)
        self.codebook = SharedCodebook(self.codewords, self.code_width)
        self.temperature = Temperature(self.start_temperature)
        del self.text_lexical_head

    def motion_assignment(self, motion: Motion, sparsity: float) -> Tensor:
        """Weights of the codewords (B, K), on the simplex."""
        encoding = self.encode_motion(motion)
        return self.codebook.assign(self.motion_query(encoding.tokens), encoding.mask, sparsity)

    def text_assignment(self, captions: list[str], sparsity: float) -> Tensor:
        """Weights of the codewords (B, K), on the simplex."""
        encoding = self.encode_text(self.tokenize(captions))
        return self.codebook.assign(self.text_query(encoding.tokens), encoding.mask, sparsity)

    def motion_vectors(self, motion: Motion) -> Tensor:
        """Mixtures of codewords (B, code_width)."""
        return self.codebook.vector(self.motion_assignment(motion, self.sparsity_end))

    def text_vectors(self, captions: list[str]) -> Tensor:
        """Mixtures of codewords (B, code_width)."""
        return self.codebook.vector(self.text_assignment(captions, self.sparsity_end))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L = InfoNCE + consistency JS + hard_negatives HN-NCE + balance usage + orthogonal ||CC' - I||^2."""
        assert batch.motion is not None and batch.captions is not None
        annealed = min(1.0, self.progress / 0.3)
        sparsity = self.sparsity_start + annealed * (self.sparsity_end - self.sparsity_start)
        text = gather(self.text_assignment(batch.captions, sparsity))
        motion = gather(self.motion_assignment(batch.motion, sparsity))
        ignore = same_caption(gather_plain(batch.sentence))
        scores = self.temperature(cosine(self.codebook.vector(text), self.codebook.vector(motion)))
        contrast, hard = info_nce(scores, ignore), hn_nce(scores, ignore=ignore)
        consistency = jensen_shannon(text, motion)
        usage = usage_balance(text) + usage_balance(motion)
        orthogonal = orthogonality(self.codebook.codewords)
        loss = (
            contrast
            + self.consistency * consistency
            + self.hard_negatives * hard
            + self.balance * usage
            + self.orthogonal * orthogonal
        )
        values = {"loss": loss, "contrast": contrast, "hard_negatives": hard, "consistency": consistency}
        self.record("train", {**values, "usage_balance": usage, "orthogonality": orthogonal})
        self.record("train", {"temperature": self.temperature.value})
        self.record("codebook", {"active_text": active_terms(text), "active_motion": active_terms(motion)})
        return loss

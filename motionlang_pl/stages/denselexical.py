"""Dense with a raw lexical head and no pretraining: a dagger row of LexMotion's tables (Lyu et al., ICLR 2025)."""

from __future__ import annotations

from torch import Tensor, nn

from motionlang_pl.data.batch import Motion
from motionlang_pl.models.heads import LexicalHead, lexical_vector
from motionlang_pl.stages.dense import Dense
from motionlang_pl.stages.retrieval import LexicalRetrievalStage


class DenseLexical(LexicalRetrievalStage, Dense):
    """Dense whose summaries are compared as weights of terms, through one new head for both modalities.

    `width` and `dropout` have no use here.
    """

    def assemble_heads(self) -> None:
        """A lexical head on the language model's word embeddings, and what brings motions to their width."""
        width = self.text_encoder.width
        self.motion_projection = nn.Linear(self.motion_encoder.width, width)
        self.lexical_head = LexicalHead(width, self.tokenizer.vocabulary)

    def motion_vectors(self, motion: Motion) -> Tensor:
        """Term weights (B, V)."""
        return self._weights(self.motion_projection(self.summary(self.encode_motion(motion))))

    def text_vectors(self, captions: list[str]) -> Tensor:
        """Term weights (B, V)."""
        return self._weights(self.summary(self.encode_text(self.tokenize(captions))))

    def _weights(self, summary: Tensor) -> Tensor:
        return lexical_vector(self.lexical_head(summary, self.word_embeddings.weight))

"""TMR with a raw lexical head: a baseline of LexMotion's tables (Lyu et al., ICLR 2025, rows with daggers)."""

from __future__ import annotations

from torch import Tensor, nn

from motionlang_pl.data.batch import Corpus
from motionlang_pl.models.heads import LexicalHead, lexical_vector
from motionlang_pl.stages.retrieval import LexicalRetrievalStage
from motionlang_pl.stages.tmr import TMR


class TMRLexical(LexicalRetrievalStage, TMR):
    """TMR whose latents are compared as weights of terms, through one new head for both modalities."""

    def assemble(self, corpus: Corpus) -> None:
        """TMR's modules, and a lexical head on the frozen word embeddings."""
        super().assemble(corpus)
        width = self.text_encoder.width
        self.lexical_projection = nn.Linear(self.sizes.width, width)
        self.lexical_head = LexicalHead(width, self.tokenizer.vocabulary)

    def represent(self, latent: Tensor) -> Tensor:
        """Term weights (B, V)."""
        return lexical_vector(self.lexical_head(self.lexical_projection(latent), self.word_embeddings.weight))

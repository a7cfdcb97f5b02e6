"""LexMLM (LexMotion, Lyu et al., ICLR 2025): masked language modelling through a lexical bottleneck.

The paper gives name and purpose; the formulas are LexMAE's (Shen et al., ICLR 2023), see docs/stages.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from motionlang_pl.data.batch import Batch, Corpus
from motionlang_pl.losses.masked import masked_cross_entropy
from motionlang_pl.models.bottleneck import LexicalDecoder, softmax_bottleneck
from motionlang_pl.models.masking import mask_tokens
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.models.tokenizer import Tokens, words_alone
from motionlang_pl.stages.base import Stage, TrainingData


class LexMLM(Stage):
    """Masked language modelling by the encoder, and by a weak decoder that sees the caption as a lexical bottleneck.

    Args:
        text: The language model.
        encoder_rate: Share of a caption's words that are masked for the encoder (LexMAE: 0.3).
        decoder_rate: Share masked for the decoder, the encoder's among them (LexMAE: 0.5).
        decoder_depth: Layers of the decoder (LexMAE: 2).
        pooled: The tokens that the bottleneck's maximum is taken over: words_alone or every_token of
            motionlang_pl.models.tokenizer.
        bottleneck: Turns the largest logits and the word embeddings into the decoder's first word; the alternative is
            motionlang_pl.models.bottleneck.saturated_bottleneck.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    reads = "text"

    def __init__(
        self,
        text: TextModel | None = None,
        encoder_rate: float = 0.3,
        decoder_rate: float = 0.5,
        decoder_depth: int = 2,
        pooled: Callable[[Tokens], Tensor] = words_alone,
        bottleneck: Callable[[Tensor, Tensor], Tensor] = softmax_bottleneck,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= encoder_rate <= decoder_rate < 1:
            raise ValueError(
                f"encoder_rate {encoder_rate:g}, decoder_rate {decoder_rate:g}: shares of the words, the decoder's not "
                "below the encoder's"
            )
        self.text = text or SmallText()
        self.encoder_rate = encoder_rate
        self.decoder_rate = decoder_rate
        self.decoder_depth = decoder_depth
        self.pooled = pooled
        self.bottleneck = bottleneck

    def assemble(self, corpus: Corpus) -> None:
        """The language model's parts and the weak decoder."""
        assert corpus.text is not None
        self.take_text(self.text.build(corpus.text))
        self.decoder = LexicalDecoder.like(self.text_encoder, self.tokenizer.vocabulary, self.decoder_depth)

    def begin(self, data: TrainingData) -> None:
        """New heads start at how common words are."""
        self.start_at_frequencies([self.text_lexical_head, self.decoder.lexical_head], data)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L = CE(encoder, its masked words) + CE(decoder, its masked words | bottleneck)."""
        assert batch.captions is not None
        tokens, words = self.tokenize(batch.captions), self.word_embeddings.weight
        size, mask_id = self.tokenizer.vocabulary, self.tokenizer.mask_id
        ids, chosen = mask_tokens(batch.key, tokens, 1, self.encoder_rate, None, size, mask_id)
        further = (self.decoder_rate - self.encoder_rate) / (1 - self.encoder_rate)
        decoder_ids, decoder_chosen = mask_tokens(batch.key, tokens, 2, further, chosen, size, mask_id)

        encoding = self.encode_text(tokens, ids)
        encoder_logits = self.text_lexical_head(encoding.tokens[chosen], words)
        maxima = self.text_lexical_head.maxima(encoding.tokens, self.pooled(tokens), words)
        states = self.decoder(self.bottleneck(maxima, words), self.word_embeddings(decoder_ids), tokens)
        decoder_logits = self.decoder.lexical_head(states[decoder_chosen], words)

        encoder = masked_cross_entropy(encoder_logits, tokens.ids[chosen])
        decoder = masked_cross_entropy(decoder_logits, tokens.ids[decoder_chosen])
        return {"loss": encoder + decoder, "encoder": encoder, "decoder": decoder}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One masked reading of each caption."""
        losses = self.losses(batch)
        self.record("train", losses)
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The same, with each sample's masks fixed."""
        self.record_validation(batch, self.losses(batch))

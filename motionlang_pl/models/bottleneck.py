"""The lexical bottleneck: a weak decoder fills a masked caption from a distribution over words (LexMAE, Shen 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from motionlang_pl.models.heads import LexicalHead, lexical_vector
from motionlang_pl.models.transformer import TransformerLayer, initialise

if TYPE_CHECKING:
    from motionlang_pl.models.text_encoder import TextEncoder
    from motionlang_pl.models.tokenizer import Tokens


def softmax_bottleneck(maxima: Tensor, word_embeddings: Tensor) -> Tensor:
    """Mean word embedding under softmax(maxima), LexMAE's default; it does not see a common offset of the logits.

    The words are held fixed, or the decoder would bend the vocabulary.

    maxima: (B, V), before ReLU and logarithm.  word_embeddings: (V, D).  Returns (B, D) float32, 0 where a row has no
    token.
    """
    maxima = maxima.float()
    empty = maxima.isneginf().all(dim=1, keepdim=True)
    share = maxima.masked_fill(empty, 0.0).softmax(dim=1)
    return _mean_word(share, word_embeddings).masked_fill(empty, 0.0)


def saturated_bottleneck(maxima: Tensor, word_embeddings: Tensor) -> Tensor:
    """Mean word embedding under log(1 + relu(maxima)), scaled to sum 1: LexMAE's alternative `logits_sat`.

    A term counts from logit 0 on, as in a lexical vector, so the offset of the logits is trained, and terms that say
    nothing have to fall below 0.

    maxima: (B, V).  word_embeddings: (V, D).  Returns (B, D) float32, 0 where no term of a row is active.
    """
    weight = lexical_vector(maxima)
    total = weight.sum(dim=1, keepdim=True)
    return _mean_word(weight / total.masked_fill(total == 0, 1.0), word_embeddings)


def _mean_word(share: Tensor, word_embeddings: Tensor) -> Tensor:
    with torch.autocast(share.device.type, enabled=False):
        return share @ word_embeddings.detach().float()


class LexicalDecoder(nn.Module):
    """Reads a masked caption whose first token is replaced by a bottleneck; too weak to do without the bottleneck.

    Args:
        width: Width D of the word embeddings.
        vocabulary: Number of terms V.
        depth: Layers (LexMAE: 2).
        heads: Attention heads.
        feedforward: Width of the feed-forward layers.
        dropout: Everywhere.
        max_words: Most tokens of a caption.

    Attributes:
        lexical_head: Turns its states into logits over words.
    """

    def __init__(
        self,
        width: int,
        vocabulary: int,
        depth: int = 2,
        heads: int = 12,
        feedforward: int = 3072,
        dropout: float = 0.1,
        max_words: int = 64,
    ) -> None:
        super().__init__()
        self.positions = nn.Embedding(max_words, width)
        self.input_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, feedforward, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.lexical_head = LexicalHead(width, vocabulary)
        self.apply(initialise)

    @classmethod
    def like(cls, encoder: TextEncoder, vocabulary: int, depth: int = 2) -> LexicalDecoder:
        """A new decoder with an encoder's width, heads, feed-forward width, dropout and positions."""
        sizes = (encoder.heads, encoder.feedforward, encoder.dropout, encoder.max_words)
        return cls(encoder.width, vocabulary, depth, *sizes)

    def forward(self, bottleneck: Tensor, embeddings: Tensor, tokens: Tokens) -> Tensor:
        """bottleneck: (B, D).  embeddings: (B, L, D), words of the masked caption.  Returns states (B, L, D)."""
        first = bottleneck[:, None].to(embeddings.dtype)
        x = torch.cat((first, embeddings[:, 1:]), dim=1) + self.positions.weight[: embeddings.shape[1]]
        x = self.dropout(self.input_norm(x))
        for layer in self.layers:
            x = layer(x, tokens.mask)
        return self.norm(x)  # type: ignore[no-any-return]

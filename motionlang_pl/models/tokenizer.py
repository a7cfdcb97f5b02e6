"""Sentences as token ids: a `tokenizers` tokenizer that travels as JSON text, so that no checkpoint fetches one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import tokenizers
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionlang_pl.models.content_words import content_ids


class Tokens(NamedTuple):
    """Padded sentences.

    ids: (B, L) int64.  mask: (B, L) bool, True = real.  content: (B, L) bool, True = real and no special token.
    """

    ids: Tensor
    mask: Tensor
    content: Tensor


def words_alone(tokens: Tokens) -> Tensor:
    """Pool words, and no special token, as LexMAE.  Returns (B, L) bool."""
    return tokens.content


def every_token(tokens: Tokens) -> Tensor:
    """Pool CLS and SEP, too, as SPLADE and LexLIP, which leave out padding alone.  Returns (B, L) bool."""
    return tokens.mask


class Tokenizer:
    """Turns captions into `Tokens`, padded on the right to the longest.

    Special tokens are found by BERT's or RoBERTa's names.  An unknown word is content.

    Args:
        text: The tokenizer as `tokenizers` writes it (JSON).

    Attributes:
        max_words: Tokens per caption, the two special ones among them; more are cut. The JSON's truncation, or 64.
        vocabulary: Number of terms V.  terms: their names by id.  sha256: a hash of these.
        pad_id, cls_id, sep_id, mask_id, unk_id: ids of the special tokens.

    Raises:
        ValueError: no tokenizer JSON, a special token is missing, or sentences do not open with the first of them.
    """

    def __init__(self, text: str) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # tokenizers raises bare Exception
            raise ValueError(f"not a tokenizer in `tokenizers` JSON: {error}") from error
        self.pad_id = self._special("[PAD]", "<pad>")
        self.cls_id = self._special("[CLS]", "<s>")
        self.sep_id = self._special("[SEP]", "</s>")
        self.mask_id = self._special("[MASK]", "<mask>")
        self.unk_id = self._special("[UNK]", "<unk>")
        self._content: dict[str, Tensor] = {}  # of captions seen before: training sees each many times
        names = self._tokenizer.get_vocab(with_added_tokens=True)
        self.vocabulary = max(names.values()) + 1
        self.terms = [""] * self.vocabulary
        for name, number in names.items():
            self.terms[number] = name
        self.sha256 = hashlib.sha256(json.dumps(self.terms).encode()).hexdigest()
        self.max_words = int((self._tokenizer.truncation or {"max_length": 64})["max_length"])
        self._tokenizer.enable_truncation(self.max_words)
        self._tokenizer.enable_padding(direction="right", pad_id=self.pad_id, pad_token=self.terms[self.pad_id])
        if self._tokenizer.encode("").ids != [self.cls_id, self.sep_id]:
            raise ValueError(
                f"the tokenizer does not put {self.terms[self.cls_id]} before and {self.terms[self.sep_id]} after a "
                "sentence; give it a post-processor that does (tokenizers.processors.TemplateProcessing)"
            )

    def __call__(self, captions: Sequence[str]) -> Tokens:
        """Return the captions' tokens, (B, L) each; an empty caption has no content."""
        encoded = self._tokenizer.encode_batch(list(captions))
        ids = torch.tensor([one.ids for one in encoded])
        mask = torch.tensor([one.attention_mask for one in encoded], dtype=torch.bool)
        special = torch.tensor([self.pad_id, self.cls_id, self.sep_id, self.mask_id])
        return Tokens(ids, mask, mask & ~torch.isin(ids, special))

    def content_words(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the captions' `content_ids`: ids (B, M) int64, 0 where there are fewer, and which are there (B, M)."""
        for caption in captions:
            if caption not in self._content:
                self._content[caption] = torch.tensor(content_ids(caption, self._tokenizer), dtype=torch.long)
        ids = pad_sequence([self._content[caption] for caption in captions], batch_first=True, padding_value=-1)
        return ids.clamp(min=0), ids >= 0

    def cut(self, max_words: int) -> str:
        """Return the tokenizer's JSON with captions cut at `max_words` tokens."""
        copy = tokenizers.Tokenizer.from_str(self._tokenizer.to_str())
        copy.enable_truncation(max_words)
        text: str = copy.to_str()
        return text

    def _special(self, *names: str) -> int:
        for name in names:
            number = self._tokenizer.token_to_id(name)
            if number is not None:
                return int(number)
        raise ValueError(f"the tokenizer has no {' or '.join(names)}; train or choose one with BERT's special tokens")

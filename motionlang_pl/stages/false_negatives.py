"""Which pairs of a batch are no negatives of each other: by equal captions, or by a sentence encoder as in TMR."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from motionlang_pl.data.batch import Batch, TextSpec
from motionlang_pl.distributed import gather_plain
from motionlang_pl.losses.contrastive import same_caption
from motionlang_pl.models.text_encoder import PretrainedText, TextParts
from motionlang_pl.models.tokenizer import Tokenizer, Tokens
from motionlang_pl.scores import cosine


class FalseNegatives(ABC):
    """Finds samples that say the same."""

    @abstractmethod
    def __call__(self, batch: Batch) -> Tensor:
        """Mark pairs of the global batch, (B, B) bool; the diagonal has no meaning.  batch: of this process."""


class EqualCaptions(FalseNegatives):
    """Samples whose first captions are the same string, or whose captions that were drawn are."""

    def __call__(self, batch: Batch) -> Tensor:
        """See `FalseNegatives`."""
        return same_caption(gather_plain(batch.sentence)) | same_caption(gather_plain(batch.said))


class NoFalseNegatives(FalseNegatives):
    """No samples: every other motion of the batch is a negative, as in CLIP, MotionPatches and MotionColBert."""

    def __call__(self, batch: Batch) -> Tensor:
        """See `FalseNegatives`."""
        sentence = gather_plain(batch.sentence)
        return torch.zeros(len(sentence), len(sentence), dtype=torch.bool, device=sentence.device)


class SimilarSentences(FalseNegatives):
    """Samples whose captions a sentence encoder finds similar (TMR, Petrovich et al. 2023, sec. 3.3).

    The encoder is a BERT, RoBERTa or DistilBERT whose mean token state is the embedding (Reimers & Gurevych 2019); it
    is no part of the stage or its checkpoint. Each distinct caption is read once, alone, so that neither its company
    nor a resume can change its embedding.

    Args:
        name: A local folder, or a name on the Hugging Face hub. The paper's all-mpnet-base-v2 is of another family;
            all-MiniLM-L6-v2 and all-distilroberta-v1 are its siblings.
        threshold: Similarity in [0, 1] above which two captions say the same; TMR's code compares the cosine with 2 *
            threshold - 1, so its 0.80 is a cosine of 0.60.
    """

    def __init__(self, name: str, threshold: float = 0.80) -> None:
        self.text = PretrainedText(name)
        self.least_cosine = 2 * threshold - 1
        self._embeddings: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """See `FalseNegatives`."""
        assert batch.captions is not None
        embeddings = gather_plain(self.embed(batch.captions, batch.sample.device))
        return cosine(embeddings, embeddings) > self.least_cosine

    def embed(self, captions: list[str], device: torch.device) -> Tensor:
        """Mean token states of captions, (B, D) float32."""
        for caption in captions:
            if caption not in self._embeddings:
                self._embeddings[caption] = self._read(caption, device)
        return torch.stack([self._embeddings[caption] for caption in captions])

    @torch.no_grad()
    def _read(self, caption: str, device: torch.device) -> Tensor:
        tokens = Tokens(*(x.to(device) for x in self._tokenizer([caption])))
        words, encoder = self._parts.word_embeddings.to(device), self._parts.text_encoder.to(device)
        with torch.autocast(device.type, enabled=False):
            embedding: Tensor = encoder(words(tokens.ids), tokens).tokens[0].mean(dim=0)
        return embedding

    @cached_property
    def _parts(self) -> TextParts:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():  # a step's dropout must not depend on it
            warnings.simplefilter("ignore")  # the lexical head that it lacks is not used
            parts = self.text.build(TextSpec("", ""))
        parts.text_encoder.eval()
        return parts

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer(self._parts.spec.tokenizer)

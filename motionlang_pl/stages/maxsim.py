"""MaxSim (MotionColBert, arXiv 2603.09930): every word of a sentence looks for its place in a motion's image."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather
from motionlang_pl.losses.contrastive import info_nce
from motionlang_pl.losses.masked import masked_cross_entropy
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.masking import mask_tokens
from motionlang_pl.models.motion_image_encoder import ImageMotion
from motionlang_pl.models.motion_images import AngleImages
from motionlang_pl.models.temperature import Temperature
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.models.tokenizer import Tokens
from motionlang_pl.models.transformer import initialise
from motionlang_pl.scores import maxsim
from motionlang_pl.stages.base import TrainingData
from motionlang_pl.stages.false_negatives import EqualCaptions, FalseNegatives
from motionlang_pl.stages.retrieval import MotionModelStage


class MaxSim(MotionModelStage):
    """Late interaction between the words of sentences and the patches of motion images.

    Args:
        motion: Images and vision transformer.
        text: The language model, with its lexical head for the masked words.
        width: Width of the vectors that are compared.
        temperature: Where the learnable temperature starts.
        masked_words: Weight of masked language modelling.
        rate: Share of a caption's words that are masked for it.
        masked_captions: Captions of a global batch that are masked, its first; at least one on each process.
        false_negatives: Which pairs InfoNCE leaves out; the paper's are `NoFalseNegatives`.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    def __init__(
        self,
        motion: ImageMotion | None = None,
        text: TextModel | None = None,
        width: int = 256,
        temperature: float = 0.07,
        masked_words: float = 0.2,
        rate: float = 0.15,
        masked_captions: int = 16,
        false_negatives: FalseNegatives | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.motion = motion or ImageMotion(AngleImages)
        self.text = text or SmallText()
        self.vector_width = width
        self.start_temperature = temperature
        self.masked_words = masked_words
        self.rate = rate
        self.masked_captions = masked_captions
        self.false_negatives = false_negatives or EqualCaptions()

    def assemble(self, corpus: Corpus) -> None:
        """Both encoders with a projection each, and the language model's lexical head."""
        assert corpus.motion is not None and corpus.text is not None
        self.take_motion(self.motion.build(corpus.motion))
        self.take_text(self.text.build(corpus.text))
        self.motion_projection = nn.Linear(self.motion_encoder.width, self.vector_width).apply(initialise)
        self.text_projection = nn.Linear(self.text_encoder.width, self.vector_width).apply(initialise)
        self.temperature = Temperature(self.start_temperature)

    def begin(self, data: TrainingData) -> None:
        """A new head for the masked words starts at how common words are."""
        self.start_at_frequencies([self.text_lexical_head], data)

    def motion_vectors(self, motion: Motion) -> Tensor:
        """A vector per patch (B, patches, width), 0 where it has no frame."""
        return _vectors(self.motion_projection, self.encode_motion(motion))

    def text_vectors(self, captions: list[str]) -> Tensor:
        """A vector per token (B, max_words, width), 0 where it is padding or special."""
        return self._word_vectors(self.tokenize(captions))

    def _word_vectors(self, tokens: Tokens) -> Tensor:
        vectors = _vectors(self.text_projection, self.encode_text(tokens))
        return F.pad(vectors, (0, 0, 0, self.tokenizer.max_words - vectors.shape[1]))

    def score(self, text: Tensor, motion: Tensor) -> Tensor:
        """Mean over words of the largest cosine among patches; it goes from text to motion in both directions."""
        return maxsim(text, motion)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L = InfoNCE(maxsim / temperature) + masked_words CE(masked words)."""
        assert batch.motion is not None and batch.captions is not None
        tokens = self.tokenize(batch.captions)
        text, motion = gather(self._word_vectors(tokens)), gather(self.motion_vectors(batch.motion))
        contrast = info_nce(self.temperature(self.score(text, motion)), self.false_negatives(batch))
        words = self._masked_words(batch.key, tokens)
        loss = contrast + self.masked_words * words
        values = {"loss": loss, "contrast": contrast, "masked_words": words, "temperature": self.temperature.value}
        self.record("train", values)
        return loss

    def _masked_words(self, key: Tensor, tokens: Tokens) -> Tensor:
        """Cross-entropy of the masked words of this process's share of the global batch's first captions."""
        share = max(1, len(range(self.global_rank, self.masked_captions, self.trainer.world_size)))
        few = Tokens(*(x[:share] for x in tokens))
        size, mask_id = self.tokenizer.vocabulary, self.tokenizer.mask_id
        ids, chosen = mask_tokens(key[:share], few, 1, self.rate, None, size, mask_id)
        states = self.encode_text(few, ids).tokens[chosen]
        return masked_cross_entropy(self.text_lexical_head(states, self.word_embeddings.weight), few.ids[chosen])


def _vectors(projection: nn.Module, encoding: Encoding) -> Tensor:
    """Projected tokens (B, N, width), zero rows where not real; `maxsim` brings the others to length 1."""
    vectors: Tensor = projection(encoding.tokens).float()
    return vectors.masked_fill(~encoding.mask[..., None], 0.0)

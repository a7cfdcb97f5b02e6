"""LexMMM (LexMotion, Lyu et al., ICLR 2025): a masked caption is read through its motion's lexical bottleneck.

The paper gives name and purpose; the formulas are those of LexLIP's image branch (Luo et al., ICCV 2023), with motion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.losses.masked import masked_cross_entropy, masked_mse
from motionlang_pl.models.bottleneck import LexicalDecoder, softmax_bottleneck
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.heads import FrameProjection, TermHead, lexical_vector
from motionlang_pl.models.masking import mask_tokens, span_hidden
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.motion.skeleton import Skeleton, skeleton
from motionlang_pl.stages.base import Stage, TrainingData


class LexMMM(Stage):
    """Lexical bottlenecked masked motion modelling: the motion must say the caption's words.

    Args:
        motion_encoder: Builds the trunk for a skeleton.
        text: The language model, the same as LexMLM's.
        frame_stride: The trunk's tokens (frames, or a grid's cells) that are averaged into one of the lexical head.
        decoder_rate: Share of a caption's words that are masked for the decoder.
        decoder_depth: Layers of the decoder.
        bottleneck: As in LexMLM.
        reconstruction: Weight of the reconstruction of a hidden span of the motion.
        longest_span: Frames; the hidden span's longest length.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    reads = "pairs"

    def __init__(
        self,
        motion_encoder: Callable[[Skeleton], MotionEncoder] = MotionEncoder,
        text: TextModel | None = None,
        frame_stride: int = 4,
        decoder_rate: float = 0.5,
        decoder_depth: int = 2,
        bottleneck: Callable[[Tensor, Tensor], Tensor] = softmax_bottleneck,
        reconstruction: float = 1.0,
        longest_span: int = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_motion_encoder = motion_encoder
        self.text = text or SmallText()
        self.frame_stride = frame_stride
        self.decoder_rate = decoder_rate
        self.decoder_depth = decoder_depth
        self.bottleneck = bottleneck
        self.reconstruction = reconstruction
        self.longest_span = longest_span

    def assemble(self, corpus: Corpus) -> None:
        """Motion trunk and lexical head; of the text only the word embeddings (frozen) and LexMLM's decoder."""
        assert corpus.motion is not None and corpus.text is not None
        self.skeleton = skeleton(corpus.motion.skeleton)
        self.motion_encoder = self.build_motion_encoder(self.skeleton)
        self.motion_adapter = self.motion_encoder.adapter(corpus.motion)
        self.take_text(self.text.build(corpus.text))
        width, size = self.text_encoder.width, self.tokenizer.vocabulary
        self.decoder = LexicalDecoder.like(self.text_encoder, size, self.decoder_depth)
        self.motion_projection = FrameProjection(self.motion_encoder.width, width, self.frame_stride)
        self.motion_lexical_head = TermHead.like(self.text_lexical_head)
        self.word_embeddings.requires_grad_(False)
        del self.text_encoder, self.text_lexical_head

    def begin(self, data: TrainingData) -> None:
        """New heads start at how common words are."""
        self.start_at_frequencies([self.motion_lexical_head, self.decoder.lexical_head], data)

    @property
    def terms(self) -> list[str]:
        """The vocabulary."""
        return self.tokenizer.terms

    def motion_vectors(self, motion: Motion) -> Tensor:
        """Term weights (B, V) of motions."""
        return lexical_vector(self._maxima(self.encode_motion(motion)))

    def _maxima(self, encoding: Encoding) -> Tensor:
        projected = self.motion_projection(encoding)
        return self.motion_lexical_head.maxima(projected.tokens, projected.mask, self.word_embeddings.weight)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """L = CE(decoder, masked words | the motion's bottleneck) + reconstruction * L_rec(hidden span)."""
        assert batch.motion is not None and batch.captions is not None
        features, mask = batch.motion
        hidden = span_hidden(batch.key, mask, len(self.skeleton.joints), self.longest_span)
        encoding = self.encode_motion(batch.motion, hidden)
        columns = self.motion_adapter.hidden_columns(hidden) & mask[..., None]
        predicted = self.motion_adapter.reconstruct(encoding.tokens)[:, : mask.shape[1]]
        reconstruction = masked_mse(predicted, self.motion_adapter.standardise(features), columns)

        tokens, words = self.tokenize(batch.captions), self.word_embeddings.weight
        size, mask_id = self.tokenizer.vocabulary, self.tokenizer.mask_id
        ids, chosen = mask_tokens(batch.key, tokens, 2, self.decoder_rate, None, size, mask_id)
        states = self.decoder(self.bottleneck(self._maxima(encoding), words), self.word_embeddings(ids), tokens)
        caption = masked_cross_entropy(self.decoder.lexical_head(states[chosen], words), tokens.ids[chosen])
        loss = caption + self.reconstruction * reconstruction
        return {"loss": loss, "caption": caption, "reconstruction": reconstruction}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One masked reading of each caption, given its motion."""
        losses = self.losses(batch)
        self.record("train", losses)
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The same, with each sample's masks fixed."""
        self.record_validation(batch, self.losses(batch))

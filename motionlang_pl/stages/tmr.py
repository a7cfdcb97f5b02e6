"""TMR (Petrovich et al., ICCV 2023): one latent space for motions and sentences, which also generates the motion."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from motionlang_pl.data.batch import Batch, Corpus, Motion
from motionlang_pl.distributed import gather
from motionlang_pl.losses.contrastive import info_nce
from motionlang_pl.losses.masked import masked_smooth_l1
from motionlang_pl.losses.variational import kl_terms
from motionlang_pl.models.chunks import in_chunks
from motionlang_pl.models.masking import normal
from motionlang_pl.models.motion_adapter import MotionAdapter
from motionlang_pl.models.temperature import check_temperature
from motionlang_pl.models.text_encoder import SmallText, TextModel
from motionlang_pl.models.variational import Gaussian, LatentDecoder, Sizes, VariationalEncoder
from motionlang_pl.scores import cosine
from motionlang_pl.stages.false_negatives import EqualCaptions, FalseNegatives
from motionlang_pl.stages.retrieval import RetrievalStage


class TMR(RetrievalStage):
    """Text-to-motion retrieval by variational encoders.

    Args:
        text: The language model whose token states are read; frozen, so it should be a trained one.
        sizes: Of both encoders and the decoder.
        reconstruction: Weight of the motion as decoded from both latents.
        kl: Weight of the four Kullback-Leibler terms.
        closeness: Weight of the distance between a pair's latents.
        contrast: Weight of InfoNCE.
        temperature: Of InfoNCE.
        false_negatives: Which pairs InfoNCE leaves out; the paper's are `SimilarSentences`.
        chunk: Samples per process that are encoded and decoded at a time; null for the batch at once.
        optimization: Learning rates and schedule.
        init_from: Modules to take over.
    """

    def __init__(
        self,
        text: TextModel | None = None,
        sizes: Sizes | None = None,
        reconstruction: float = 1.0,
        kl: float = 1e-5,
        closeness: float = 1e-5,
        contrast: float = 0.1,
        temperature: float = 0.1,
        false_negatives: FalseNegatives | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_temperature(temperature)
        self.text = text or SmallText()
        self.sizes = sizes or Sizes()
        self.reconstruction = reconstruction
        self.kl = kl
        self.closeness = closeness
        self.contrast = contrast
        self.temperature = temperature
        self.false_negatives = false_negatives or EqualCaptions()

    def assemble(self, corpus: Corpus) -> None:
        """Both variational encoders and the decoder, over a frozen language model."""
        assert corpus.motion is not None and corpus.text is not None
        self.motion_adapter = MotionAdapter(corpus.motion, self.sizes.width)
        self.motion_adapter.hidden.requires_grad_(False)
        self.take_text(self.text.build(corpus.text))
        self.word_embeddings.requires_grad_(False)
        self.text_encoder.requires_grad_(False).eval()  # Lightning leaves the mode as it is here
        del self.text_lexical_head
        self.text_adapter = nn.Linear(self.text_encoder.width, self.sizes.width)
        self.motion_variational = VariationalEncoder(self.sizes)
        self.text_variational = VariationalEncoder(self.sizes)
        self.motion_decoder = LatentDecoder(self.sizes)

    def motion_gaussian(self, motion: Motion) -> Gaussian:
        """Latents of motions of any length."""
        gaussian: Gaussian = in_chunks(self.motion_variational, self.chunk, self.motion_adapter(motion), motion.mask)
        return gaussian

    def text_gaussian(self, captions: list[str]) -> Gaussian:
        """Latents of captions, from the states of all their tokens, the special ones too."""
        tokens = self.tokenize(captions)
        states = self.text_adapter(self.encode_text(tokens).tokens)
        gaussian: Gaussian = in_chunks(self.text_variational, self.chunk, states, tokens.mask)
        return gaussian

    def represent(self, latent: Tensor) -> Tensor:
        """What of a latent (B, D) is compared: itself."""
        return latent.float()

    def motion_vectors(self, motion: Motion) -> Tensor:
        """The means of the latents (B, D)."""
        return self.represent(self.motion_gaussian(motion).mean)

    def text_vectors(self, captions: list[str]) -> Tensor:
        """The means of the latents (B, D)."""
        return self.represent(self.text_gaussian(captions).mean)

    def decoded_loss(self, latent: Tensor, motion: Motion) -> Tensor:
        """Smooth L1 between a motion, standardised, and what its latent (B, D) is decoded to, over real frames."""
        states = in_chunks(self.motion_decoder, self.chunk, latent, motion.mask)
        predicted, target = self.motion_adapter.reconstruct(states), self.motion_adapter.standardise(motion.features)
        return masked_smooth_l1(predicted, target, motion.mask[..., None].expand_as(target))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L = reconstruction (t -> m, m -> m) + kl KL + closeness SmoothL1(z_t, z_m) + contrast InfoNCE, z sampled."""
        assert batch.motion is not None and batch.captions is not None
        text, motion = self.text_gaussian(batch.captions), self.motion_gaussian(batch.motion)
        z_text = text.sample(normal(batch.key, 1, self.sizes.width))
        z_motion = motion.sample(normal(batch.key, 2, self.sizes.width))
        from_text, from_motion = (self.decoded_loss(z, batch.motion) for z in (z_text, z_motion))
        kl = kl_terms(text, motion)
        closeness = F.smooth_l1_loss(gather(z_text).float(), gather(z_motion).float())
        scores = cosine(gather(self.represent(z_text)), gather(self.represent(z_motion))) / self.temperature
        contrast = info_nce(scores, self.false_negatives(batch))
        loss = (
            self.reconstruction * (from_text + from_motion)
            + self.kl * kl
            + self.closeness * closeness
            + self.contrast * contrast
        )
        values = {"loss": loss, "contrast": contrast, "kl": kl, "closeness": closeness}
        values["temperature"] = loss.new_tensor(self.temperature)
        self.record("train", {**values, "text_to_motion": from_text, "motion_to_motion": from_motion})
        return loss

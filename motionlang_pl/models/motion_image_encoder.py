"""transformers' ViT (Dosovitskiy et al. 2021) on motion images: a token per patch of 16 frames and 16 numbers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, ViTConfig, ViTModel

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.motion_images import ChainImages, MotionImages
from motionlang_pl.models.motion_model import MotionModel, MotionParts
from motionlang_pl.models.pretrained import config_text, first_line, not_found, quiet
from motionlang_pl.models.transformer import check_heads
from motionlang_pl.motion.images import FRAMES, PATCH, patch_mask


class MotionImageEncoder(nn.Module):
    """Encodes motion images; a patch is real where any of its 16 frames is.

    An image has 224 rows however short its motion is, so nothing depends on what else is in the batch. The papers let
    patches without a frame count as any other; here they attend and are attended to as in the papers, but neither
    tokens nor summary have them.

    Args:
        config: transformers' ViTConfig (JSON), its image_size [224, width].

    Attributes:
        width: Width D of a token.  patches: Their number P, real or not.
    """

    def __init__(self, config: str) -> None:
        super().__init__()
        self.config = config
        settings = ViTConfig(**json.loads(config))
        _check(settings, "config")
        height, across = (side // PATCH for side in _sides(settings.image_size))
        self.width = int(settings.hidden_size)
        self.patches, self._across = height * across, across
        self.model = ViTModel(settings, add_pooling_layer=False)

    def forward(self, images: Tensor, mask: Tensor) -> Encoding:
        """Encode images (B, 3, 224, width) with their mask over frames (B, 224).

        Returns a token per patch, frames first, 0 where it has no frame; the summary is the mean of the real ones.
        """
        states: Tensor = self.model(images).last_hidden_state[:, 1:]
        real = patch_mask(mask).repeat_interleave(self._across, dim=1)
        tokens = states.masked_fill(~real[..., None], 0.0)
        return Encoding(tokens, real, tokens.sum(dim=1) / real.sum(dim=1, keepdim=True).clamp(min=1))


class ImageModel(ABC):
    """Where a vision transformer comes from."""

    @abstractmethod
    def first(self, size: tuple[int, int]) -> MotionImageEncoder:
        """Build it for the first time, for images of a height and width."""


class SmallViT(ImageModel):
    """A new ViT of chosen size.

    Args:
        width: Width D.
        depth: Layers.
        heads: Attention heads.
        feedforward: Width of the feed-forward layers.
        dropout: Everywhere but on attention weights.
    """

    def __init__(
        self, width: int = 128, depth: int = 4, heads: int = 4, feedforward: int = 256, dropout: float = 0.0
    ) -> None:
        check_heads(width, heads)
        self.width, self.depth, self.heads = width, depth, heads
        self.feedforward, self.dropout = feedforward, dropout

    def first(self, size: tuple[int, int]) -> MotionImageEncoder:
        """New weights."""
        config = ViTConfig(
            hidden_size=self.width,
            num_hidden_layers=self.depth,
            num_attention_heads=self.heads,
            intermediate_size=self.feedforward,
            hidden_dropout_prob=self.dropout,
            image_size=list(size),
            patch_size=PATCH,
        )
        return MotionImageEncoder(config_text(config))


class PretrainedViT(ImageModel):
    """A ViT with patches of 16 x 16 that was trained on photographs, weights in safetensors.

    Its positions are interpolated to the images' grid once, when it is built for the first time.

    Args:
        name: A local folder, or a name on the Hugging Face hub.
        dropout: Everywhere but on attention weights; None keeps the model's own.
    """

    def __init__(self, name: str, dropout: float | None = None) -> None:
        self.name = name
        self.dropout = dropout

    def first(self, size: tuple[int, int]) -> MotionImageEncoder:
        """Read the model; FileNotFoundError or ValueError where there is none or it does not fit."""
        state, config = self._fetch()
        before = [side // PATCH for side in _sides(config.image_size)]
        config.image_size = list(size)
        if self.dropout is not None:
            config.hidden_dropout_prob = self.dropout
        positions = "embeddings.position_embeddings"
        state[positions] = interpolate(state[positions], before, [side // PATCH for side in size])
        encoder = MotionImageEncoder(config_text(config))
        encoder.model.load_state_dict(state)
        return encoder

    def _fetch(self) -> tuple[dict[str, Tensor], Any]:
        try:
            config = AutoConfig.from_pretrained(self.name)
        except ValueError as error:
            raise ValueError(
                f"{self.name}: transformers knows no such model ({first_line(error)}); choose a ViT"
            ) from error
        except OSError as error:
            raise self._not_found(error) from error
        _check(config, self.name)
        fetch: Any = ViTModel.from_pretrained
        try:
            with quiet():
                model, report = fetch(
                    self.name,
                    config=config,
                    add_pooling_layer=False,
                    dtype=torch.float32,
                    use_safetensors=True,
                    output_loading_info=True,
                )
        except (OSError, SafetensorError) as error:
            raise self._not_found(error) from error
        if missing := sorted(report["missing_keys"]):
            raise ValueError(
                f"{self.name}: its weights lack {missing[0]} of a ViT ({len(missing)} missing); "
                "give the folder of a complete model"
            )
        return model.state_dict(), config

    def _not_found(self, error: Exception) -> FileNotFoundError:
        return not_found(self.name, error, "config.json and model.safetensors")


class ImageMotion(MotionModel):
    """Motions as images, read by a vision transformer.

    Args:
        images: Makes the images: ChainImages (MotionPatches) or AngleImages (MotionColBert).
        vit: The vision transformer.
    """

    reading = "first224"

    def __init__(
        self, images: Callable[[MotionSpec], MotionImages] = ChainImages, vit: ImageModel | None = None
    ) -> None:
        self.images = images
        self.vit = vit or SmallViT()

    def build(self, spec: MotionSpec) -> MotionParts:
        """Images and transformer; where the spec has a config already, that one with new weights."""
        adapter = self.images(spec)
        encoder = MotionImageEncoder(spec.encoder) if spec.encoder else self.vit.first(adapter.size)
        return MotionParts(spec._replace(encoder=encoder.config), adapter, encoder)

    def encode(
        self, adapter: Any, encoder: Any, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None
    ) -> Encoding:
        """A token per patch of the first 224 frames."""
        encoding: Encoding = encoder(*adapter(motion, hidden, noise))
        return encoding


class WholeImageMotion(ImageMotion):
    """The same where every patch counts, those without a frame too, as in MotionPatches' and MotionColBert's code.

    What follows a motion's end is the mean pose, 0 once standardised.
    """

    def encode(
        self, adapter: Any, encoder: Any, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None
    ) -> Encoding:
        """A token per patch of 224 frames."""
        more = (0, max(0, FRAMES - motion.mask.shape[1]))
        features, mask = F.pad(motion.features, (0, 0, *more)), F.pad(motion.mask, more)
        whole = Motion(torch.where(mask[..., None], features, adapter.mean), torch.ones_like(mask))
        hidden, noise = (None if x is None else F.pad(x, (0, 0, *more)) for x in (hidden, noise))
        return super().encode(adapter, encoder, whole, hidden, noise)


def interpolate(positions: Tensor, before: list[int], after: list[int]) -> Tensor:
    """Positions of another grid of patches, bicubic as in ViT's own fine-tuning; the class token's stays.

    positions: (1, 1 + h w, D) of a grid (h, w) before.  Returns (1, 1 + h' w', D).
    """
    grid = torch.unflatten(positions[:, 1:], 1, before).movedim(-1, 1)
    resized = F.interpolate(grid, size=after, mode="bicubic", align_corners=False)
    return torch.cat((positions[:, :1], resized.flatten(2).mT), dim=1)


def _check(config: Any, name: str) -> None:
    if config.model_type != "vit":
        raise ValueError(f"{name}: a {config.model_type} model; choose a ViT")
    if _sides(config.patch_size) != [PATCH, PATCH] or config.num_channels != 3:
        raise ValueError(
            f"{name}: patches of {config.patch_size} and {config.num_channels} channels; motion images need a ViT with "
            f"patches of {PATCH} and 3 channels"
        )


def _sides(size: Any) -> list[int]:
    return [size, size] if isinstance(size, int) else list(size)

"""What flows from the data to the models: batches of motion and sentences, and what modules are built from."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Motion(NamedTuple):
    """Padded motion.

    features: (B, T, C) float32 as stored (not standardised), zeros where padded.  mask: (B, T) bool, True = real frame.
    """

    features: Tensor
    mask: Tensor


class Batch(NamedTuple):
    """One batch; motion and captions are None where the stage does not read them.

    sample: (B,) int64, the sample's number in its split.
    key: (B,) int64, a hash of (seed, epoch, sample) that keys all randomness about the sample.
    sentence: (B,) int64, a hash of the sample's first caption: samples that share it say the same.
    said: (B,) int64, a hash of the caption that was drawn of it.
    """

    sample: Tensor
    key: Tensor
    sentence: Tensor
    said: Tensor
    motion: Motion | None
    captions: list[str] | None


class MotionSpec(NamedTuple):
    """A feature kind of a store, enough to build a motion adapter.

    kind: feature kind.  skeleton: its name.  fps: frames per second.  mean, std: (C,) float32, training split only.
    encoder: config of an encoder that comes from a library (transformers' JSON; empty for our own, or none chosen yet).
    """

    kind: str
    skeleton: str
    fps: float
    mean: Tensor
    std: Tensor
    encoder: str = ""


class TextSpec(NamedTuple):
    """A tokenizer (tokenizers' JSON) and a language model's config (transformers' JSON; empty where none is chosen)."""

    tokenizer: str
    config: str


class Corpus(NamedTuple):
    """What a stage's modules are built from; travels inside its checkpoint.  None where a stage has no use for it."""

    motion: MotionSpec | None
    text: TextSpec | None

"""A queue of past term weights as further negatives (MoCo, He et al. 2020), stored sparsely, and a slow encoder for it.

LexLIP (Luo et al. 2023) keeps 11,520 vectors with momentum 0.99; dense they would take 0.7 GB per modality in float16
at 30,522 terms, with 256 terms each they take 18 MB.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class MomentumQueue:
    """How a stage keeps past representations.

    Args:
        size: Vectors per modality (LexLIP: 11,520).
        terms: Strongest terms kept of each.
        momentum: Of the encoders that fill the queue: m * theirs + (1 - m) * the trained ones', every step.
    """

    size: int = 11520
    terms: int = 256
    momentum: float = 0.99

    def __post_init__(self) -> None:
        if self.size < 1 or self.terms < 1 or not 0 <= self.momentum < 1:
            raise ValueError(f"{self}: size and terms must be at least 1, momentum at least 0 and below 1")


class SparseQueue(nn.Module):
    """The last vectors, each as its strongest terms, scaled to length 1; the oldest go first.

    Everything is a buffer, so a checkpoint holds it. Processes that push the same rows hold the same queue.

    Args:
        size: Number of vectors K.
        terms: Terms k kept of each.
        captions: Captions n by which a vector is known.
    """

    indices: Tensor
    values: Tensor
    captions: Tensor
    pushed: Tensor

    def __init__(self, size: int, terms: int, captions: int) -> None:
        super().__init__()
        self.register_buffer("indices", torch.zeros(size, terms, dtype=torch.int32))
        self.register_buffer("values", torch.zeros(size, terms, dtype=torch.float16))
        self.register_buffer("captions", torch.zeros(size, captions, dtype=torch.int64))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, vectors: Tensor, captions: Tensor) -> None:
        """vectors: (B, V), non-negative.  captions: (B, n) int64, hashes.  Only the last K rows stay."""
        size, terms = self.indices.shape
        values, indices = vectors[-size:].float().topk(min(terms, vectors.shape[1]), dim=1)
        values = F.pad(F.normalize(values, dim=1), (0, terms - values.shape[1]))
        indices = F.pad(indices, (0, terms - indices.shape[1]))
        slots = (self.pushed + torch.arange(len(values), device=self.pushed.device)) % size
        self.indices[slots] = indices.int()
        self.values[slots] = values.half()
        self.captions[slots] = captions[-size:]
        self.pushed += len(values)

    def cosines(self, vectors: Tensor) -> Tensor:
        """Cosines of vectors (B, V) with the queue's, (B, K) float32; 0 for an empty slot."""
        with torch.autocast(vectors.device.type, enabled=False):
            unit = F.normalize(vectors.float(), dim=1)
            per_slot = F.embedding_bag(self.indices.long(), unit.T, per_sample_weights=self.values.float(), mode="sum")
        return per_slot.T

    def ignored(self, captions: Tensor) -> Tensor:
        """Mark slots that are no negatives: empty ones, and those with an equal caption.  (B, n) -> (B, K) bool."""
        empty = torch.arange(len(self.captions), device=self.captions.device) >= self.pushed
        return empty | (captions[:, None] == self.captions).any(dim=2)


class SlowModules(nn.Module):
    """Copies of modules whose parameters follow slowly.

    Args:
        modules: By the name that they have in their stage.
        momentum: Of the parameters.
    """

    def __init__(self, modules: Mapping[str, nn.Module], momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.copies = nn.ModuleDict({name: copy.deepcopy(module) for name, module in modules.items()})
        self.requires_grad_(False)

    def parameters_by_name(self) -> dict[str, Tensor]:
        """As `torch.func.functional_call` puts them in place of the stage's own."""
        return dict(self.copies.named_parameters())

    @torch.no_grad()
    def follow(self, stage: nn.Module, momentum: float | None = None) -> None:
        """Move every parameter towards the stage's; with momentum 0 they become equal."""
        rate = 1 - (self.momentum if momentum is None else momentum)
        own = dict(stage.named_parameters())
        for name, parameter in self.copies.named_parameters():
            parameter.lerp_(own[name].detach(), rate)

"""How a lexical space is used over a split, in counters that add up over batches and processes; signs of collapse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

HUB = 0.9  # a term active in more than this share of the samples is a hub
NAMED = 5  # hubs that an alarm names
NO_TERM = "(no active term)"


class TermUse(Metric):
    """Signs of collapse of vectors of term weights, in percent.

    compute() gives: hub_share (part of all weight that lies on terms active in more than nine of ten samples),
    dead_share (samples without an active term), dense_share (samples with more than half of the vocabulary active),
    active_terms and norm (means over samples), hubs (int64, the heaviest hub terms; a scalar where there is one).

    Args:
        vocabulary: Number of terms V.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    samples: Tensor
    dead: Tensor
    dense: Tensor
    length: Tensor
    active: Tensor
    weight: Tensor

    def __init__(self, vocabulary: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("samples", "dead", "dense"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("length", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("active", torch.zeros(vocabulary, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros(vocabulary, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, vectors: Tensor, sample: Tensor) -> None:
        """Count a batch without fillers.  vectors: (B, V), non-negative.  sample: (B,) int64, negative: a filler."""
        vectors = vectors.detach()[sample >= 0]
        active = vectors > 0
        count = active.sum(dim=1)
        self.samples += len(vectors)
        self.dead += (count == 0).sum()
        self.dense += (2 * count > vectors.shape[1]).sum()
        self.length += torch.linalg.vector_norm(vectors.float(), dim=1).sum(dtype=torch.float64)
        self.active += active.sum(dim=0)
        self.weight += vectors.sum(dim=0, dtype=torch.float64)

    def compute(self) -> dict[str, Tensor]:
        """Return the values, scalars but for `hubs`."""
        samples = self.samples.clamp(min=1)
        hub = self.active > HUB * samples
        heaviest = self.weight.masked_fill(~hub, -1.0).topk(min(NAMED, len(hub))).indices
        return {
            "hub_share": 100 * self.weight[hub].sum() / self.weight.sum().clamp(min=1e-12),
            "dead_share": 100 * self.dead / samples,
            "dense_share": 100 * self.dense / samples,
            "active_terms": self.active.sum() / samples,
            "norm": self.length / samples,
            "hubs": heaviest[hub[heaviest]],
        }


def alarms(use: dict[str, Tensor], name: str, terms: list[str], settled: bool) -> list[str]:
    """What is wrong with a lexical space and what to do about it, a line each.

    use: of `TermUse`.  name: text or motion.  terms: the vocabulary.  settled: whether sparsity has had its full weight
    for a while; before, dense vectors and hubs are the start, not a collapse.
    """
    found = []
    active, norm = float(use["active_terms"]), float(use["norm"])
    if use["dead_share"] > 5:
        found.append(
            f"lexical/dead_share {float(use['dead_share']):.0f}% ({name}): samples without an active term, which "
            f"score 0 with everything; lower flops_{name}, or raise start_share"
        )
    if settled and use["hub_share"] > 50:
        hubs = ", ".join(terms[number] for number in use["hubs"].flatten().tolist())
        found.append(
            f"lexical/hub_share {float(use['hub_share']):.0f}% ({name}): most weight lies on terms that nearly every "
            f"sample has ({hubs}); raise flops_{name}, or choose the sparsity motionlang_pl.losses.lexical.overuse"
        )
    if settled and use["dense_share"] > 50:
        found.append(
            f"lexical/dense_share {float(use['dense_share']):.0f}% ({name}): more than half of the vocabulary is "
            f"active in a sample; raise flops_{name}"
        )
    if settled and active > len(terms) / 8 and norm < 0.05 * active**0.5:
        found.append(
            f"val/lexical/norm_{name} {norm:.2g} with {active:.0f} active terms: the weights shrink instead of "
            f"becoming sparse, which lowers FLOPS and leaves the cosine as it is; choose the sparsity "
            f"motionlang_pl.losses.lexical.overuse, or lower flops_{name}"
        )
    return found


def strongest(weights: Tensor, terms: list[str], count: int) -> list[str]:
    """The heaviest terms of each vector with their weights, as text.  weights: (B, V).  terms: the vocabulary."""
    values, numbers = weights.topk(min(count, weights.shape[1]), dim=1)
    rows = zip(values.tolist(), numbers.tolist(), strict=True)
    return [", ".join(f"{terms[n]} {w:.2f}" for w, n in zip(*row, strict=True) if w > 0) or NO_TERM for row in rows]

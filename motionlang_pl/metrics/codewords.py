"""How a shared codebook is used over a split: active and shared codewords of a pair, dead codewords, perplexity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class CodewordUsage(Metric):
    """Collects assignments of pairs.

    active_text, active_motion: codewords with a weight above 0, mean over samples.  shared: weight that a pair's
    assignments have in common, sum_k min(a_k, b_k), from 0 to 1, mean over pairs.  used: codewords that any sample of
    either modality uses.  dead: the others.  perplexity: exp of the entropy of the mean assignment, from 1 to K.

    Args:
        codewords: Number K.
    """

    full_state_update = False
    total: Tensor
    sums: Tensor
    pairs: Tensor

    def __init__(self, codewords: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros(codewords), dist_reduce_fx="sum")
        self.add_state("sums", torch.zeros(3), dist_reduce_fx="sum")
        self.add_state("pairs", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, text: Tensor, motion: Tensor, real: Tensor) -> None:
        """text, motion: (B, K), rows on the simplex.  real: (B,) bool, False for samples that only fill a batch."""
        text, motion = text[real].float(), motion[real].float()
        self.total += text.sum(dim=0) + motion.sum(dim=0)
        self.sums += torch.stack([(text > 0).sum(), (motion > 0).sum(), shared(text, motion).sum()])
        self.pairs += len(text)

    def compute(self) -> dict[str, Tensor]:
        """The values by name."""
        count = self.pairs.clamp(min=1)
        mean = self.total / (2 * count)
        used = (self.total > 0).sum().float()
        active_text, active_motion, common = self.sums / count
        return {
            "active_text": active_text,
            "active_motion": active_motion,
            "shared": common,
            "used": used,
            "dead": len(self.total) - used,
            "perplexity": torch.special.entr(mean).sum().exp(),
        }


def shared(text: Tensor, motion: Tensor) -> Tensor:
    """Weight that paired assignments have in common.  text, motion: (B, K).  Returns (B,), 1 where they are equal."""
    return torch.minimum(text, motion).sum(dim=1)

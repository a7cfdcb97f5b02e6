"""Losses over chosen positions only: the mean is over the chosen positions of all processes, 0 when there are none."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from motionlang_pl.distributed import global_mean


def all_frames(real: Tensor, hidden: Tensor) -> Tensor:
    """Predict everything that is real.  real, hidden: (B, T, C) bool.  Returns which of it the loss is on."""
    return real


def hidden_frames(real: Tensor, hidden: Tensor) -> Tensor:
    """Predict only what was hidden.  real, hidden: (B, T, C) bool.  Returns which of it the loss is on."""
    return hidden


def masked_l1(predicted: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Mean absolute error.  predicted, target: (B, T, C).  where: (B, T, C) bool.  Returns a float32 scalar."""
    return _mean((predicted.float() - target.float()).abs(), where)


def masked_mse(predicted: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Mean squared error.  predicted, target: (B, T, C).  where: (B, T, C) bool.  Returns a float32 scalar."""
    return _mean((predicted.float() - target.float()).square(), where)


def masked_smooth_l1(predicted: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Mean of x^2 / 2 where the error x is below 1, of |x| - 1/2 elsewhere (Huber).

    predicted, target: (B, T, C).  where: (B, T, C) bool.  Returns a float32 scalar.
    """
    return _mean(F.smooth_l1_loss(predicted.float(), target.float(), reduction="none"), where)


def masked_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the M chosen words.  logits: (M, V).  labels: (M,) int64.  Returns a float32 scalar."""
    total = F.cross_entropy(logits.float(), labels, reduction="sum")
    return global_mean(total, labels.new_tensor(len(labels)))


def _mean(error: Tensor, where: Tensor) -> Tensor:
    return global_mean(error.masked_fill(~where, 0.0).sum(), where.sum())

"""What masked modelling reconstructs: two standardisations of a motion's columns, chosen by a stage."""

from __future__ import annotations

from torch import Tensor

_STILL = 0.1  # of the training split's standard deviation: a column that moves less in a clip is not blown up further


def over_the_split(standardised: Tensor, mask: Tensor) -> Tensor:
    """The columns as they are, standardised over the training split.

    standardised: (B, T, C).  mask: (B, T).  Returns (B, T, C).
    """
    return standardised


def over_the_clip(standardised: Tensor, mask: Tensor) -> Tensor:
    """Each column with mean 0 and standard deviation 1 over the clip's real frames: what moves, not the mean pose.

    standardised: (B, T, C).  mask: (B, T).  Returns (B, T, C); a column that is still stays near 0.
    """
    real = mask[..., None]
    count = real.sum(dim=1, keepdim=True).clamp(min=1)
    centred = (standardised - standardised.masked_fill(~real, 0.0).sum(dim=1, keepdim=True) / count) * real
    return centred / (centred.square().sum(dim=1, keepdim=True) / count).sqrt().clamp(min=_STILL)

"""A learnable temperature by which scores are divided (CLIP, Radford et al. 2021, sec. 2.5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """Divides scores by a temperature that starts at ``start`` and never falls below 0.01."""

    def __init__(self, start: float = 0.07) -> None:
        super().__init__()
        check_temperature(start)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(start)))

    @property
    def value(self) -> Tensor:
        """The temperature, a scalar."""
        return self.log_scale.detach().exp().clamp(max=100.0).reciprocal()

    def forward(self, scores: Tensor) -> Tensor:
        """scores: any shape.  Returns them in float32, divided by the temperature."""
        return scores.float() * self.log_scale.float().exp().clamp(max=100.0)


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless scores can be divided by it."""
    if temperature <= 0:
        raise ValueError(f"temperature {temperature:g}: it must be above 0")

"""A learnable temperature by which scores are divided (CLIP, Radford et al. 2021, sec. 2.5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LEAST = 0.01


class Temperature(nn.Module):
    """Divides scores by a temperature that starts at ``start`` and stops at 0.01, from where it can rise again."""

    def __init__(self, start: float = 0.07) -> None:
        super().__init__()
        check_temperature(start)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(start)))

    @property
    def value(self) -> Tensor:
        """The temperature, a scalar."""
        return self.log_scale.detach().neg().exp().clamp(min=LEAST)

    def forward(self, scores: Tensor) -> Tensor:
        """scores: any shape.  Returns them in float32, divided by the temperature."""
        with torch.no_grad():  # the parameter itself: a clamp of the factor would have no gradient to come back by
            self.log_scale.clamp_(max=-math.log(LEAST))
        return scores.float() * self.log_scale.float().exp()


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless scores can be divided by it."""
    if temperature <= 0:
        raise ValueError(f"temperature {temperature:g}: it must be above 0")

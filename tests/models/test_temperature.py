"""The learnable temperature."""

from __future__ import annotations

import pytest
import torch

from motionlang_pl.models.temperature import Temperature


def test_scores_are_divided_by_it_and_it_never_falls_below_a_hundredth() -> None:
    temperature = Temperature(0.5)
    assert temperature(torch.tensor([1.0, -2.0])).tolist() == pytest.approx([2, -4])
    assert temperature.value == pytest.approx(0.5)
    torch.nn.init.constant_(temperature.log_scale, 10.0)
    assert temperature(torch.tensor(1.0)).item() == pytest.approx(100)
    assert temperature.value.item() == pytest.approx(0.01)


def test_a_temperature_at_its_bound_can_rise_again() -> None:
    temperature = Temperature()
    torch.nn.init.constant_(temperature.log_scale, 10.0)
    (-temperature(torch.tensor([-1.0, 1.0])).log_softmax(dim=0)[0]).backward()  # the wrong one scores higher
    assert temperature.log_scale.grad > 0  # a step of descent lowers the factor


@pytest.mark.parametrize("start", [0.0, -1.0])
def test_a_start_that_is_not_positive_is_refused(start: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Temperature(start)

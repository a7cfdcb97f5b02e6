from __future__ import annotations

import math

import pytest
import torch

from motionlang_pl.losses.masked import masked_smooth_l1
from motionlang_pl.losses.variational import kl_divergence, kl_terms


def gaussian(mean: float, variance: float, rows: int = 3, width: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((rows, width), mean), torch.full((rows, width), math.log(variance))


def test_the_divergence_by_hand():
    # (var_q / var_p + (mean_p - mean_q)^2 / var_p - 1 - log(var_q / var_p)) / 2
    assert kl_divergence(gaussian(0, 1), gaussian(1, 1)).item() == pytest.approx(0.5)
    assert kl_divergence(gaussian(0, 1), gaussian(2, 4)).item() == pytest.approx((0.25 + 1 - 1 + math.log(4)) / 2)
    assert kl_divergence(gaussian(2, 4), gaussian(0, 1)).item() == pytest.approx((4 + 4 - 1 - math.log(4)) / 2)


def test_a_gaussian_does_not_diverge_from_itself():
    assert kl_divergence(gaussian(1.5, 0.3), gaussian(1.5, 0.3)).item() == 0


def test_the_divergence_is_torchs_averaged_over_samples_and_coordinates():
    draws = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    q, p = (draws[0], draws[1]), (draws[2], draws[3])
    normals = [torch.distributions.Normal(mean, (log_variance / 2).exp()) for mean, log_variance in (q, p)]
    torch.testing.assert_close(kl_divergence(q, p), torch.distributions.kl_divergence(*normals).mean())


def test_the_four_terms_add_up_and_treat_text_and_motion_alike():
    text, motion = gaussian(0, 1), gaussian(1, 1)
    assert kl_terms(text, motion).item() == pytest.approx(0.5 + 0.5 + 0.0 + 0.5)
    assert kl_terms(text, motion) == kl_terms(motion, text)


def test_the_divergence_is_float32_and_its_gradients_finite():
    q = tuple(x.bfloat16().requires_grad_() for x in gaussian(0.5, 2))
    value = kl_divergence(q, gaussian(0, 1))
    value.backward()
    assert value.dtype == torch.float32
    assert all(x.grad.isfinite().all() for x in q)


def test_smooth_l1_is_quadratic_below_one_and_counts_chosen_positions_only():
    target = torch.zeros(1, 4, 1)
    predicted = torch.tensor([0.5, -3.0, 100.0, 0.0]).view(1, 4, 1)
    where = torch.tensor([True, True, False, True]).view(1, 4, 1)
    assert masked_smooth_l1(predicted, target, where).item() == pytest.approx((0.125 + 2.5 + 0) / 3)
    assert masked_smooth_l1(predicted, target, where & False) == 0

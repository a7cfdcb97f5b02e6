from __future__ import annotations

import math

import pytest
import torch

from motionlang_pl.losses.masked import masked_cross_entropy, masked_l1, masked_mse

WHERE = torch.tensor([[[True, False], [True, False]]])


def test_only_chosen_positions_count():
    predicted, target = torch.tensor([[[1.0, 9.0], [4.0, 9.0]]]), torch.zeros(1, 2, 2)
    assert masked_l1(predicted, target, WHERE) == 2.5
    assert masked_mse(predicted, target, WHERE) == 8.5


def test_positions_that_are_not_chosen_get_no_gradient_even_where_they_are_no_numbers():
    predicted = torch.tensor([[[1.0, math.nan], [4.0, math.inf]]], requires_grad=True)
    masked_mse(predicted, torch.zeros(1, 2, 2), WHERE).backward()
    assert predicted.grad[..., 0].tolist() == [[1.0, 4.0]]


def test_cross_entropy_of_uniform_logits_is_log_vocabulary():
    assert masked_cross_entropy(torch.zeros(3, 50), torch.tensor([1, 2, 49])).item() == pytest.approx(math.log(50))


def test_nothing_chosen_gives_zero_with_zero_gradient():
    x = torch.ones(2, 3, 4, requires_grad=True)
    nothing = torch.zeros(2, 3, 4, dtype=torch.bool)
    logits = x.flatten(0, 1)[nothing.flatten(0, 1)[:, 0]]
    empty = torch.zeros(0, dtype=torch.int64)
    for loss in (masked_l1(x, x * 2, nothing), masked_mse(x, x * 2, nothing), masked_cross_entropy(logits, empty)):
        assert loss == 0
        (gradient,) = torch.autograd.grad(loss, x)
        assert torch.equal(gradient, torch.zeros_like(x))


def test_losses_are_float32_for_bfloat16_input():
    x = torch.ones(1, 2, 2, dtype=torch.bfloat16)
    assert masked_l1(x, x, WHERE).dtype == torch.float32
    assert masked_cross_entropy(x[0], torch.tensor([0, 1])).dtype == torch.float32

from __future__ import annotations

import math

import pytest
import torch
from entmax import sparsemax

from motionlang_pl.losses.codebook import (
    content_words,
    fenchel_young,
    jensen_shannon,
    orthogonality,
    soft_kl,
    squared_difference,
    usage_balance,
    usage_entropy,
)

CONSISTENCY = [jensen_shannon, fenchel_young, soft_kl, squared_difference]
# A point of the simplex is its own sparsemax, so that assignments can be written as their logits.
LEFT, RIGHT = torch.tensor([[0.5, 0.5, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.2, 0.8]])


def pairs(rows: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.randn(2, rows, 8, generator=torch.Generator().manual_seed(0))
    return a, b


def test_jensen_shannon_is_0_for_equal_and_log_2_for_disjoint_assignments() -> None:
    assert jensen_shannon(LEFT, LEFT) == 0
    assert jensen_shannon(LEFT, RIGHT).item() == pytest.approx(math.log(2))


def test_jensen_shannon_is_bounded() -> None:
    a, b = pairs()
    each = torch.stack([jensen_shannon(a[i : i + 1], b[i : i + 1]) for i in range(20)])
    assert (each > 0).all() and (each <= math.log(2) + 1e-6).all()
    assert torch.allclose(each.mean(), jensen_shannon(a, b))


def test_squared_difference_by_hand() -> None:
    assert squared_difference(LEFT, RIGHT).item() == pytest.approx(0.25 + 0.25 + 0.04 + 0.64)


def test_fenchel_young_by_hand() -> None:
    """Towards y = (1, 0) from z = (0, 0): p = (1/2, 1/2), p.z - |p|^2/2 + |y|^2/2 - y.z = -1/4 + 1/2."""
    a, b = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    # the other side: z = (1, 0), p = (1, 0), y = (1/2, 1/2): 1 - 1/2 + 1/4 - 1/2
    assert fenchel_young(a, b).item() == pytest.approx((1 / 4 + 1 / 4) / 2)


def test_fenchel_young_is_at_least_half_the_squared_difference() -> None:
    a, b = pairs()
    for i in range(20):
        rows = a[i : i + 1], b[i : i + 1]
        assert fenchel_young(*rows) >= squared_difference(*rows) / 2 - 1e-6


def test_the_gradient_of_fenchel_young_is_the_difference_of_the_assignments() -> None:
    a, b = pairs(1)
    a.requires_grad_()
    fenchel_young(a, b).backward()
    torch.testing.assert_close(a.grad, (sparsemax(a, dim=1) - sparsemax(b, dim=1)).detach() / 2)


def test_soft_kl_by_hand() -> None:
    a, b = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[0.0, math.log(3.0)]])
    assert soft_kl(a, b).item() == pytest.approx(0.5 * math.log(3.0))  # (3/4 - 1/4) log 3 in either direction


@pytest.mark.parametrize("loss", CONSISTENCY)
def test_a_consistency_loss_is_symmetric_and_0_only_for_equal_assignments(loss) -> None:
    a, b = pairs()
    assert torch.allclose(loss(a, b), loss(b, a))
    assert loss(a, a).item() == pytest.approx(0, abs=1e-6) and loss(a, b) > 0.01


@pytest.mark.parametrize("loss", CONSISTENCY)
def test_a_consistency_loss_has_finite_gradients_and_is_float32(loss) -> None:
    a, b = (x.mul(50).bfloat16().requires_grad_() for x in pairs())
    value = loss(a, b)
    value.backward()
    assert value.dtype == torch.float32
    assert a.grad.isfinite().all() and b.grad.isfinite().all()


@pytest.mark.parametrize(
    ("loss", "reaches"), [(jensen_shannon, False), (squared_difference, False), (fenchel_young, True), (soft_kl, True)]
)
def test_which_losses_draw_disjoint_supports_together(loss, reaches: bool) -> None:
    """Sparsemax passes no gradient to codewords that it does not use: nothing tells a side of the other's codewords."""
    a = LEFT.clone().requires_grad_()
    loss(a, RIGHT).backward()
    assert (a.grad[0, 3] < -0.1) == reaches


def test_jensen_shannon_of_disjoint_supports_has_no_gradient_at_all() -> None:
    a = torch.tensor([[0.3, 0.7, 0.0, 0.0]], requires_grad=True)
    jensen_shannon(a, RIGHT).backward()
    torch.testing.assert_close(a.grad, torch.zeros(1, 4), atol=1e-6, rtol=0)


def test_usage_is_best_when_even_and_worst_when_one_codeword_takes_all() -> None:
    one = torch.tensor([[1.0, 0, 0, 0]] * 3)
    assert usage_balance(torch.eye(4)) == 1 and usage_balance(one) == 4
    assert usage_entropy(torch.eye(4)).item() == pytest.approx(0, abs=1e-6)
    assert usage_entropy(one).item() == pytest.approx(math.log(4))


def test_a_gradient_step_on_either_usage_loss_evens_the_usage() -> None:
    for loss in (usage_balance, usage_entropy):
        weights = torch.tensor([[0.7, 0.3, 0.0]], requires_grad=True)
        loss(weights).backward()
        assert weights.grad.isfinite().all()
        assert weights.grad[0, 0] > weights.grad[0, 1] > weights.grad[0, 2]


def test_orthogonality_of_known_codewords() -> None:
    assert orthogonality(torch.eye(3) * 7).item() == pytest.approx(0, abs=1e-6)
    assert orthogonality(torch.ones(3, 5)).item() == pytest.approx(2)  # each has cosine 1 with two others


def test_content_words_by_hand() -> None:
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0], [0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    ids = torch.tensor([[0, 1], [2, 0], [0, 0]])
    there = torch.tensor([[True, True], [True, False], [False, False]])
    # half of log 2 and of log 4; log 3; a caption without content words does not count
    expected = ((math.log(2) + math.log(4)) / 2 + math.log(3)) / 2
    assert content_words(logits, ids, there).item() == pytest.approx(expected)


def test_content_words_of_nothing_are_0_with_gradient() -> None:
    logits = torch.randn(2, 5, requires_grad=True)
    none = torch.zeros(2, 0, dtype=torch.long)
    value = content_words(logits, none, none.bool())
    value.backward()
    assert value == 0 and (logits.grad == 0).all()

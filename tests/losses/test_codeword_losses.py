from __future__ import annotations

import math

import pytest
import torch

from motionlang_pl.losses.codebook import jensen_shannon, orthogonality, usage_balance


def test_jensen_shannon_is_0_for_equal_and_log_2_for_disjoint_assignments():
    a, b = torch.tensor([[0.5, 0.5, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.2, 0.8]])
    assert jensen_shannon(a, a) == 0
    assert jensen_shannon(a, b).item() == pytest.approx(math.log(2))


def test_jensen_shannon_is_symmetric_and_bounded():
    a, b = torch.randn(2, 20, 8, generator=torch.Generator().manual_seed(0)).mul(4).softmax(-1)
    assert torch.allclose(jensen_shannon(a, b), jensen_shannon(b, a))
    each = torch.stack([jensen_shannon(a[i : i + 1], b[i : i + 1]) for i in range(20)])
    assert (each > 0).all() and (each < math.log(2)).all()
    assert torch.allclose(each.mean(), jensen_shannon(a, b))


def test_jensen_shannon_has_finite_gradients_at_exact_zeros():
    a = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    jensen_shannon(a, torch.tensor([[0.0, 1.0, 0.0]])).backward()
    assert a.grad.isfinite().all()
    assert a.grad[0, 1] < a.grad[0, 0]  # moving weight onto the other's codeword lowers the divergence


def test_usage_balance_is_1_when_even_and_k_when_one_codeword_takes_all():
    assert usage_balance(torch.eye(4)) == 1
    assert usage_balance(torch.tensor([[1.0, 0, 0, 0]] * 3)) == 4


def test_orthogonality_of_known_codewords():
    assert orthogonality(torch.eye(3) * 7).item() == pytest.approx(0, abs=1e-6)
    assert orthogonality(torch.ones(3, 5)).item() == pytest.approx(2)  # each has cosine 1 with two others

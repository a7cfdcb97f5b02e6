from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionlang_pl.losses.lexical import active_terms, flops
from motionlang_pl.scores import cosine


def test_flops_and_active_terms_of_a_known_batch():
    drawn = torch.randn(8, 1000, generator=torch.Generator().manual_seed(0))
    vectors = (drawn - 1).relu().log1p()
    assert flops(vectors).item() == pytest.approx(7.725475, abs=1e-5)
    assert vectors.sum(dim=1).mean().item() == pytest.approx(60.895660, abs=1e-4)
    assert active_terms(vectors).item() == 159.125


def test_flops_by_hand():
    assert flops(torch.tensor([[1.0, 0.0], [3.0, 0.0]])) == 4  # mean 2 on one term, squared
    assert flops(torch.zeros(2, 5)) == 0


def test_flops_of_unit_non_negative_rows_is_their_mean_cosine():
    vectors = torch.rand(7, 50, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(flops(F.normalize(vectors)), cosine(vectors, vectors).mean())


def test_flops_is_float32_for_bfloat16_vectors():
    assert flops(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionlang_pl.losses.lexical import flops, overuse
from motionlang_pl.metrics.representation import mean_active, mean_norm
from motionlang_pl.scores import cosine


def test_flops_and_active_terms_of_a_known_batch():
    drawn = torch.randn(8, 1000, generator=torch.Generator().manual_seed(0))
    vectors = (drawn - 1).relu().log1p()
    assert flops(vectors).item() == pytest.approx(7.725475, abs=1e-5)
    assert vectors.sum(dim=1).mean().item() == pytest.approx(60.895660, abs=1e-4)
    assert mean_active(vectors).item() == 159.125


def test_flops_by_hand():
    assert flops(torch.tensor([[1.0, 0.0], [3.0, 0.0]])) == 4  # mean 2 on one term, squared
    assert flops(torch.zeros(2, 5)) == 0


def test_flops_of_unit_non_negative_rows_is_their_mean_cosine():
    vectors = torch.rand(7, 50, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(flops(F.normalize(vectors)), cosine(vectors, vectors).mean())


def test_flops_is_float32_for_bfloat16_vectors():
    assert flops(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32


def test_overuse_is_1_for_even_use_and_the_vocabulary_size_for_a_single_hub():
    assert overuse(torch.eye(4)).item() == pytest.approx(1)
    assert overuse(torch.tensor([[3.0, 0, 0, 0], [1.0, 0, 0, 0]])).item() == pytest.approx(4)
    assert overuse(torch.tensor([[3.0, 0], [0, 1.0]])).item() == pytest.approx(2 * (9 + 1) / 16)
    assert overuse(torch.zeros(2, 4)) == 0


def test_shrinking_weights_lowers_flops_and_norm_but_neither_overuse_nor_active_terms():
    vectors = torch.rand(7, 50, generator=torch.Generator().manual_seed(0))
    small = 0.1 * vectors
    assert flops(small) < 0.02 * flops(vectors)
    torch.testing.assert_close(mean_norm(small), 0.1 * mean_norm(vectors))
    torch.testing.assert_close(overuse(small), overuse(vectors))
    assert mean_active(small) == mean_active(vectors)

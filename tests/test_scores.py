from __future__ import annotations

import torch

from motionlang_pl.scores import cosine, dot


def test_cosine_and_dot_by_hand():
    a, b = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, -4.0]])
    assert torch.allclose(cosine(a, b), torch.tensor([[0.6, 0.8, -1.0], [1.0, 0.0, -0.6]]))
    assert torch.equal(dot(a, b), torch.tensor([[3.0, 8.0, -25.0], [1.0, 0.0, -3.0]]))


def test_a_zero_row_scores_zero_and_has_zero_gradient():
    a = torch.tensor([[0.0, 0.0], [1.0, 2.0]], requires_grad=True)
    scores = cosine(a, torch.tensor([[1.0, 1.0]]))
    assert scores[0, 0] == 0
    scores.sum().backward()
    assert torch.equal(a.grad[0], torch.zeros(2)) and a.grad[1].abs().sum() > 0


def test_scores_are_float32_under_bfloat16_autocast():
    a = torch.randn(4, 300, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        inside = cosine(a.bfloat16(), a), dot(a, a)
    assert inside[0].dtype == inside[1].dtype == torch.float32
    assert torch.equal(inside[1], dot(a, a))

from __future__ import annotations

import pytest
import torch

from motionlang_pl import scores
from motionlang_pl.scores import cosine, dot, maxsim


def test_cosine_and_dot_by_hand():
    a, b = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, -4.0]])
    assert torch.allclose(cosine(a, b), torch.tensor([[0.6, 0.8, -1.0], [1.0, 0.0, -0.6]]))
    assert torch.equal(dot(a, b), torch.tensor([[3.0, 8.0, -25.0], [1.0, 0.0, -3.0]]))


def test_a_zero_row_scores_zero_and_has_zero_gradient():
    a = torch.tensor([[0.0, 0.0], [1.0, 2.0]], requires_grad=True)
    values = cosine(a, torch.tensor([[1.0, 1.0]]))
    assert values[0, 0] == 0
    values.sum().backward()
    assert torch.equal(a.grad[0], torch.zeros(2)) and a.grad[1].abs().sum() > 0


def test_scores_are_float32_under_bfloat16_autocast():
    a = torch.randn(4, 300, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        inside = cosine(a.bfloat16(), a), dot(a, a)
    assert inside[0].dtype == inside[1].dtype == torch.float32
    assert torch.equal(inside[1], dot(a, a))


def test_maxsim_by_hand():
    text = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[-3.0, 0.0], [0.0, 0.0]]])  # two words; one word
    motion = torch.tensor([[[4.0, 3.0], [0.0, -1.0]], [[1.0, 0.0], [0.0, 0.0]]])  # two patches; one patch
    expected = torch.tensor([[(0.8 + 0.6) / 2, (1.0 + 0.0) / 2], [0.0, -1.0]])
    torch.testing.assert_close(maxsim(text, motion), expected)


def test_maxsim_of_one_word_and_one_patch_is_their_cosine():
    a, b = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).repeat(2, 1).split([4, 2])
    torch.testing.assert_close(maxsim(a[:, None], b[:, None]), cosine(a, b))


def test_maxsim_does_not_depend_on_company_or_zero_rows():
    generator = torch.Generator().manual_seed(0)
    text, motion = torch.randn(1, 3, 8, generator=generator), -torch.rand(2, 4, 8, generator=generator)
    alone = maxsim(text, motion[:1])
    beside = torch.zeros(2, 7, 8)
    beside[0, [0, 2, 5]] = text[0]  # special tokens and padding are zero rows, wherever they stand
    beside[1] = torch.randn(7, 8, generator=generator)
    longer = torch.cat((motion, torch.zeros(2, 6, 8)), dim=1)
    torch.testing.assert_close(maxsim(beside, longer)[:1, :1], alone)


def test_a_sentence_or_motion_without_tokens_scores_zero_with_zero_gradient():
    text = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    text[1] = 0
    motion = text.flip(0).clone().requires_grad_()
    text.requires_grad_()
    values = maxsim(text, motion)
    assert values[0, 0] == values[1, 0] == values[1, 1] == 0 and values[0, 1].item() == pytest.approx(1)
    values.sum().backward()
    for x in (text.grad[1], motion.grad[0]):
        assert torch.equal(x, torch.zeros(3, 4))
    assert text.grad.isfinite().all() and motion.grad.isfinite().all()


def test_maxsim_in_parts_is_maxsim_at_once(monkeypatch: pytest.MonkeyPatch):
    generator = torch.Generator().manual_seed(0)
    text, motion = torch.randn(5, 6, 8, generator=generator), torch.randn(4, 7, 8, generator=generator)
    results = []
    for most in (10**9, 60):
        monkeypatch.setattr(scores, "_MOST_COSINES", most)
        leaf = text.clone().requires_grad_()
        value = maxsim(leaf, motion)
        value.square().sum().backward()
        results.append((value.detach(), leaf.grad))
    torch.testing.assert_close(results[1], results[0])


def test_maxsim_is_float32_under_bfloat16_autocast():
    a = torch.randn(2, 3, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        inside = maxsim(a, a)
    assert inside.dtype == torch.float32 and torch.equal(inside, maxsim(a, a))

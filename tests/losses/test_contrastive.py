from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from motionlang_pl.losses.contrastive import (
    hard_negative_nce,
    hardest_negative,
    hn_nce,
    info_nce,
    queued_info_nce,
    same_caption,
)


@pytest.fixture
def scores() -> torch.Tensor:
    return 5 * torch.randn(6, 6, generator=torch.Generator().manual_seed(1))


def rows(scores: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(scores, torch.arange(len(scores)))


@pytest.mark.parametrize("size", [1, 2, 16])
def test_info_nce_is_log_batch_size_when_all_scores_are_equal(size):
    assert info_nce(torch.full((size, size), 3.0)).item() == pytest.approx(math.log(size))


def test_info_nce_treats_both_directions_alike(scores):
    assert torch.allclose(info_nce(scores), info_nce(scores.T))
    assert torch.allclose(info_nce(scores), (rows(scores) + rows(scores.T)) / 2)


def test_ignored_pairs_are_no_negatives_and_the_diagonal_always_counts():
    scores = torch.zeros(3, 3)
    ignore = torch.ones(3, 3, dtype=torch.bool)
    assert info_nce(scores, ignore) == 0
    ignore[0, 1] = ignore[1, 0] = False
    assert info_nce(scores, ignore).item() == pytest.approx(2 / 3 * math.log(2))


def test_same_caption_marks_other_samples_of_the_same_sentence():
    expected = torch.tensor([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)
    assert torch.equal(same_caption(torch.tensor([7, 8, 7])), expected)


def test_hn_nce_with_beta_0_and_alpha_1_is_info_nce(scores):
    ignore = same_caption(torch.tensor([1, 2, 1, 3, 4, 4]))
    for mask in (None, ignore):
        assert torch.allclose(hn_nce(scores, 1.0, 0.0, mask), info_nce(scores, mask), atol=1e-6)


def test_hn_nce_by_its_formula(scores):
    alpha, beta, total = 0.9, 0.5, 0.0
    for matrix in (scores, scores.T):
        for i in range(6):
            others = torch.cat((matrix[i, :i], matrix[i, i + 1 :]))
            weight = 5 * (beta * others).exp() / (beta * others).exp().sum()
            below = alpha * matrix[i, i].exp() + (weight * others.exp()).sum()
            total -= (matrix[i, i].exp() / below).log() / 12
    assert torch.allclose(hn_nce(scores, alpha, beta), total)


def test_hn_nce_grows_with_beta(scores):
    losses = [hn_nce(scores, 1.0, beta).item() for beta in (0.0, 0.5, 1.0)]
    assert losses == sorted(losses) and losses[0] < losses[2]


def test_masked_pairs_weigh_nothing_in_hn_nce(scores):
    """Ignoring a row's last negatives is the same as a batch without those columns."""
    ignore = torch.zeros(6, 6, dtype=torch.bool)
    ignore[:4, 4:] = ignore[4:, :4] = True
    parts = 4 * hn_nce(scores[:4, :4]) + 2 * hn_nce(scores[4:, 4:])
    assert torch.allclose(hn_nce(scores, ignore=ignore), parts / 6)


def test_hard_negative_nce_divides_cosines_by_its_own_temperature(scores):
    assert torch.allclose(hard_negative_nce(scores / 10), hn_nce(scores))


def test_the_hinge_sees_the_hardest_negative_that_is_not_ignored():
    cosines = torch.tensor([[0.5, 0.4, 0.9], [0.1, 0.5, 0.2], [0.0, 0.0, 0.5]])
    rows, columns = (0.6 + 0 + 0) / 3, (0 + 0.1 + 0.6) / 3
    assert hardest_negative(cosines).item() == pytest.approx((rows + columns) / 2)
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[0, 2] = True
    assert hardest_negative(cosines, ignore).item() == pytest.approx((0.1 / 3 + 0.1 / 3) / 2)
    assert hardest_negative(cosines, ignore | True) == 0


@pytest.mark.parametrize("loss", [info_nce, hn_nce, hard_negative_nce, hardest_negative])
def test_extreme_scores_and_lonely_rows_have_finite_gradients(loss):
    scores = torch.tensor([[100.0, -100.0, 100.0], [0.0, 0.0, 0.0], [-100.0, 1.0, 1.0]], requires_grad=True)
    ignore = torch.zeros(3, 3, dtype=torch.bool)
    ignore[0] = True
    value = loss(scores, ignore=ignore)
    value.backward()
    assert value.isfinite() and scores.grad.isfinite().all()


def test_losses_are_float32_for_bfloat16_scores(scores):
    assert info_nce(scores.bfloat16()).dtype == hn_nce(scores.bfloat16()).dtype == torch.float32


def nothing(size: int, queue: int = 0) -> torch.Tensor:
    return torch.zeros(size, queue or size, dtype=torch.bool)


def test_queued_info_nce_without_a_negative_in_the_queue_is_info_nce(scores):
    past = torch.randn(6, 4)
    empty = queued_info_nce(scores, past, past, nothing(6), ~nothing(6, 4), ~nothing(6, 4))
    torch.testing.assert_close(empty, info_nce(scores))
    ignore = torch.rand(6, 6, generator=torch.Generator().manual_seed(2)) < 0.3
    filtered = queued_info_nce(scores, past, past, ignore, ~nothing(6, 4), ~nothing(6, 4))
    torch.testing.assert_close(filtered, info_nce(scores, ignore))


def test_queued_info_nce_is_log_of_all_candidates_when_all_scores_are_equal():
    equal = torch.ones(3, 3), torch.ones(3, 5), torch.ones(3, 5)
    assert queued_info_nce(*equal, nothing(3), nothing(3, 5), nothing(3, 5)).item() == pytest.approx(math.log(8))
    one_ignored = nothing(3, 5).index_fill(1, torch.tensor([0]), True)
    half = queued_info_nce(*equal, nothing(3), one_ignored, nothing(3, 5)).item()
    assert half == pytest.approx((math.log(7) + math.log(8)) / 2)


def test_each_direction_reads_its_own_queue():
    scores = torch.zeros(1, 1)
    texts, motions = torch.tensor([[math.log(3.0)]]), torch.tensor([[math.log(7.0)]])
    loss = queued_info_nce(scores, texts, motions, nothing(1), nothing(1, 1), nothing(1, 1))
    assert loss.item() == pytest.approx((math.log(4) + math.log(8)) / 2)

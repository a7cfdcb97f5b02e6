from __future__ import annotations

import socket
from itertools import combinations
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionlang_pl.metrics.retrieval import (
    RetrievalMetrics,
    average,
    bootstrap,
    chance,
    diagonal,
    distinct_chance,
    distinct_values,
    identical,
    owners,
    rank_metrics,
    ranks,
    similar,
)

SCORES = torch.tensor(
    [
        [0.9, 0.5, 0.1, 0.0],
        [0.7, 0.7, 0.2, 0.7],
        [0.3, 0.8, 0.8, 0.1],
        [0.6, 0.5, 0.4, 0.2],
    ]
)


def test_the_rank_of_one_positive_is_the_better_ones_and_half_of_the_tied() -> None:
    assert ranks(SCORES, diagonal(4)).tolist() == [0.0, 1.0, 0.5, 3.0]


def test_r_at_k_is_the_share_of_ranks_below_k_and_medr_the_median_plus_one() -> None:
    metrics = rank_metrics(SCORES, diagonal(4))
    assert metrics == {"R@1": 50.0, "R@2": 75.0, "R@3": 75.0, "R@5": 100.0, "R@10": 100.0, "MedR": 1.75}


def test_any_identical_caption_counts_and_the_best_of_them_gives_the_rank() -> None:
    positive = identical(["walk", "run", "jump", "walk"])
    # row 3's other 'walk' is its best item; row 1's only positive ties with two negatives
    assert ranks(SCORES, positive).tolist() == [0.0, 1.0, 0.5, 0.0]


def test_similar_equals_identical_where_equal_captions_have_similarity_1_and_others_0() -> None:
    captions = ["walk", "run", "jump", "walk"]
    zero_one = torch.tensor([[float(a == b) for b in captions] for a in captions])
    assert torch.equal(similar(zero_one), identical(captions))
    for scores in (SCORES, SCORES.T):
        assert rank_metrics(scores, similar(zero_one)) == rank_metrics(scores, identical(captions))


def test_a_caption_is_similar_above_a_cosine_of_090_and_to_itself_whatever_the_numbers() -> None:
    cosines = torch.tensor([[1.0, 0.91, 0.89], [0.91, 0.5, 0.0], [0.89, 0.0, 1.0]])
    assert similar(cosines).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2]]
    assert similar(cosines, threshold=0.94).sum() == 7  # 0.88


def test_ties_among_positives_cost_nothing() -> None:
    scores = torch.tensor([[0.5, 0.5, 0.5, 0.1]])
    assert ranks(scores, torch.tensor([[True, True, True, False]])).item() == 0
    assert ranks(scores, torch.tensor([[True, True, False, False]])).item() == pytest.approx(1 / 3)


def test_identical_equals_diagonal_when_all_captions_differ() -> None:
    assert torch.equal(identical(["a", "b", "c", "d"]), diagonal(4))
    assert rank_metrics(SCORES, identical(list("abcd"))) == rank_metrics(SCORES, diagonal(4))


@pytest.mark.parametrize("value", [0.3, float("nan"), float("-inf")])
def test_a_collapsed_model_finds_nothing(value: float) -> None:
    scores = torch.full((100, 100), value)
    for direction in (scores, scores.T):
        metrics = rank_metrics(direction, diagonal(100))
        assert metrics == {"R@1": 0.0, "R@2": 0.0, "R@3": 0.0, "R@5": 0.0, "R@10": 0.0, "MedR": 50.5}


def test_nan_scores_never_help() -> None:
    scores = SCORES.clone()
    scores[0, 0] = float("nan")
    assert ranks(scores, diagonal(4))[0] == 3


def test_queries_without_a_positive_are_left_out() -> None:
    positive = diagonal(4)
    positive[3] = False
    assert ranks(SCORES, positive)[3].isnan()
    assert rank_metrics(SCORES, positive) == rank_metrics(SCORES[:3], positive[:3])
    with pytest.raises(ValueError, match="none of the 4 queries has a positive"):
        rank_metrics(SCORES, torch.zeros(4, 4, dtype=torch.bool))


def test_scores_and_positives_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\) and positive \(3, 3\)"):
        ranks(SCORES, diagonal(3))


@settings(max_examples=50, deadline=None)
@given(
    st.integers(2, 7).flatmap(lambda n: st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n), min_size=1)),
    st.data(),
)
def test_the_rank_is_the_mean_over_all_orders_of_the_tied(rows: list[list[int]], data: st.DataObject) -> None:
    scores = torch.tensor(rows, dtype=torch.float32)
    number = scores.shape[1]
    positive = torch.tensor([data.draw(st.lists(st.booleans(), min_size=number, max_size=number)) for _ in rows])
    positive[:, 0] = True
    for row, rank in enumerate(ranks(scores, positive).tolist()):
        best = scores[row][positive[row]].max()
        level = scores[row] == best
        firsts = [places[0] for places in combinations(range(int(level.sum())), int((level & positive[row]).sum()))]
        assert rank == pytest.approx(int((scores[row] > best).sum()) + sum(firsts) / len(firsts))


def test_chance_of_one_in_a_hundred() -> None:
    metrics = chance(diagonal(100))
    assert metrics["R@1"] == pytest.approx(1, abs=0.1)
    assert metrics["R@10"] == pytest.approx(10, abs=0.3)
    assert metrics["MedR"] == pytest.approx(50.5, abs=1)


def test_chance_rises_with_the_number_of_positives() -> None:
    positive = torch.zeros(20, 20, dtype=torch.bool)
    positive[:, :5] = True  # the best of 5 among 20 is first in a quarter of all orders
    assert chance(positive)["R@1"] == pytest.approx(25, abs=1)


def test_chance_draws_captions_that_tie_as_one() -> None:
    owner = torch.tensor([0] * 50 + [1] * 50)
    positive = owner[:, None] == owner[None, :]
    assert chance(positive, owner)["R@1"] == pytest.approx(50, abs=1)  # one of two captions, whose positives all tie


# Two sentences; motions 0 and 1 say the first, motion 2 the second.
DISTINCT = torch.tensor([[0.9, 0.2, 0.5], [0.1, 0.3, 0.8]])
OWNER = torch.tensor([0, 0, 1])


def test_distinct_counts_each_sentence_once() -> None:
    # sentence 0: its motions at places 1 and 3, AP (1/1 + 2/3) / 2; motion 1 prefers the other sentence
    assert average(distinct_values(DISTINCT, OWNER)) == {
        "t2m/mAP": pytest.approx(100 * (5 / 6 + 1) / 2),
        "t2m/R@1": 100.0,
        "m2t/top1": 75.0,
        "m2t/top5": 100.0,
    }


def test_a_subset_is_averaged_over_while_the_gallery_stays_whole() -> None:
    first = average(distinct_values(DISTINCT, OWNER), torch.tensor([True, False]))
    assert first["t2m/mAP"] == pytest.approx(100 * 5 / 6) and first["m2t/top1"] == 50.0
    with pytest.raises(ValueError, match="no sentence"):
        average(distinct_values(DISTINCT, OWNER), torch.tensor([False, False]))


def test_average_precision_of_equal_scores_is_the_share_of_positives() -> None:
    values = distinct_values(torch.zeros(2, 10), torch.tensor([0] * 3 + [1] * 7))
    assert values["t2m/mAP"].tolist() == pytest.approx([30.0, 70.0])
    assert values["m2t/top1"].tolist() == [100.0, 100.0]  # rank 0.5 of two sentences: half the tied, as everywhere


def test_average_precision_of_a_tied_group_does_not_depend_on_its_order() -> None:
    scores = torch.tensor([[0.9, 0.5, 0.5, 0.5, 0.1]])
    for owner in ([1, 0, 1, 0, 1], [1, 1, 0, 0, 1]):
        both = distinct_values(scores.expand(2, -1), torch.tensor(owner))
        assert both["t2m/mAP"][0].item() == pytest.approx(100 * 2 / 4)


def test_a_sentence_without_motions_is_left_out() -> None:
    values = distinct_values(torch.cat([DISTINCT, torch.zeros(1, 3)]), OWNER)
    assert all(value[2].isnan() for value in values.values())
    assert average(values) == average(distinct_values(DISTINCT, OWNER))


def test_distinct_chance_is_one_in_the_number_of_sentences() -> None:
    owner = torch.arange(20).repeat(3)
    random = average(distinct_chance(owner, 20))
    assert random["m2t/top1"] == pytest.approx(5, abs=0.5)
    assert random["m2t/top5"] == pytest.approx(25, abs=1)
    assert random["t2m/R@1"] == pytest.approx(5, abs=0.5)


def test_the_bootstrap_interval_holds_the_mean_and_is_repeatable() -> None:
    values = torch.tensor([0.0] * 30 + [100.0] * 70, dtype=torch.float64)
    low, high = bootstrap(values, seed=0)
    assert 58 < low < 64 and 76 < high < 82  # 70 +- 1.96 * sqrt(70 * 30 / 100)
    assert bootstrap(values, seed=0) == (low, high)
    assert bootstrap(torch.full((5,), 40.0), seed=0) == (40.0, 40.0)


def test_captions_are_numbered_by_first_appearance() -> None:
    assert owners(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


def pairs(n: int = 12) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Samples three of which share a caption each; their text vectors differ a little, as padding makes them."""
    generator = torch.Generator().manual_seed(0)
    sample, caption = torch.arange(n), torch.arange(n) // 3 + 7_000_000_000_000
    sentence = torch.randn(n, 8, generator=generator)[torch.arange(n) // 3]
    text = sentence + 1e-6 * torch.randn(n, 8, generator=generator)
    return sample, text, sentence + torch.randn(n, 8, generator=generator), caption


def one_process() -> dict[str, Tensor]:
    metric = RetrievalMetrics()
    metric.update(*pairs())
    return metric.compute()


def test_equal_captions_share_the_lowest_samples_text() -> None:
    sample, _, _, caption = pairs(3)
    metric = RetrievalMetrics(scoring=lambda a, b: a @ b.T)
    metric.update(sample, torch.eye(8)[:3], torch.eye(8)[:3], caption)
    assert metric.compute()["t2m/R@1"] == 100 and metric.compute()["m2t/R@1"] == 100
    assert metric.compute()["m2t/MedR"] == 1


def test_repeated_samples_and_the_order_of_batches_change_nothing() -> None:
    metric = RetrievalMetrics()
    batch = pairs()
    for rows in ([9, 10, 11, 3], [0, 1, 2, 3], [4, 5, 6, 7, 8]):
        metric.update(*(x[rows] for x in batch))
    assert metric.compute() == one_process()


def test_both_directions_are_reported_and_reset_forgets() -> None:
    expected = {f"{way}/{name}" for way in ("t2m", "m2t") for name in ("R@1", "R@2", "R@3", "R@5", "R@10", "MedR")}
    metric = RetrievalMetrics()
    metric.update(*pairs(4))
    assert set(metric.compute()) == expected
    metric.reset()
    metric.update(*pairs())
    assert metric.compute() == one_process()


def two_processes(rank: int, port: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    metric = RetrievalMetrics()
    batch = pairs()
    # 7 and 6 of the 12 samples: uneven, out of order, and sample 0 twice, as a padding sampler leaves them
    for rows in ([[11, 2, 4], [6, 8, 10, 0]], [[1, 3, 5], [7, 9, 0]])[rank]:
        metric.update(*(x[rows] for x in batch))
    torch.save(metric.compute(), Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_metrics_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(two_processes, (port, str(tmp_path)), nprocs=2)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == one_process()

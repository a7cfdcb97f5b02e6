from __future__ import annotations

import pytest
import torch
from torch import nn

from motionlang_pl.models.queue import MomentumQueue, SlowModules, SparseQueue
from motionlang_pl.scores import cosine


def rows(count: int, terms: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, terms, generator=torch.Generator().manual_seed(seed))


def test_an_empty_queue_has_no_negatives():
    queue = SparseQueue(4, 2, 1)
    assert queue.ignored(torch.tensor([[0], [7]])).all()
    assert (queue.cosines(rows(2)) == 0).all()


def test_the_oldest_go_first_and_those_that_say_the_same_do_not_count():
    queue = SparseQueue(4, 12, 2)
    queue.push(rows(3), torch.tensor([[10, 0], [11, 0], [12, 5]]))
    asked = torch.tensor([[11, 1], [9, 5]])  # the same first caption, the same that was drawn
    assert queue.ignored(asked).tolist() == [[False, True, False, True], [False, False, True, True]]
    queue.push(rows(2, seed=1), torch.tensor([[13, 0], [14, 0]]))
    assert queue.captions[:, 0].tolist() == [14, 11, 12, 13] and not queue.ignored(torch.tensor([[0, 1]])).any()
    queue.push(rows(6, seed=2), torch.arange(20, 26)[:, None].repeat(1, 2))  # more than it holds: only the last
    assert sorted(queue.captions[:, 0].tolist()) == [22, 23, 24, 25]


def test_scores_are_cosines_with_the_strongest_terms():
    queue = SparseQueue(3, 2, 1)
    queue.push(torch.tensor([[3.0, 0.0, 4.0, 1.0], [0.0, 0.0, 0.0, 0.0]]), torch.tensor([[1], [2]]))
    scores = queue.cosines(torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(scores, torch.tensor([[0.6, 0.0, 0.0], [0.0, 0.0, 0.0]]), atol=1e-3, rtol=0)
    whole, vectors = SparseQueue(5, 20, 1), rows(5)
    whole.push(vectors, torch.arange(5)[:, None])  # more places than terms
    torch.testing.assert_close(whole.cosines(rows(4, seed=3)), cosine(rows(4, seed=3), vectors), atol=1e-3, rtol=1e-3)


def test_scores_train_the_queries_and_pushing_afterwards_does_not_disturb_the_gradient():
    queue, queries = SparseQueue(5, 12, 1), rows(2, seed=3).requires_grad_()
    queue.push(rows(5), torch.arange(5)[:, None])
    scores = queue.cosines(queries)
    queue.push(rows(3, seed=9), torch.arange(3)[:, None])
    scores.square().sum().backward()
    expected = rows(2, seed=3).requires_grad_()
    cosine(expected, rows(5)).square().sum().backward()
    torch.testing.assert_close(queries.grad, expected.grad, atol=2e-3, rtol=1e-2)


def test_a_checkpoint_holds_the_queue():
    queue, other = SparseQueue(4, 2, 1), SparseQueue(4, 2, 1)
    queue.push(rows(3), torch.tensor([[10], [11], [12]]))
    other.load_state_dict(queue.state_dict())
    queries, captions = rows(2, seed=1), torch.tensor([[11], [12]])
    assert torch.equal(other.cosines(queries), queue.cosines(queries))
    assert torch.equal(other.ignored(captions), queue.ignored(captions)) and other.pushed == 3


def test_the_queue_is_small():
    queue = SparseQueue(11520, 256, 2)
    assert sum(buffer.nbytes for buffer in queue.buffers()) < 18e6


def test_slow_modules_follow_and_are_not_trained():
    stage = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    slow = SlowModules({"a": stage["a"]}, 0.75)
    with torch.no_grad():
        stage["a"].weight.fill_(4), slow.copies["a"].weight.fill_(0)
    slow.follow(stage)
    assert slow.copies["a"].weight.item() == 1 and not any(p.requires_grad for p in slow.parameters())
    slow.follow(stage, momentum=0.0)
    assert slow.copies["a"].weight.item() == 4
    assert set(slow.parameters_by_name()) == {"a.weight", "a.bias"}


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="momentum at least 0 and below 1"):
        MomentumQueue(momentum=1.0)

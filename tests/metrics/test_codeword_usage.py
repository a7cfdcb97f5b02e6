from __future__ import annotations

import pytest
import torch

from motionlang_pl.metrics.codewords import CodewordUsage, shared

TEXT = torch.tensor([[0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
MOTION = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])


def test_a_pair_shares_all_or_nothing_of_its_weight() -> None:
    assert shared(TEXT, MOTION).tolist() == [1.0, 0.0, 1.0]
    assert shared(torch.tensor([[0.7, 0.3]]), torch.tensor([[0.4, 0.6]])).item() == pytest.approx(0.7)


def test_usage_by_hand_whatever_the_batches() -> None:
    usage = CodewordUsage(4)
    real = torch.tensor([True, True, False])  # the third only fills the batch
    usage.update(TEXT, MOTION, real)
    expected = {"active_text": 1.5, "active_motion": 1.5, "shared": 0.5, "used": 2.0, "dead": 2.0, "perplexity": 2.0}
    assert {name: float(value) for name, value in usage.compute().items()} == pytest.approx(expected)
    apart = CodewordUsage(4)
    for row in range(2):
        apart.update(TEXT[row : row + 1], MOTION[row : row + 1], real[:1])
    torch.testing.assert_close(apart.compute(), usage.compute())


def test_even_usage_has_a_perplexity_of_k() -> None:
    usage = CodewordUsage(4)
    usage.update(torch.eye(4), torch.eye(4), torch.ones(4, dtype=torch.bool))
    assert usage.compute()["perplexity"].item() == pytest.approx(4.0)
    assert usage.compute()["dead"] == 0

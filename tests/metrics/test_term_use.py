from __future__ import annotations

import pytest
import torch

from motionlang_pl.metrics.representation import collapse
from motionlang_pl.metrics.term_use import TermUse, alarms

TERMS = [f"term{number}" for number in range(40)]


def use(*batches: torch.Tensor) -> dict[str, torch.Tensor]:
    metric = TermUse(batches[0].shape[1])
    for vectors in batches:
        metric.update(vectors, torch.arange(len(vectors)))
    return metric.compute()


def test_the_values_of_a_known_batch():
    vectors = torch.tensor([[3.0, 4.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [2.0, 0.0, 1.0, 1.0]])
    found = use(vectors)
    assert found["hub_share"].item() == 50 and found["hubs"].tolist() == 0
    assert found["dead_share"] == 0 and found["dense_share"].item() == pytest.approx(100 / 3)
    assert found["active_terms"] == 2 and found["norm"].item() == pytest.approx((5 + 1 + 6**0.5) / 3)


def test_batches_add_up_to_what_collapse_finds_in_the_whole():
    vectors = (torch.randn(50, 40, generator=torch.Generator().manual_seed(0)) - 0.3).relu()
    vectors[:, 0] = 2
    vectors[7] = 0
    found, whole = use(vectors[:20], vectors[20:]), collapse(vectors)
    for name in ("hub_share", "dead_share", "dense_share"):
        assert found[name].item() == pytest.approx(whole[name])


def test_fillers_do_not_count():
    metric = TermUse(3)
    metric.update(torch.tensor([[1.0, 0, 0], [0.0, 0, 0]]), torch.tensor([4, -1]))
    assert metric.compute()["dead_share"] == 0 and metric.compute()["active_terms"] == 1


def test_a_healthy_space_raises_no_alarm():
    assert alarms(use(torch.eye(40)), "motion", TERMS, settled=True) == []


def test_hub_words_are_named():
    vectors = torch.eye(40)
    vectors[:, 7] = 5
    (alarm,) = alarms(use(vectors), "motion", TERMS, settled=True)
    assert alarm.startswith("lexical/hub_share 84% (motion)") and "(term7)" in alarm and "raise flops_motion" in alarm
    assert alarms(use(vectors), "motion", TERMS, settled=False) == []  # a dense start is no collapse


def test_dead_vectors_raise_an_alarm_at_any_time():
    (alarm,) = alarms(use(torch.eye(40) * (torch.arange(40) > 3)[:, None]), "text", TERMS, settled=False)
    assert alarm.startswith("lexical/dead_share 10% (text)") and "lower flops_text" in alarm


def test_dense_vectors_and_shrunk_weights_raise_alarms():
    dense = (torch.arange(40)[None] + torch.arange(40)[:, None]) % 40 < 30  # 30 terms each, no hub
    (alarm,) = alarms(use(dense.float()), "text", TERMS, settled=True)
    assert alarm.startswith("lexical/dense_share 100% (text)")
    both = alarms(use(0.01 * dense.float()), "text", TERMS, settled=True)
    assert len(both) == 2 and both[1].startswith("val/lexical/norm_text 0.055 with 30 active terms: the weights shrink")

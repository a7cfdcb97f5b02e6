"""What every stage does, whatever it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import column

from motionlang_pl.data.batch import Batch
from motionlang_pl.stages import MMP


def test_each_batch_of_a_step_draws_its_own_dropout_and_a_resume_the_same() -> None:
    stage: Any = MMP()
    stage._trainer = SimpleNamespace(
        global_step=5, global_rank=0, accumulate_grad_batches=2, datamodule=SimpleNamespace(seed=0)
    )
    draws = []
    for batch_idx in (10, 11, 10):
        stage.on_train_batch_start(None, batch_idx)
        draws.append(torch.rand(3).tolist())
    assert draws[0] == draws[2] != draws[1]


def test_a_short_last_batch_weighs_as_much_as_it_has_samples_in_a_validation(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch's loss is its number of samples n, so the mean over samples is sum n^2 / sum n."""
    sizes = []

    def losses(stage: MMP, batch: Batch) -> dict[str, torch.Tensor]:
        if not stage.trainer.training:
            sizes.append(int((batch.sample >= 0).sum()))
        return {"loss": torch.tensor(float(len(batch.sample)), requires_grad=True)}

    monkeypatch.setattr(MMP, "losses", losses)
    run = fit(
        "mmp", synthetic, tmp_path, "--trainer.max_steps=1", "--trainer.limit_train_batches=1", "--data.batch_size=7"
    )
    assert sizes[0] == 7 and sizes[-1] < 7
    assert column(run, "val/loss")[-1] == pytest.approx(sum(n * n for n in sizes) / sum(sizes))

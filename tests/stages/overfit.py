"""Trains a stage through the real CLI on one batch (the validation split fits in it)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conftest import column


def overfit(fit: Callable[..., Path], stage: str, store: Path, runs: Path, *more: str, steps: int = 60) -> Path:
    """The folder of a run that saw one batch `steps` times; without hand-over unless `more` names one."""
    return fit(
        stage,
        store,
        runs,
        "--model.init_args.init_from=[]",
        f"--trainer.max_steps={steps}",
        "--trainer.max_epochs=-1",
        "--trainer.limit_val_batches=0",
        "--trainer.log_every_n_steps=1",
        "--data.train_split=val",
        "--model.init_args.optimization.lr=0.003",
        "--model.init_args.optimization.lr_of={}",
        *more,
    )


def fall(run: Path, name: str) -> float:
    """The mean of a value's last five steps, as a share of its first."""
    values = column(run, name)
    return sum(values[-5:]) / 5 / values[0]

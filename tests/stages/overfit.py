"""Trains a stage through the real CLI on one batch (the validation split fits in it)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conftest import column


def first_and_last_loss(
    fit: Callable[..., Path], stage: str, store: Path, runs: Path, *more: str, steps: int = 60, name: str = "train/loss"
) -> tuple[float, float]:
    """The loss at the first step, and the mean over the last five, of a run without hand-over."""
    fit(
        stage,
        store,
        runs,
        "--model.init_args.init_from=[]",
        f"--trainer.max_steps={steps}",
        "--data.train_split=val",
        "--trainer.max_epochs=-1",
        "--trainer.limit_val_batches=0",
        "--trainer.log_every_n_steps=1",
        "--data.batch_size=64",
        "--model.init_args.optimization.lr=0.003",
        *more,
    )
    losses = column(runs / stage, name)
    return losses[0], sum(losses[-5:]) / 5

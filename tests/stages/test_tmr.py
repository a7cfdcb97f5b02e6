"""TMR learns to align a batch and to rebuild its motions, over a language model that stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import column
from overfit import fall, overfit


@pytest.fixture(scope="module")
def trained(fit: Callable[..., Path], synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that saw one batch."""
    return overfit(fit, "tmr", synthetic, tmp_path_factory.mktemp("tmr"), steps=100)


def test_tmr_overfits_a_batch(trained: Path) -> None:
    assert fall(trained, "train/contrast") < 0.7
    assert fall(trained, "train/text_to_motion") < 0.8
    assert fall(trained, "train/motion_to_motion") < 0.8


def test_the_loss_is_the_weighted_sum_of_its_terms(trained: Path) -> None:
    names = ("loss", "text_to_motion", "motion_to_motion", "kl", "closeness", "contrast")
    loss, from_text, from_motion, kl, closeness, contrast = (column(trained, f"train/{name}")[0] for name in names)
    assert loss == pytest.approx(from_text + from_motion + 1e-5 * kl + 1e-5 * closeness + 0.1 * contrast, rel=1e-5)


def test_the_language_model_is_frozen_and_without_dropout(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    steps = (
        "--trainer.max_steps=2",
        "--trainer.log_every_n_steps=1",
        "--data.batch_size=16",
        "--trainer.limit_val_batches=0",
    )
    losses, states = [], []
    for number, (dropout, lr) in enumerate([(0.0, 0.0), (0.5, 0.001)]):
        options = (f"--model.init_args.text.init_args.dropout={dropout}", f"--model.init_args.optimization.lr={lr}")
        run = fit("tmr", synthetic, tmp_path / str(number), *steps, *options)
        losses.append(column(run, "train/loss")[0])
        states.append(torch.load(run / "last.ckpt", weights_only=True)["state_dict"])
    assert losses[0] == losses[1]
    for name, value in states[0].items():
        if name.startswith(("text_encoder.", "word_embeddings.")):
            assert torch.equal(states[1][name], value), name


def test_chunks_give_the_loss_of_the_whole_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    steps = (
        "--trainer.max_steps=2",
        "--trainer.log_every_n_steps=1",
        "--data.batch_size=16",
        "--trainer.limit_val_batches=0",
    )
    whole = column(fit("tmr", synthetic, tmp_path / "whole", *steps), "train/loss")
    chunks = column(fit("tmr", synthetic, tmp_path / "chunks", *steps, "--model.init_args.chunk=5"), "train/loss")
    assert chunks == pytest.approx(whole, rel=1e-5)

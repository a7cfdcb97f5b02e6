"""Dense learns to align a batch, with motion images and with the trunk, which takes over from the chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.data.batch import Motion
from motionlang_pl.stages.false_negatives import NoFalseNegatives
from motionlang_pl.stages.handover import read_checkpoint

FRAMES = f"--config={ROOT / 'configs/tiny/frames.yaml'}"
LR = "--model.init_args.optimization.lr=0.001"


def test_dense_overfits_a_batch_of_motion_images(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    run = overfit(fit, "dense", synthetic, tmp_path, LR, steps=80)
    assert fall(run, "train/loss") < 0.5


def test_dense_overfits_a_batch_of_frames(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    run = overfit(fit, "dense", synthetic, tmp_path, FRAMES, LR, steps=80)
    assert fall(run, "train/loss") < 0.5


def test_the_trunk_of_dense_takes_over_from_the_chain(
    fit: Callable[..., Path], synthetic: Path, chain: Path, tmp_path: Path
) -> None:
    modules = "{motion_adapter: motion_adapter, motion_encoder: motion_encoder}"
    source = f"--model.init_args.init_from=[{{checkpoint: {chain}/cmmm/best.ckpt, modules: {modules}}}]"
    run = fit("dense", synthetic, tmp_path, FRAMES, source, "--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    assert read_checkpoint(run / "best.ckpt")["lineage"]["parents"][0]["lineage"]["stage"] == "CMMM"


def test_images_do_not_take_over_frames(fit: Callable[..., Path], synthetic: Path, chain: Path, tmp_path: Path) -> None:
    source = f"[{{checkpoint: {chain}/cmmm/best.ckpt, modules: {{motion_adapter: motion_adapter}}}}]"
    with pytest.raises(SystemExit, match="motion_adapter reads humanml3d, this run reads joints"):
        fit("dense", synthetic, tmp_path, f"--model.init_args.init_from={source}")


def test_a_loaded_dense_reads_what_it_read(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    choice = "--model.init_args.false_negatives=NoFalseNegatives"
    run = fit(
        "dense",
        synthetic,
        tmp_path,
        "--trainer.max_steps=2",
        "--data.batch_size=16",
        "--trainer.limit_val_batches=0",
        choice,
    )
    stage = motionlang_pl.load(run / "best.ckpt")
    assert isinstance(stage.false_negatives, NoFalseNegatives)
    features = torch.randn(2, 300, 66, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        vectors = stage.motion_vectors(Motion(features, torch.ones(2, 300, dtype=torch.bool)))
        first = stage.motion_vectors(Motion(features[:, :224], torch.ones(2, 224, dtype=torch.bool)))
    assert stage.reading == "first224" and vectors.shape == (2, 256)
    torch.testing.assert_close(vectors, first)

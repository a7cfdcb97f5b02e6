"""CMMM learns both of its terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.data.batch import Batch, Motion


def test_cmmm_overfits_a_batch_and_tells_its_motions_apart(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    run = overfit(fit, "cmmm", synthetic, tmp_path, steps=80)
    assert fall(run, "train/loss") < 0.6
    assert fall(run, "train/contrast") < 0.5


def test_motions_longer_than_the_trunk_are_validated_whole(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "cmmm/best.ckpt")
    features = torch.randn(2, 300, stage.corpus.motion.mean.numel(), generator=torch.Generator().manual_seed(0))
    motion = Motion(features, torch.ones(2, 300, dtype=torch.bool))
    numbers = torch.arange(2)
    assert stage.losses(Batch(numbers, numbers, numbers, motion, None))["reconstruction"].isfinite()

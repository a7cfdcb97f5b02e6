"""CMMM learns both of its terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.data.batch import Batch, Motion
from motionlang_pl.models.targets import over_the_clip


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
    batch = Batch(numbers, numbers, numbers, numbers, motion, None)
    later = motion._replace(features=motion.features + 5 * (torch.arange(300) >= 280)[:, None])
    assert stage.losses(batch)["reconstruction"] != stage.losses(batch._replace(motion=later))["reconstruction"]


@pytest.mark.slow
def test_cmmm_overfits_a_batch_on_a_grid_of_parts_and_patches(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    run = overfit(fit, "cmmm_grid", synthetic, tmp_path, steps=80)
    assert fall(run, "train/loss") < 0.6
    stage = motionlang_pl.load(run / "best.ckpt")
    features = torch.randn(2, 21, stage.corpus.motion.mean.numel(), generator=torch.Generator().manual_seed(0))
    encoding = stage.encode_motion(Motion(features, torch.ones(2, 21, dtype=torch.bool)))
    assert encoding.tokens.shape[1] == 6 * 5


@pytest.mark.slow
def test_cmmm_can_reconstruct_what_moves_in_a_clip_and_its_changes(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    target = "--model.init_args.target=motionlang_pl.models.targets.over_the_clip"
    run = overfit(fit, "cmmm", synthetic, tmp_path, target, "--model.init_args.differences=1", steps=40)
    assert fall(run, "train/reconstruction") < 0.95
    assert motionlang_pl.load(run / "best.ckpt").target is over_the_clip

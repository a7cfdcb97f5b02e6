"""DenseLexical learns to align a batch as weights of terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from overfit import fall, overfit

import motionlang_pl


def test_denselexical_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    run = overfit(fit, "denselexical", synthetic, tmp_path, steps=60)
    assert fall(run, "train/loss") < 0.7
    stage = motionlang_pl.load(run / "best.ckpt")
    with torch.no_grad():
        weights = stage.text_vectors(["a person walks forward."])
    assert weights.shape == (1, len(stage.terms)) and (weights >= 0).all() and weights.count_nonzero() > 0

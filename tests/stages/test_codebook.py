"""The codebook learns to align a batch with sparse assignments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from overfit import fall, overfit

import motionlang_pl


def test_codebook_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    assert fall(overfit(fit, "codebook", synthetic, tmp_path, steps=100), "train/contrast") < 0.5


def test_an_assignment_is_a_distribution_over_codewords(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "codebook/best.ckpt")
    with torch.no_grad():
        weights = stage.text_assignment(["a person walks.", "", "someone jumps twice."], sparsity=1.0)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(3))

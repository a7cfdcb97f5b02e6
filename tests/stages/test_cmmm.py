"""CMMM learns both of its terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from overfit import fall, overfit


def test_cmmm_overfits_a_batch_and_tells_its_motions_apart(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    run = overfit(fit, "cmmm", synthetic, tmp_path, steps=80)
    assert fall(run, "train/loss") < 0.6
    assert fall(run, "train/contrast") < 0.5

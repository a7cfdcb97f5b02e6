"""CMMM learns both of its terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from overfit import first_and_last_loss


def test_cmmm_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    first, last = first_and_last_loss(fit, "cmmm", synthetic, tmp_path, steps=80)
    assert last < 0.6 * first


def test_cmmm_tells_the_motions_of_a_batch_apart(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    first, last = first_and_last_loss(fit, "cmmm", synthetic, tmp_path, steps=80, name="train/contrast")
    assert last < first / 2

"""LexCMLP learns to align a batch, and padding does not change a lexical vector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from overfit import fall, overfit

import motionlang_pl


def test_lexcmlp_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    assert fall(overfit(fit, "lexcmlp", synthetic, tmp_path, steps=80), "train/contrast") < 0.5


def test_a_caption_has_one_vector_whatever_its_company(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "lexcmlp/best.ckpt")
    with torch.no_grad():
        alone = stage.lexical_text(["a person walks forward."])
        company = stage.lexical_text(
            ["a person slowly lifts the left arm, then jumps up and down twice.", "a person walks forward."]
        )
    torch.testing.assert_close(company[1], alone[0], rtol=0, atol=1e-5)


def test_an_empty_caption_has_no_terms(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "lexcmlp/best.ckpt")
    with torch.no_grad():
        assert stage.lexical_text([""]).count_nonzero() == 0

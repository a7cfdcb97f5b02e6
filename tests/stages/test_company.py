"""What all stages that retrieve have in common: a vector depends on its motion, or its sentence, alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import PARTS, RETRIEVAL

import motionlang_pl
from motionlang_pl.data.batch import Motion

CAPTIONS = ["a person walks forward.", "someone slowly lifts the left arm, then turns around twice.", "jumps"]


@pytest.mark.parametrize("stage", [stage for stage in PARTS if stage in RETRIEVAL])
def test_order_company_and_padding_change_no_vector(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path, stage: str
) -> None:
    more = ("--model.init_args.init_from=[]", "--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    trained = motionlang_pl.load(fit(stage, synthetic, tmp_path, *more, "--data.batch_size=16") / "best.ckpt")
    lengths = torch.tensor([40, 300, 64])  # the trunk reads 256 frames at a time
    motions = torch.randn(3, 300, len(trained.corpus.motion.mean), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(300) < lengths[:, None]

    each = zip(motions.split(1), mask.split(1), lengths, strict=True)
    with torch.no_grad():
        same(
            trained.motion_vectors(Motion(motions.flip(0), mask.flip(0))).flip(0),
            torch.cat([trained.motion_vectors(Motion(motion[:, :n], real[:, :n])) for motion, real, n in each]),
        )
        same(
            trained.text_vectors(CAPTIONS[::-1]).flip(0),
            torch.cat([trained.text_vectors([caption]) for caption in CAPTIONS]),
        )


def same(together: torch.Tensor, alone: torch.Tensor) -> None:
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5 * float(alone.abs().max()))

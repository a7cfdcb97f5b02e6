"""The codebook learns to align a batch with sparse assignments, and each of its parts can be exchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT, column
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.data.batch import Motion
from motionlang_pl.models.local_gaussian import Unrefined
from motionlang_pl.motion.skeleton import skeleton

LOSSES = "motionlang_pl.losses"


@pytest.fixture(scope="module")
def trained(fit: Callable[..., Path], synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on one batch."""
    return overfit(fit, "codebook", synthetic, tmp_path_factory.mktemp("codebook"), steps=80)


def test_codebook_overfits_a_batch(trained: Path) -> None:
    assert fall(trained, "train/contrast") < 0.5
    assert fall(trained, "train/content") < 0.8


def test_a_pair_comes_to_share_codewords(trained: Path) -> None:
    shared = column(trained, "codewords/shared")
    assert sum(shared[-5:]) / 5 > 2 * shared[0]


def test_an_assignment_is_a_distribution_over_codewords(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "codebook/best.ckpt")
    with torch.no_grad():
        weights = stage.text_assignment(["a person walks.", "", "someone jumps twice."], sparsity=1.0)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(3))


EXCHANGED = {
    "LocalGaussianJoints": ["--model.init_args.local_gaussian=LocalGaussianJoints"],
    "GaussianPoses": [
        "--model.init_args.local_gaussian=GaussianPoses",
        f"--model.init_args.consistency_loss={LOSSES}.codebook.jensen_shannon",
    ],
    "Unrefined": [
        "--model.init_args.local_gaussian=Unrefined",
        f"--model.init_args.consistency_loss={LOSSES}.codebook.soft_kl",
        f"--model.init_args.hard_negative_loss={LOSSES}.contrastive.hardest_negative",
        f"--model.init_args.usage_loss={LOSSES}.codebook.usage_entropy",
    ],
}


@pytest.mark.parametrize("refiner", EXCHANGED)
def test_an_alternative_trains_and_loads_again(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path, refiner: str
) -> None:
    more = ("--data.batch_size=16", "--model.init_args.restart_after=2", *EXCHANGED[refiner])
    run = overfit(fit, "codebook", synthetic, tmp_path, *more, steps=3)
    stage = motionlang_pl.load(run / "best.ckpt")
    assert type(stage.local_gaussian).__name__ == refiner
    assert (column(run, "train/refinement")[0] > 0) == (refiner == "GaussianPoses")


def test_a_run_restarts_codewords_and_says_how_they_are_used(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    more = ("--model.init_args.restart_after=2", "--trainer.limit_val_batches=1.0")
    run = overfit(fit, "codebook", synthetic, tmp_path, *more, steps=3)
    before, restarted, _ = column(run, "codewords/restarted")
    assert before == 0 < restarted
    idle = motionlang_pl.load(run / "last.ckpt").restart.idle
    assert (idle == 0).any() and idle.max() <= 3  # those for which a step had no candidate left wait
    for name in ("active_text", "active_motion", "shared"):
        assert len(column(run, f"codewords/{name}")) == len(column(run, f"val/codewords/{name}")) == 3
    assert all(1 <= value <= 128 for value in column(run, "val/codewords/perplexity"))
    for phase in ("", "val/"):
        used, dead = (column(run, f"{phase}codewords/{name}") for name in ("used", "dead"))
        assert [a + b for a, b in zip(used, dead, strict=True)] == [128] * 3


def test_a_trunk_without_refinement_gives_its_own_tokens(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "codebook/best.ckpt")
    motion = Motion(torch.randn(2, 20, len(stage.motion_adapter.mean)), torch.ones(2, 20, dtype=torch.bool))
    stage.local_gaussian = Unrefined(stage.motion_encoder.width, skeleton("smpl22"))
    with torch.no_grad():
        queries, cost = stage.ask_motion(motion, torch.arange(2))
        assert torch.equal(queries.queries, stage.motion_query(stage.encode_motion(motion).tokens))
    assert (cost == 0).all()


def test_it_starts_from_the_two_unimodal_stages(
    fit: Callable[..., Path], chain: Path, synthetic: Path, tmp_path: Path
) -> None:
    """As the overlay's header says: --config configs/codebook_unimodal.yaml --name codebook_unimodal."""
    (tmp_path / "cmmm").symlink_to(chain / "cmmm")
    (tmp_path / "lexmlm").symlink_to(chain / "lexmlm")
    more = [
        "--trainer.max_steps=1",
        "--data.batch_size=16",
        "--trainer.limit_val_batches=0",
        "--model.init_args.optimization.lr=0",
    ]
    lr_of = "--model.init_args.optimization.lr_of={}"
    fit("codebook", synthetic, tmp_path, f"--config={ROOT}/configs/codebook_unimodal.yaml", *more, lr_of)
    stage, cmmm, lexmlm = (
        motionlang_pl.load(path / "best.ckpt") for path in (tmp_path / "codebook", chain / "cmmm", chain / "lexmlm")
    )
    assert [parent["checkpoint"] for parent in stage.parents] == ["cmmm/best.ckpt", "lexmlm/best.ckpt"]
    torch.testing.assert_close(stage.motion_encoder.state_dict(), cmmm.motion_encoder.state_dict())
    torch.testing.assert_close(stage.text_encoder.state_dict(), lexmlm.text_encoder.state_dict())

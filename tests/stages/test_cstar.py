"""CstAR learns to align a batch while it reconstructs masked motions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import column
from overfit import fall, overfit
from torch import nn

import motionlang_pl
from motionlang_pl.data.batch import Batch, Motion
from motionlang_pl.models.masking import span_hidden
from motionlang_pl.stages import CstAR

CAPTIONS = ["a person walks.", "someone jumps twice.", "a person slowly lifts the left arm.", "sit down."]


@pytest.fixture(scope="module")
def run(fit: Callable[..., Path], synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overfit(fit, "cstar", synthetic, tmp_path_factory.mktemp("cstar"), steps=80)


@pytest.fixture
def stage(run: Path) -> CstAR:
    return motionlang_pl.load(run / "best.ckpt")


def batch(stage: CstAR, sentence: list[int] | None = None) -> Batch:
    """Four motions of 40, 40, 25 and 40 frames with a sentence each, numbered 0 to 3 where nothing else is said."""
    mask = torch.arange(40) < torch.tensor([40, 40, 25, 40])[:, None]
    noise = torch.randn(4, 40, len(stage.corpus.motion.mean), generator=torch.Generator().manual_seed(0))
    features = (stage.corpus.motion.mean + noise) * mask[..., None]
    number = torch.arange(4)
    return Batch(number, number, torch.tensor(sentence or [0, 1, 2, 3]), number, Motion(features, mask), CAPTIONS)


def test_cstar_overfits_a_batch(run: Path) -> None:
    assert fall(run, "train/contrast") < 0.5
    assert fall(run, "train/reconstruction") < 0.7


def test_the_temperature_starts_at_007_and_is_learned(run: Path) -> None:
    temperatures = column(run, "train/temperature")
    assert temperatures[0] == pytest.approx(0.07, rel=1e-4)
    assert abs(temperatures[-1] / 0.07 - 1) > 0.001


@torch.no_grad()
def test_a_blank_motion_side_costs_log_b_and_ten_times_the_mean_deviation(stage: CstAR) -> None:
    """Cosines of zero vectors are all 0; what is decoded as 0 is off by the standardised motion."""
    for blank in (stage.motion_projection, stage.motion_adapter.output):
        nn.init.zeros_(blank.weight)
        nn.init.zeros_(blank.bias)
    batch_ = batch(stage)
    losses = stage.losses(batch_)
    off = stage.motion_adapter.standardise(batch_.motion.features)[batch_.motion.mask].abs().mean().item()
    assert losses["contrast"].item() == pytest.approx(math.log(4), rel=1e-5)
    assert losses["reconstruction"].item() == pytest.approx(off, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(math.log(4) + 10 * off, rel=1e-5)
    assert stage.losses(batch(stage, [7, 7, 7, 7]))["contrast"] == 0, "samples that say the same are no negatives"


@torch.no_grad()
def test_without_the_reconstructions_weight_the_loss_is_the_contrast(stage: CstAR) -> None:
    stage.reconstruction = 0.0
    losses = stage.losses(batch(stage))
    assert losses["loss"] == losses["contrast"] > 0


@torch.no_grad()
def test_the_contrast_does_not_see_the_hidden_span_and_retrieval_sees_it(stage: CstAR) -> None:
    told = batch(stage)
    hidden = span_hidden(told.key, told.motion.mask, 22, stage.longest_span)
    columns = stage.motion_adapter.hidden_columns(hidden)
    other = told._replace(motion=told.motion._replace(features=told.motion.features + columns))
    seen, unseen = stage.losses(told), stage.losses(other)
    assert seen["contrast"] == unseen["contrast"]
    assert seen["reconstruction"] != unseen["reconstruction"]
    assert not torch.allclose(stage.motion_vectors(told.motion), stage.motion_vectors(other.motion), atol=1e-4)


@torch.no_grad()
def test_vectors_have_the_texts_width(stage: CstAR) -> None:
    motions, texts = stage.motion_vectors(batch(stage).motion), stage.text_vectors(CAPTIONS)
    assert motions.shape == texts.shape == (4, stage.text_encoder.width) and motions.dtype == torch.float32


def test_the_motion_side_starts_from_mmp(chain: Path, fit: Callable[..., Path], synthetic: Path) -> None:
    still = ("--name=cstar_unmoved", "--model.init_args.optimization.lr=0", "--model.init_args.optimization.lr_of={}")
    fit("cstar", synthetic, chain, "--trainer.max_steps=1", "--trainer.limit_val_batches=0", *still)
    stage = motionlang_pl.load(chain / "cstar_unmoved/best.ckpt")
    parent = motionlang_pl.load(chain / "mmp/best.ckpt")
    for name in ("motion_adapter", "motion_encoder"):
        mine, theirs = getattr(stage, name).state_dict(), getattr(parent, name).state_dict()
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert [one["checkpoint"] for one in stage.parents] == ["mmp/best.ckpt"]


def test_the_papers_ablations_are_options(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    run = fit(
        "cstar",
        synthetic,
        tmp_path,
        "--model.init_args.init_from=[]",
        "--model.init_args.motion_encoder.init_args.graph_after=0",
        "--model.init_args.reconstruction=0",
        "--trainer.max_steps=1",
        "--trainer.log_every_n_steps=1",
    )
    assert column(run, "train/loss") == column(run, "train/contrast")
    stage = motionlang_pl.load(run / "best.ckpt")
    assert stage.motion_encoder.graph is None and stage.parents == []

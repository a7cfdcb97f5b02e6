"""MMP learns to predict hidden spans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import column
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.data.batch import Motion
from motionlang_pl.models.motion_encoder import GraphBottleneck, PrintedGraphBottleneck


def test_mmp_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    assert fall(overfit(fit, "mmp", synthetic, tmp_path, steps=120), "train/loss") < 0.5


def test_the_loss_may_be_on_the_hidden_span_alone(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    more = ("--trainer.max_steps=1", "--trainer.log_every_n_steps=1", "--trainer.limit_val_batches=0")
    run = fit("mmp", synthetic, tmp_path, *more, "--model.init_args.loss_on=motionlang_pl.losses.masked.hidden_frames")
    assert column(run, "train/loss") == column(run, "train/hidden_l1")


@pytest.mark.slow
def test_mmp_fills_a_hidden_span_better_than_the_mean_pose(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    """The mean of a standardised column is off by about 0.8 standard deviations."""
    run = overfit(fit, "mmp", synthetic, tmp_path, steps=800)
    assert sum(column(run, "train/hidden_l1")[-20:]) / 20 < 0.6


def test_padding_and_order_do_not_change_an_encoding(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "mmp/best.ckpt")
    generator = torch.Generator().manual_seed(0)
    columns = stage.corpus.motion.mean.numel()
    features = torch.randn(3, 20, columns, generator=generator)
    alone = stage.encode_motion(Motion(features[:1, :12], torch.ones(1, 12, dtype=torch.bool)))
    mask = torch.arange(20)[None] < torch.tensor([20, 20, 12])[:, None]
    together = stage.encode_motion(Motion(torch.cat([features[1:], features[:1]]) * mask[..., None], mask))
    torch.testing.assert_close(together.tokens[2, :12], alone.tokens[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(together.summary[2], alone.summary[0], rtol=0, atol=1e-5)


def test_yaml_chooses_the_bottleneck_as_printed(
    chain: Path, fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    overlay = tmp_path / "printed.yaml"
    overlay.write_text("model: {init_args: {motion_encoder: {init_args: {graph: PrintedGraphBottleneck}}}}\n")
    fit("mmp", synthetic, tmp_path, "--trainer.max_steps=1", "--trainer.limit_val_batches=0", f"--config={overlay}")
    assert type(motionlang_pl.load(tmp_path / "mmp/best.ckpt").motion_encoder.graph) is PrintedGraphBottleneck
    assert type(motionlang_pl.load(chain / "mmp/best.ckpt").motion_encoder.graph) is GraphBottleneck
    with pytest.raises(SystemExit, match=r"motion_encoder does not fit .*: it lacks graph.along_bones.bias"):
        fit("cmmm", synthetic, tmp_path, "--trainer.max_steps=1")


def test_a_motion_longer_than_the_trunk_is_read_in_windows(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "mmp/best.ckpt")
    columns = stage.corpus.motion.mean.numel()
    features = torch.randn(1, 600, columns, generator=torch.Generator().manual_seed(0))
    encoding = stage.encode_motion(Motion(features, torch.ones(1, 600, dtype=torch.bool)))
    assert encoding.mask.all() and encoding.tokens.shape == (1, 600, stage.motion_encoder.width)
    features[:, -1] += 5
    assert not torch.equal(
        stage.encode_motion(Motion(features, torch.ones(1, 600, dtype=torch.bool))).summary, encoding.summary
    )

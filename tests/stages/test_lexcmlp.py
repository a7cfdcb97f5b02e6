"""LexCMLP learns to align a batch, and padding does not change a lexical vector."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import GRID, column
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.models.tokenizer import every_token


def test_lexcmlp_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    assert fall(overfit(fit, "lexcmlp", synthetic, tmp_path, steps=80), "train/contrast") < 0.5


def test_special_tokens_are_pooled_where_that_is_chosen(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "lexcmlp/best.ckpt")
    with torch.no_grad():
        words = stage.text_vectors(["a person walks forward."])
        stage.pooled = every_token
        more = stage.text_vectors(["a person walks forward."])
        assert (more >= words).all() and (more > words).any() and stage.text_vectors([""]).any()


def test_an_empty_caption_has_no_terms(chain: Path) -> None:
    stage = motionlang_pl.load(chain / "lexcmlp/best.ckpt")
    with torch.no_grad():
        assert stage.text_vectors([""]).count_nonzero() == 0


@pytest.mark.slow
def test_a_grid_trunk_hands_over_from_cmmm_to_lexcmlp(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    overfit(fit, "cmmm_grid", synthetic, tmp_path, steps=1)
    modules = {"motion_adapter": "motion_adapter", "motion_encoder": "motion_encoder"}
    parents = json.dumps([{"checkpoint": "cmmm_grid/best.ckpt", "modules": modules}])
    more = [GRID, "--model.init_args.frame_stride=5", f"--model.init_args.init_from={parents}"]
    assert fall(overfit(fit, "lexcmlp", synthetic, tmp_path, *more, steps=80), "train/contrast") < 0.6


@pytest.mark.slow
def test_lexcmlp_overfits_a_batch_with_a_queue_of_its_past(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    run = overfit(fit, "lexcmlp_queue", synthetic, tmp_path, steps=80)
    assert fall(run, "train/contrast") < 0.5
    stage = motionlang_pl.load(run / "best.ckpt")
    assert stage.past_texts.pushed == stage.past_motions.pushed > 32
    slow = stage.slow.parameters_by_name()
    own = dict(stage.named_parameters())
    moved = [name for name in slow if not torch.equal(slow[name], own[name])]
    assert moved and not any(slow[name].requires_grad for name in slow)


def test_slow_encoders_follow_once_a_step_however_many_batches_it_has(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    """With momentum 1/2 they are half way to the encoders after the first step; twice would be three quarters."""
    more = ("--trainer.accumulate_grad_batches=2", "--trainer.limit_val_batches=0", "--data.batch_size=16")
    rates = ("--model.init_args.optimization=ConstantRate", "--model.init_args.queue.momentum=0.5")
    stages = []
    for steps in (1, 2):
        fresh = ("--model.init_args.init_from=[]", f"--trainer.max_steps={steps}")
        run = fit("lexcmlp_queue", synthetic, tmp_path / str(steps), *fresh, *more, *rates)
        stages.append(motionlang_pl.load(run / "last.ckpt"))
    start, own = stages[0].slow.parameters_by_name(), dict(stages[0].named_parameters())
    moved = [name for name in start if not torch.equal(own[name], start[name])]
    assert moved
    for name, slow in stages[1].slow.parameters_by_name().items():
        torch.testing.assert_close(slow, (start[name] + own[name]) / 2, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["DisentanglementHead", "WordKeepingHead"])
def test_lexcmlp_overfits_a_batch_with_a_disentanglement_head(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path, head: str
) -> None:
    more = [f"--model.init_args.head=motionlang_pl.models.heads.{head}", "--model.init_args.head.init_args.k=16"]
    run = overfit(fit, "lexcmlp", synthetic, tmp_path, *more, steps=80)
    assert fall(run, "train/contrast") < 0.7
    stage = motionlang_pl.load(run / "best.ckpt")
    with torch.no_grad():
        active = (stage.text_vectors(["a person walks forward.", ""]) > 0).sum(1)
    assert active[0] >= 16 and active[1] == 0


@pytest.mark.slow
def test_lexcmlp_overfits_a_batch_by_raw_products(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    """SPLADE's score; the temperature starts at 1, for products of vectors with hundreds of terms are large."""
    more = ("--model.init_args.compare=motionlang_pl.scores.dot", "--model.init_args.temperature=1")
    run = overfit(fit, "lexcmlp", synthetic, tmp_path, *more, steps=80)
    assert fall(run, "train/contrast") < 0.5
    stage = motionlang_pl.load(run / "best.ckpt")
    vectors = torch.tensor([[1.0, 2.0], [0.0, 4.0]])
    assert stage.score(vectors, vectors).tolist() == [[5.0, 8.0], [8.0, 16.0]]


def test_raw_products_and_a_queue_are_refused_together(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    more = ("--model.init_args.compare=motionlang_pl.scores.dot", "--model.init_args.queue.size=32")
    with pytest.raises(SystemExit, match="leave out compare or queue"):
        fit("lexcmlp", synthetic, tmp_path, *more)


def test_the_weight_of_sparsity_rises_as_a_square_over_the_first_third(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    run = overfit(fit, "lexcmlp", synthetic, tmp_path, "--model.init_args.flops_text=2", steps=6)
    loss, contrast, text, motion = (
        column(run, f"train/{name}") for name in ("loss", "contrast", "flops_text", "flops_motion")
    )
    for step, share in enumerate((0, 1 / 4, 1, 1, 1, 1)):
        sparsity = 2 * text[step] + 1e-4 * motion[step]
        assert loss[step] - contrast[step] == pytest.approx(share * sparsity, rel=1e-4, abs=1e-6)


def test_the_start_is_dense_and_a_collapse_is_named(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    more = ["--trainer.limit_val_batches=1", "--model.init_args.flops_motion=1e4"]
    with pytest.warns(UserWarning, match=r"lexical/dead_share .*\(motion\).*lower flops_motion"):
        run = overfit(fit, "lexcmlp", synthetic, tmp_path, *more, steps=60)
    vocabulary = len(motionlang_pl.load(run / "best.ckpt").terms)
    assert column(run, "lexical/active_terms_text")[0] == pytest.approx(vocabulary / 2, rel=0.3)
    assert column(run, "lexical/dead_share")[-1] > 50
    for name in ("lexical/hub_share", "lexical/dense_share", "val/lexical/norm_motion", "lexical/norm_text"):
        assert column(run, name)

"""LexMMM learns to say captions through the motion's bottleneck."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.data.batch import Motion
from motionlang_pl.data.dataset import collate
from motionlang_pl.data.module import MotionLanguageData


def after_lexmlm(fit: Callable[..., Path], store: Path, runs: Path, text_steps: int, steps: int) -> Path:
    """A run on one batch with the words of a LexMLM on the same: embeddings are frozen, so it needs trained ones."""
    overfit(fit, "lexmlm", store, runs, steps=text_steps)
    modules = {"word_embeddings": "word_embeddings", "decoder": "decoder", "motion_lexical_head": "text_lexical_head"}
    parents = json.dumps([{"checkpoint": "lexmlm/best.ckpt", "modules": modules}])
    return overfit(fit, "lexmmm", store, runs, f"--model.init_args.init_from={parents}", steps=steps)


def test_lexmmm_overfits_a_batch_in_the_words_of_lexmlm(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    run = after_lexmlm(fit, synthetic, tmp_path, 150, 150)
    assert fall(run, "train/caption") < 0.75


@pytest.mark.slow
def test_the_decoder_listens_to_the_motions_bottleneck(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    """With the motions shuffled between captions its loss is clearly higher."""
    run = after_lexmlm(fit, synthetic, tmp_path, 200, 400)
    stage, samples = motionlang_pl.load(run / "best.ckpt"), MotionLanguageData(str(synthetic)).samples("pairs", "val")
    batch = collate([samples[(number, 0)] for number in range(len(samples))])
    others = batch._replace(motion=Motion(*(x.roll(1, dims=0) for x in batch.motion)))
    with torch.no_grad():
        true, shuffled = (float(stage.losses(each)["caption"]) for each in (batch, others))
    assert shuffled > 1.2 * true


def test_the_motion_head_starts_as_the_texts_and_the_words_stay_frozen(
    fit: Callable[..., Path], synthetic: Path, chain: Path
) -> None:
    text, motion = (motionlang_pl.load(chain / f"{name}/best.ckpt") for name in ("lexmlm", "lexmmm"))
    torch.testing.assert_close(motion.word_embeddings.weight, text.word_embeddings.weight, rtol=0, atol=0)
    more = (
        "--name=unmoved",
        "--trainer.max_steps=1",
        "--trainer.limit_val_batches=0",
        "--model.init_args.optimization={lr: 0, lr_of: {}}",
    )
    unmoved = motionlang_pl.load(fit("lexmmm", synthetic, chain, *more).with_name("unmoved") / "best.ckpt")
    theirs = text.text_lexical_head.state_dict()
    for name, value in unmoved.motion_lexical_head.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)
    assert not torch.equal(motion.motion_lexical_head.dense.weight, text.text_lexical_head.dense.weight)

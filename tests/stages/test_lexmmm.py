"""LexMMM learns to say captions through the motion's bottleneck."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from overfit import fall, overfit

import motionlang_pl


def test_lexmmm_overfits_a_batch_in_the_words_of_lexmlm(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    """Word embeddings are frozen, so it needs trained ones."""
    overfit(fit, "lexmlm", synthetic, tmp_path, steps=150)
    modules = {"word_embeddings": "word_embeddings", "decoder": "decoder", "motion_lexical_head": "text_lexical_head"}
    parents = json.dumps([{"checkpoint": "lexmlm/best.ckpt", "modules": modules}])
    run = overfit(fit, "lexmmm", synthetic, tmp_path, f"--model.init_args.init_from={parents}", steps=150)
    assert fall(run, "train/caption") < 0.75


def test_the_motion_head_starts_as_the_texts_and_the_words_stay_frozen(
    fit: Callable[..., Path], synthetic: Path, chain: Path
) -> None:
    text, motion = (motionlang_pl.load(chain / f"{name}/best.ckpt") for name in ("lexmlm", "lexmmm"))
    torch.testing.assert_close(motion.word_embeddings.weight, text.word_embeddings.weight, rtol=0, atol=0)
    more = ("--name=unmoved", "--trainer.max_steps=1", "--model.init_args.optimization={lr: 0, lr_of: {}}")
    unmoved = motionlang_pl.load(fit("lexmmm", synthetic, chain, *more).with_name("unmoved") / "best.ckpt")
    theirs = text.text_lexical_head.state_dict()
    for name, value in unmoved.motion_lexical_head.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)
    assert not torch.equal(motion.motion_lexical_head.dense.weight, text.text_lexical_head.dense.weight)

"""MaxSim learns to align a batch; a score depends on its sentence and motion alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.cli import main
from motionlang_pl.data.batch import Motion
from motionlang_pl.stages import Stage

SHORT = "a person walks forward."
LONG = "a person slowly lifts the left arm, then jumps up and down twice and turns around."


@pytest.fixture(scope="module")
def run(fit: Callable[..., Path], synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("maxsim")
    return fit("maxsim", synthetic, runs, "--trainer.max_steps=2", "--data.batch_size=16")


@pytest.fixture(scope="module")
def stage(run: Path) -> Stage:
    return motionlang_pl.load(run / "best.ckpt")


def test_maxsim_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    run = overfit(fit, "maxsim", synthetic, tmp_path, steps=60)
    assert fall(run, "train/contrast") < 0.6
    assert fall(run, "train/masked_words") < 0.8


@torch.no_grad()
def test_a_captions_scores_do_not_change_with_a_longer_caption_beside_it(stage: Stage) -> None:
    features = torch.randn(3, 100, 29, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(100) < torch.tensor([[40], [100], [64]])
    motion = stage.motion_vectors(Motion(features, mask))
    alone = stage.score(stage.text_vectors([SHORT]), motion)
    company = stage.score(stage.text_vectors([LONG, SHORT, ""]), motion)
    torch.testing.assert_close(company[1], alone[0], rtol=0, atol=1e-5)
    assert company[2].count_nonzero() == 0  # an empty caption has no word


@torch.no_grad()
def test_only_words_and_patches_with_frames_have_vectors(stage: Stage) -> None:
    text = stage.text_vectors([SHORT, LONG])
    tokens = stage.tokenize([SHORT, LONG])
    assert text.shape == (2, stage.tokenizer.max_words, 64)
    assert torch.equal(text.ne(0).any(dim=-1)[:, : tokens.ids.shape[1]], tokens.content)
    motion = stage.motion_vectors(Motion(torch.randn(1, 20, 29), torch.ones(1, 20, dtype=torch.bool)))
    assert motion.shape == (1, 196, 64) and motion.ne(0).any(dim=-1).sum() == 2 * 14


def test_it_is_evaluated_under_the_name_of_what_it_reads(
    run: Path, synthetic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["evaluate", "--checkpoint", str(run / "best.ckpt"), "--store", str(synthetic), "--device", "cpu"])
    printed = capsys.readouterr().out
    assert "identical/first224" in printed and "distinct/first224" in printed


def test_features_that_are_no_angles_say_so(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=r"AngleImages are made of angles, this run reads joints; set --data.features angles"
    ):
        fit("maxsim", synthetic, tmp_path, "--data.features=joints")

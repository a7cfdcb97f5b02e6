"""A run killed with SIGKILL resumes exactly: its losses equal the uninterrupted run's."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import PARTS, RETRIEVAL, ROOT, VARIANTS, column, fit_arguments

from motionlang_pl.cli import main

DROPOUT = "--model.init_args.motion_encoder.init_args.dropout=0.2"
TMR_DROPOUT = "--model.init_args.sizes.dropout=0.2"
VIT_DROPOUT = "--model.init_args.motion.init_args.vit.init_args.dropout=0.2"
IMAGE_DROPOUT = {stage: [VIT_DROPOUT] for stage in ("dense", "denselexical", "maxsim")}


def arguments(stage: str, store: Path, runs: Path) -> list[str]:
    """Three epochs of several batches, a checkpoint every two steps."""
    more = {"lexmlm": [], "tmr": [TMR_DROPOUT], "tmrlexical": [TMR_DROPOUT], **IMAGE_DROPOUT}.get(stage, [DROPOUT])
    return fit_arguments(
        stage,
        store,
        runs,
        "--model.init_args.init_from=[]",
        "--data.batch_size=16",
        "--trainer.max_epochs=3",
        "--trainer.limit_train_batches=4",
        "--trainer.log_every_n_steps=1",
        "--save_every=2",
        *more,
    )


def check_resume(stage: str, store: Path, folder: Path, kill_at: int) -> None:
    main(arguments(stage, store, folder / "whole"))
    killed = arguments(stage, store, folder / "killed")
    kill = ["--trainer.callbacks+=training_callbacks.KillAt", f"--trainer.callbacks.step={kill_at}"]
    done = subprocess.run(
        [sys.executable, "-m", "motionlang_pl.cli", *killed, *kill],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-3000:]
    assert not (folder / "killed" / stage / "best.ckpt").exists(), "a killed run must not look finished"
    main([*killed, "--ckpt_path=last"])
    whole, resumed = (column(folder / name / stage, "train/loss") for name in ("whole", "killed"))
    assert len(whole) == 12
    lost = [loss for loss in whole if loss not in resumed]  # the row of last.ckpt's own step may not be on the disk yet
    assert len(lost) <= 1 and resumed == [loss for loss in whole if loss not in lost]
    measure = "val/recall" if stage in RETRIEVAL else "val/loss"
    assert column(folder / "killed" / stage, measure)[-1] == column(folder / "whole" / stage, measure)[-1]


def test_a_killed_run_resumes_exactly(synthetic: Path, tmp_path: Path) -> None:
    check_resume("lexcmlp", synthetic, tmp_path, kill_at=7)


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", [3, 4, 5, 8])
def test_a_run_killed_around_an_epochs_end_resumes_exactly(synthetic: Path, tmp_path: Path, kill_at: int) -> None:
    check_resume("mmp", synthetic, tmp_path, kill_at)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [stage for stage in (*PARTS, *VARIANTS) if stage != "lexcmlp"])
def test_every_stage_resumes_exactly_after_a_kill(synthetic: Path, tmp_path: Path, stage: str) -> None:
    check_resume(stage, synthetic, tmp_path, kill_at=7)


def test_resuming_from_nothing_says_so(synthetic: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no such checkpoint .*last.ckpt; leave it out to start afresh"):
        main([*arguments("mmp", synthetic, tmp_path), "--ckpt_path=last"])


def test_a_resume_as_another_stage_says_so(synthetic: Path, chain: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"holds the stage MMP, the config names CMMM.*use init_from"):
        main([*arguments("cmmm", synthetic, tmp_path), f"--ckpt_path={chain}/mmp/best.ckpt"])


def test_a_resume_on_another_store_says_so(synthetic: Path, chain: Path, tmp_path: Path) -> None:
    main(["prepare", "synthetic", "--out", str(tmp_path / "other"), "--clips", "24", "--seed", "1"])
    with pytest.raises(SystemExit, match=r"was trained on the store .* resume on the same store"):
        main([*arguments("mmp", tmp_path / "other/humanml3d", tmp_path), f"--ckpt_path={chain}/mmp/best.ckpt"])


def test_a_fresh_fit_keeps_the_earlier_best(synthetic: Path, tmp_path: Path) -> None:
    for _ in range(2):
        main([*arguments("mmp", synthetic, tmp_path), "--trainer.max_epochs=1"])
    assert {"best.ckpt", "best.previous.ckpt", "last.ckpt"} <= {file.name for file in (tmp_path / "mmp").iterdir()}


def test_a_resume_with_other_options_or_another_size_is_refused_on_one_line(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    fit("mmp", synthetic, tmp_path, "--trainer.max_steps=1")
    for option, said in (
        ("--model.init_args.optimization.lr=0.5", "began with lr 0.002, the config says 0.5"),
        ("--model.init_args.optimization.weight_decay=0.5", "the config says 0.5"),
        ("--model.init_args.motion_encoder.init_args.width=32", "does not fit the config"),
        ("--model.init_args.longest_span=7", "began with longest_span 30, the config says 7"),
        ("--data.batch_size=7", "began with --data.batch_size 64, this run has 7"),
        ("--seed_everything=7", "began with --seed_everything 0, this run has 7"),
    ):
        with pytest.raises(SystemExit, match=said):
            fit("mmp", synthetic, tmp_path, "--trainer.max_steps=2", "--ckpt_path=last", option)


def test_a_fit_that_is_refused_leaves_an_earlier_run_as_it_was(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    more = ("--trainer.max_steps=2", "--trainer.log_every_n_steps=1", "--wandb=offline", "--tensorboard")
    run = fit("mmp", synthetic, tmp_path, *more)
    before = {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}
    assert {"config.yaml", "metrics.csv", "wandb_id", "best.ckpt", "last.ckpt"} <= before.keys()
    for wrong in (
        "--data.batch_size=0",
        "--data.features=smpl_rot6d",
        "--model.init_args.optimization.lr_of={nope: 1.0}",
        "--ckpt_path=last --model.init_args.optimization.lr=0.5",
    ):
        with pytest.raises(SystemExit):
            fit("mmp", synthetic, tmp_path, *more, *wrong.split(" ", 1 if wrong.startswith("--ckpt") else 0))
        assert {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()} == before, wrong


def test_weights_that_are_not_finite_are_neither_published_nor_taken_over(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    diverges = ("--model.init_args.optimization.lr=1e30", "--trainer.gradient_clip_val=0", "--trainer.max_steps=3")
    with pytest.raises(SystemExit, match=r"is not finite after step 3: the fit has diverged, .*precision 32-true"):
        fit("mmp", synthetic, tmp_path, *diverges)
    assert not list((tmp_path / "mmp").glob("*.ckpt"))
    run = fit("mmp", synthetic, tmp_path, "--trainer.max_steps=1")
    checkpoint = torch.load(run / "best.ckpt", weights_only=True)
    checkpoint["state_dict"]["motion_encoder.start"][...] = math.nan
    torch.save(checkpoint, run / "best.ckpt")
    with pytest.raises(SystemExit, match=r"mmp/best.ckpt: motion_encoder.start is not finite"):
        fit("cmmm", synthetic, tmp_path, "--trainer.max_steps=1")


def test_the_last_step_is_validated_and_a_fit_ends_with_what_it_publishes(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit("mmp", synthetic, tmp_path, "--trainer.max_steps=3", "--data.batch_size=16")  # within the first epoch
    score = column(run, "val/loss")
    assert len(score) == 1 and capsys.readouterr().out.endswith(f"best.ckpt: step 3 of 3, val/loss {score[0]:.4g}\n")
    fit("mmp", synthetic, tmp_path, "--trainer.max_steps=3", "--data.batch_size=16", "--data.val_split=null")
    assert capsys.readouterr().out.endswith("best.ckpt: step 3, not validated\n")


def test_a_run_without_validation_publishes_its_last_state_after_a_resume_too(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    fit("mmp", synthetic, tmp_path, "--data.val_split=null", "--trainer.max_steps=1")
    run = fit("mmp", synthetic, tmp_path, "--data.val_split=null", "--trainer.max_steps=3", "--ckpt_path=last")
    assert torch.load(run / "best.ckpt", weights_only=True)["global_step"] == 3


def test_a_trial_run_leaves_the_checkpoints_alone(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    run = fit("mmp", synthetic, tmp_path, "--trainer.max_steps=1")
    before = {file.name: file.read_bytes() for file in run.glob("*.ckpt")}
    fit("mmp", synthetic, tmp_path, "--trainer.fast_dev_run=true")
    assert {file.name: file.read_bytes() for file in run.glob("*.ckpt")} == before != {}


def test_overfit_batches_gives_the_same_batches_in_each_epoch(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    more = ("--data.batch_size=8", "--trainer.overfit_batches=1", "--trainer.max_epochs=3")
    still = ("--model.init_args.optimization.lr=0", "--trainer.log_every_n_steps=1", "--trainer.limit_val_batches=0")
    first, *others = column(fit("mmp", synthetic, tmp_path, *more, *still), "train/loss")
    assert others == [first, first]

"""A run killed with SIGKILL resumes exactly: its losses equal the uninterrupted run's."""

from __future__ import annotations

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
    tail = len(resumed)
    assert tail >= 12 - kill_at
    assert resumed == whole[-tail:]
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


def test_a_resume_with_other_rates_or_another_size_is_refused_on_one_line(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    fit("mmp", synthetic, tmp_path, "--trainer.max_steps=1")
    for option, said in (
        ("--model.init_args.optimization.lr=0.5", "began with lr 0.002, the config says 0.5"),
        ("--model.init_args.optimization.weight_decay=0.5", "the config says 0.5"),
        ("--model.init_args.motion_encoder.init_args.width=32", "does not fit the config"),
    ):
        with pytest.raises(SystemExit, match=said):
            fit("mmp", synthetic, tmp_path, "--trainer.max_steps=2", "--ckpt_path=last", option)


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

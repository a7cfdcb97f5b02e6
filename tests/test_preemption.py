"""A run that a scheduler signals to finishes its step, writes last.ckpt, exits with 75 and resumes exactly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, column, fit_arguments

from motionlang_pl.checkpoints import STOPPED
from motionlang_pl.cli import main


def arguments(store: Path, runs: Path, *more: str) -> list[str]:
    """Three epochs of four batches; `last.ckpt` is not due before the end."""
    return fit_arguments(
        "mmp",
        store,
        runs,
        "--model.init_args.init_from=[]",
        "--data.batch_size=16",
        "--trainer.max_epochs=3",
        "--trainer.limit_train_batches=4",
        "--trainer.log_every_n_steps=1",
        "--save_every=1000",
        *more,
    )


def signalled(number: int, step: int, rank: int = 0) -> list[str]:
    """Options by which a run gets a signal within its step number `step`, from 0."""
    values = {"step": step, "number": number, "rank": rank}
    options = [f"--trainer.callbacks.{name}={value}" for name, value in values.items()]
    return ["--trainer.callbacks+=training_callbacks.SignalAt", *options]


def in_a_process(command: list[str], *launcher: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *launcher, "motionlang_pl.cli", *command],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def stop(command: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == STOPPED
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the signal is handled within a fit only"


def assert_resumes_exactly(whole: Path, command: list[str], run: Path) -> None:
    main([*command, "--ckpt_path=last"])
    assert len(column(run, "train/loss")) == 12
    for name in ("train/loss", "val/loss"):
        assert column(run, name) == column(whole, name)


@pytest.fixture
def callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests"))


@pytest.fixture(scope="module")
def whole(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbed."""
    runs = tmp_path_factory.mktemp("whole")
    main(arguments(synthetic, runs))
    return runs / "mmp"


def test_a_process_stopped_within_an_epoch_resumes_exactly(synthetic: Path, whole: Path, tmp_path: Path) -> None:
    command = arguments(synthetic, tmp_path)
    done = in_a_process([*command, *signalled(signal.SIGTERM, 5)])
    assert done.returncode == STOPPED, done.stderr
    assert "motionlang: stopped by SIGTERM after step 6" in done.stderr and "Traceback" not in done.stderr
    assert torch.load(tmp_path / "mmp/last.ckpt", weights_only=True)["global_step"] == 6
    assert not (tmp_path / "mmp/best.ckpt").exists(), "a stopped run must not look finished"
    assert_resumes_exactly(whole, command, tmp_path / "mmp")


def test_ctrl_c_stops_as_gently_and_tells_of_a_second_one(synthetic: Path, tmp_path: Path) -> None:
    command = [*arguments(synthetic, tmp_path, "--data.num_workers=1"), *signalled(signal.SIGINT, 5)]
    done = in_a_process([*command, "--trainer.callbacks.group=true"])
    assert done.returncode == STOPPED, done.stderr
    assert "Ctrl-C again stops at once" in done.stderr and "stopped by SIGINT after step 6" in done.stderr
    assert torch.load(tmp_path / "mmp/last.ckpt", weights_only=True)["global_step"] == 6


@pytest.mark.slow
def test_a_signal_to_the_loaders_workers_too_stops_the_run_alike(synthetic: Path, tmp_path: Path) -> None:
    command = [*arguments(synthetic, tmp_path, "--data.num_workers=1"), *signalled(signal.SIGTERM, 5)]
    done = in_a_process([*command, "--trainer.callbacks.group=true"])
    assert done.returncode == STOPPED, done.stderr
    assert torch.load(tmp_path / "mmp/last.ckpt", weights_only=True)["global_step"] == 6


@pytest.mark.usefixtures("callbacks")
def test_a_run_stopped_in_an_epochs_last_step_validates_first(synthetic: Path, whole: Path, tmp_path: Path) -> None:
    command = arguments(synthetic, tmp_path)
    stop([*command, *signalled(signal.SIGUSR1, 3)])
    assert len(column(tmp_path / "mmp", "val/loss")) == 1
    assert_resumes_exactly(whole, command, tmp_path / "mmp")


@pytest.mark.usefixtures("callbacks")
def test_a_run_stopped_before_a_validation_within_an_epoch_knows_its_best(synthetic: Path, tmp_path: Path) -> None:
    more = ("--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=2")
    whole, command = (arguments(synthetic, tmp_path / name, *more) for name in ("whole", "stopped"))
    main(whole)
    stop([*command, *signalled(signal.SIGTERM, 5)])
    state = torch.load(tmp_path / "stopped/mmp/last.ckpt", weights_only=True)
    best = torch.load(tmp_path / "stopped/mmp/best.partial.ckpt", weights_only=True)
    assert state["callbacks"]["StageCheckpoints"] == best["callbacks"]["StageCheckpoints"]
    assert len(column(tmp_path / "stopped/mmp", "val/loss")) == 3
    assert_resumes_exactly(tmp_path / "whole/mmp", command, tmp_path / "stopped/mmp")


@pytest.mark.slow
@pytest.mark.usefixtures("callbacks")
def test_a_run_with_averaged_weights_resumes_exactly(synthetic: Path, tmp_path: Path) -> None:
    whole, command = (arguments(synthetic, tmp_path / name, "--average=0.9") for name in ("whole", "stopped"))
    main(whole)
    stop([*command, *signalled(signal.SIGTERM, 5)])
    assert_resumes_exactly(tmp_path / "whole/mmp", command, tmp_path / "stopped/mmp")


@pytest.mark.usefixtures("callbacks")
def test_a_stop_waits_for_the_step_that_gradients_are_accumulated_for(synthetic: Path, tmp_path: Path) -> None:
    more = "--trainer.accumulate_grad_batches=2"
    whole, command = (arguments(synthetic, tmp_path / name, more) for name in ("whole", "stopped"))
    main(whole)
    stop([*command, *signalled(signal.SIGTERM, 2)])
    main([*command, "--ckpt_path=last"])
    states = (torch.load(tmp_path / name / "mmp/last.ckpt", weights_only=True) for name in ("whole", "stopped"))
    expected, resumed = (state["state_dict"] for state in states)
    assert all(torch.equal(resumed[name], value) for name, value in expected.items())


@pytest.mark.usefixtures("callbacks")
def test_a_run_signalled_to_in_its_last_step_finishes(synthetic: Path, tmp_path: Path) -> None:
    main([*arguments(synthetic, tmp_path, "--trainer.max_epochs=1"), *signalled(signal.SIGTERM, 3)])
    assert (tmp_path / "mmp/best.ckpt").exists()


def test_a_signal_to_one_process_stops_all_at_the_same_step(synthetic: Path, tmp_path: Path) -> None:
    ddp = ("--trainer.devices=2", "--trainer.strategy=ddp")
    command = [*arguments(synthetic, tmp_path, *ddp), *signalled(signal.SIGUSR1, 5, rank=1)]
    done = in_a_process(command, "torch.distributed.run", "--nproc-per-node=2", "--master-port=29531", "-m")
    assert done.returncode == 1 and f"exitcode  : {STOPPED}" in done.stderr, done.stderr
    assert "stopped by a signal to another process after step 6" in done.stderr
    assert torch.load(tmp_path / "mmp/last.ckpt", weights_only=True)["global_step"] == 6

"""Two gloo processes give the loss, gradients and metrics of one, for every stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import PARTS, RETRIEVAL, ROOT, VARIANTS, column, fit_arguments, logged

from motionlang_pl.cli import main

STAGES = (*PARTS, *VARIANTS)


def arguments(stage: str, store: Path, runs: Path) -> list[str]:
    """Three steps and a validation, without dropout, with every value logged, and sparsity of some weight."""
    sparsity = ("--model.init_args.flops_text=0.1", "--model.init_args.flops_motion=0.1")
    return fit_arguments(
        stage,
        store,
        runs,
        "--model.init_args.init_from=[]",
        "--data.batch_size=16",
        "--trainer.max_steps=3",
        "--trainer.limit_train_batches=3",
        "--trainer.log_every_n_steps=1",
        "--trainer.callbacks+=training_callbacks.GradientDump",
        *(sparsity if stage.startswith("lexcmlp") else ()),
    )


@pytest.fixture(scope="module")
def one_and_two(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of runs of one process, and of two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    ddp = ["--trainer.devices=2", "--trainer.strategy=ddp"]
    commands = json.dumps([[*arguments(stage, synthetic, two), *ddp] for stage in STAGES])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29511"]
    done = subprocess.run(
        [*launcher, str(ROOT / "tests/train_stages.py"), commands],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    for stage in STAGES:
        main(arguments(stage, synthetic, one))
    return one, two


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_give_the_loss_of_one_and_each_of_its_parts(one_and_two: tuple[Path, Path], stage: str) -> None:
    """Sparsity, use of codewords and the like too, which weigh little in the loss."""
    for name in logged(one_and_two[0] / stage, "train/", "lexical/", "codewords/"):
        one, two = (column(runs / stage, name) for runs in one_and_two)
        assert one and two == pytest.approx(one, rel=1e-4, abs=1e-6), name
        assert two[0] == pytest.approx(one[0], rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize(("step", "tolerance"), [(0, 1e-5), (2, 1e-3)])
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_give_the_gradients_of_one(
    one_and_two: tuple[Path, Path], stage: str, step: int, tolerance: float
) -> None:
    """At the first step, and at the last: by then sparsity has its weight and a queue its rows."""
    one, two = (torch.load(runs / stage / f"gradients_{step}.pt", weights_only=True) for runs in one_and_two)
    assert one.keys() == two.keys()
    largest = max(float(gradient.abs().max()) for gradient in one.values())
    for name, gradient in one.items():
        torch.testing.assert_close(
            two[name], gradient, rtol=10 * tolerance, atol=tolerance * largest, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_give_the_validation_of_one(one_and_two: tuple[Path, Path], stage: str) -> None:
    names = logged(one_and_two[0] / stage, "val/")
    assert ("val/t2m/R@1" if stage in RETRIEVAL else "val/loss") in names
    for name in names:
        one, two = (column(runs / stage, name) for runs in one_and_two)
        assert one and two == pytest.approx(one, rel=1e-4), name

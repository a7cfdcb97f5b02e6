"""What a GPU asks of tensors holds: nothing of the CPU's is mixed into a step, a start, a resume or an evaluation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PARTS, ROOT, VARIANTS, column, fit_arguments
from other_device import NAME

from motionlang_pl.cli import main
from motionlang_pl.tools.vectors import encode, open_data, pairs, retrieval_stage

THERE = (f"--trainer.accelerator={NAME}", f"--trainer.strategy={NAME}", "--trainer.devices=1")


def arguments(stage: str, store: Path, runs: Path, *more: str) -> list[str]:
    """Two steps and a validation."""
    steps = ("--data.batch_size=16", "--trainer.max_steps=2", "--trainer.log_every_n_steps=1")
    return fit_arguments(stage, store, runs, "--model.init_args.init_from=[]", *steps, *more)


def run_there(*lines: str) -> list[str]:
    """Runs lines of code in a process of its own, for torch knows a device until the end; returns what they print."""
    first = ["from other_device import *", "begin()", "from test_other_device import *", "with Pretending():"]
    done = subprocess.run(
        [sys.executable, "-c", "\n    ".join(("\n".join(first), *lines))],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "MOTIONLANG_DEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


def total(checkpoint: str, store: str, device: str) -> float:
    """The sum of all scores of the test split."""
    stage = retrieval_stage(Path(checkpoint), device)
    vectors = encode(stage, pairs(open_data(stage, Path(store)), "test"), batch_size=64)
    return float(stage.score(vectors.text.to(stage.device), vectors.motion.to(stage.device)).cpu().sum())


def test_lexcmlp_trains_resumes_and_encodes_on_another_device(synthetic: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    command = arguments("lexcmlp", synthetic, there, *THERE)
    resume = [*command, "--trainer.max_steps=3", "--ckpt_path=last"]
    checkpoint, store = str(there / "lexcmlp/best.ckpt"), str(synthetic)
    encoded, refused = run_there(
        f"main({command!r})",
        f"main({resume!r})",
        f"print(total({checkpoint!r}, {store!r}, NAME))",
        "try: torch.ones(2, device=NAME) + torch.ones(2)",
        "except RuntimeError as error: print(error)",
    )[-2:]
    assert refused == "add of tensors on ['cpu', 'pretended:0']"
    assert float(encoded) == pytest.approx(total(checkpoint, store, "cpu"), rel=1e-4)
    main(arguments("lexcmlp", synthetic, here))
    resumed, losses = column(there / "lexcmlp", "train/loss"), column(here / "lexcmlp", "train/loss")
    assert len(resumed) == 3 and resumed[:2] == pytest.approx(losses, rel=1e-4)


@pytest.mark.slow
def test_every_stage_trains_on_another_device_as_on_the_cpu(synthetic: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    stages = [stage for stage in (*PARTS, *VARIANTS) if stage != "lexcmlp"]
    run_there(*(f"main({arguments(stage, synthetic, there, *THERE)!r})" for stage in stages))
    for stage in stages:
        main(arguments(stage, synthetic, here))
        losses = column(here / stage, "train/loss")
        assert len(losses) == 2 and column(there / stage, "train/loss") == pytest.approx(losses, rel=1e-4), stage

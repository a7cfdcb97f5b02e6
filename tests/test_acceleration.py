"""Gradient checkpointing, compilation, chunks and averaging change what a run costs, not what it learns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PARTS, RETRIEVAL, ROOT, column, fit_arguments
from lightning.pytorch import Trainer
from torch import nn

import motionlang_pl
from motionlang_pl.acceleration import GradientCheckpointing, layers
from motionlang_pl.cli import main
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.motion.skeleton import skeleton

DROPOUT = ("--model.init_args.motion_encoder.init_args.dropout=0.2", "--model.init_args.text.init_args.dropout=0.2")


def lexcmlp_and_slow(stages: Iterable[str]) -> list[Any]:
    """All stages, marked slow but for one that has every part."""
    return [stage if stage == "lexcmlp" else pytest.param(stage, marks=pytest.mark.slow) for stage in stages]


def arguments(stage: str, store: Path, runs: Path, *more: str) -> list[str]:
    """Three steps with their gradients kept, and sparsity of some weight."""
    sparsity = ("--model.init_args.flops_text=0.1", "--model.init_args.flops_motion=0.1")
    return fit_arguments(
        stage,
        store,
        runs,
        "--model.init_args.init_from=[]",
        "--data.batch_size=16",
        "--trainer.max_steps=3",
        "--trainer.limit_val_batches=0",
        "--trainer.log_every_n_steps=1",
        "--trainer.callbacks+=training_callbacks.GradientDump",
        "--trainer.precision=32-true",
        *(sparsity if stage.startswith("lexcmlp") else ()),
        *more,
    )


@pytest.fixture(scope="module")
def train(synthetic: Path) -> Iterator[Callable[..., Path]]:
    """train(stage, runs, *more): trains in this process and returns the run's folder."""

    def run(stage: str, runs: Path, *more: str) -> Path:
        main(arguments(stage, synthetic, runs, *more))
        return runs / stage

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests"))
        yield run


@pytest.fixture(scope="module")
def plain(train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """plain(stage, *more): the run without any acceleration, made once."""
    return cache(lambda stage, *more: train(stage, tmp_path_factory.mktemp("plain"), *more))


def assert_same(one: Path, two: Path, tolerance: float) -> None:
    """The losses of three steps, and the gradients of the first and the last, when sparsity and queue have a say."""
    losses, others = column(one, "train/loss"), column(two, "train/loss")
    assert len(losses) == 3 and others == pytest.approx(losses, rel=tolerance)
    for step, near in ((0, tolerance), (2, 100 * tolerance)):
        gradients, other = (torch.load(run / f"gradients_{step}.pt", weights_only=True) for run in (one, two))
        assert gradients.keys() == other.keys()
        largest = max(float(gradient.abs().max()) for gradient in gradients.values())
        for name, gradient in gradients.items():
            torch.testing.assert_close(
                other[name], gradient, rtol=near, atol=near * largest, msg=lambda m, n=name: f"{n}: {m}"
            )


# ---- gradient checkpointing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", lexcmlp_and_slow(PARTS))
def test_gradient_checkpointing_changes_no_loss_and_no_gradient(
    train: Callable[..., Path], plain: Callable[..., Path], tmp_path: Path, stage: str
) -> None:
    assert_same(plain(stage), train(stage, tmp_path, "--gradient_checkpointing"), 1e-6)


def test_gradient_checkpointing_replays_dropout(
    train: Callable[..., Path], plain: Callable[..., Path], tmp_path: Path
) -> None:
    checkpointed = train("lexcmlp", tmp_path, "--gradient_checkpointing", *DROPOUT)
    assert_same(plain("lexcmlp", *DROPOUT), checkpointed, 1e-6)


def test_gradient_checkpointing_keeps_none_of_the_layers_activations() -> None:
    def kept() -> int:
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
            encoder(torch.randn(4, 20, 32, requires_grad=True), torch.ones(4, 20, dtype=torch.bool))
        return sum(sizes)

    encoder = MotionEncoder(skeleton("smpl22"), width=32, depth=8, heads=2, feedforward=64, graph_after=0)
    before = kept()
    GradientCheckpointing().on_fit_start(Trainer(logger=False), encoder)
    assert kept() < before / 8


def test_the_layers_of_every_kind_of_transformer_are_found(plain: Callable[..., Path]) -> None:
    stage = motionlang_pl.load(plain("lexcmlp") / "best.ckpt")
    assert {type(layer).__name__ for layer in layers(stage)} == {"TransformerLayer", "BertLayer"}
    torchs = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, batch_first=True), 3)
    assert len(list(layers(torchs))) == 3


# ---- compilation -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "more"),
    [("lexcmlp", ()), ("lexcmlp", ("--gradient_checkpointing",)), ("tmr", ()), ("maxsim", ())],
    ids=["compiled", "compiled and checkpointed", "variational", "vision"],
)
def test_compilation_changes_no_loss_and_no_gradient(
    train: Callable[..., Path], plain: Callable[..., Path], tmp_path: Path, stage: str, more: tuple[str, ...]
) -> None:
    """Between them the stages have every kind of layer: the trunk's, BERT's, TMR's, the ViT's."""
    assert_same(plain(stage), train(stage, tmp_path, "--compile", *more), 1e-4)


@pytest.mark.slow
def test_checkpoints_go_between_compiled_and_plain_runs(train: Callable[..., Path], tmp_path: Path) -> None:
    first, second = train("mmp", tmp_path / "plain"), train("mmp", tmp_path / "compiled", "--compile")
    names, others = (set(motionlang_pl.load(run / "best.ckpt").state_dict()) for run in (first, second))
    assert names == others
    longer = ("--ckpt_path=last", "--trainer.max_steps=5")
    train("mmp", tmp_path / "plain", *longer, "--compile")
    train("mmp", tmp_path / "compiled", *longer)
    assert column(second, "train/loss") == pytest.approx(column(first, "train/loss"), rel=1e-4)


# ---- cached gradients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", lexcmlp_and_slow(RETRIEVAL))
def test_chunks_give_the_loss_and_gradients_of_the_whole_batch(
    train: Callable[..., Path], plain: Callable[..., Path], tmp_path: Path, stage: str
) -> None:
    assert_same(plain(stage), train(stage, tmp_path, "--model.init_args.chunk=5"), 1e-5)


def test_a_chunk_of_nothing_is_refused(train: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="chunk 0: give a number of samples >= 1"):
        train("lexcmlp", tmp_path, "--model.init_args.chunk=0")


def test_two_processes_with_chunks_and_checkpointing_give_the_gradients_of_one(
    synthetic: Path, plain: Callable[..., Path], tmp_path: Path
) -> None:
    ddp = ("--trainer.devices=2", "--trainer.strategy=ddp", "--gradient_checkpointing", "--model.init_args.chunk=3")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29533"),
            *("-m", "motionlang_pl.cli", *arguments("lexcmlp", synthetic, tmp_path, *ddp)),
        ],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same(plain("lexcmlp"), tmp_path / "lexcmlp", 1e-4)


# ---- averaged weights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 200])
def test_averaging_publishes_the_moving_average_of_the_weights(
    train: Callable[..., Path], tmp_path: Path, every: int
) -> None:
    run = train("mmp", tmp_path, "--average=0.5", f"--save_every={every}")
    last = torch.load(run / "last.ckpt", weights_only=True)
    assert last["averaging_state"]["n_averaged"] == 3
    published = motionlang_pl.load(run / "best.ckpt").state_dict()
    assert all(torch.equal(published[name], value) for name, value in last["state_dict"].items())
    name = "motion_encoder.start"
    assert not torch.equal(last["state_dict"][name], last["current_model_state"][name])


def test_lightnings_own_callback_works_from_the_command_line(train: Callable[..., Path], tmp_path: Path) -> None:
    train("lexcmlp", tmp_path, "--trainer.callbacks+=EMAWeightAveraging", "--trainer.callbacks.decay=0.5")
    train("lexcmlp", tmp_path, "--average=0.5", "--ckpt_path=last", "--trainer.max_steps=4")
    assert len(column(tmp_path / "lexcmlp", "train/loss")) == 4


def test_averages_are_not_resumed_as_if_they_were_weights(train: Callable[..., Path], tmp_path: Path) -> None:
    train("mmp", tmp_path, "--average=0.5")
    with pytest.raises(SystemExit, match="holds averaged weights: resume with the same --average"):
        train("mmp", tmp_path, "--ckpt_path=last", "--trainer.max_steps=5")


def test_a_decay_outside_0_to_1_is_refused(train: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"--average 1.0: give the decay"):
        train("mmp", tmp_path, "--average=1.0")

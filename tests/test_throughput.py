"""Operations are counted, the steps that count them are the same steps, and every stage logs the common names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import PARTS, RETRIEVAL, column
from torch import nn

from motionlang_pl.throughput import Throughput, peak_flops

COMMON = (
    *("train/loss", "train/samples_per_s", "train/gflop_per_s", "grad_norm/total"),
    *(f"cost/{device}_seconds{whose}" for device in ("cpu", "gpu", "wall") for whose in ("", "_with_parents")),
)
RANKS = tuple(f"val/{way}/{name}" for way in ("t2m", "m2t") for name in ("R@1", "R@2", "R@3", "R@5", "R@10", "MedR"))
TERMS = tuple(f"val/lexical/{name}_{kind}" for name in ("active_terms", "norm") for kind in ("text", "motion"))
SIGNS = ("lexical/hub_share", "lexical/dead_share", "lexical/dense_share")
WITH_TERMS = ("lexcmlp", "denselexical", "tmrlexical")


@pytest.mark.parametrize(
    "stage", [stage if stage in ("lexcmlp", "mmp") else pytest.param(stage, marks=pytest.mark.slow) for stage in PARTS]
)
def test_every_stage_logs_the_common_names(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path, stage: str
) -> None:
    steps = ("--trainer.max_steps=4", "--trainer.val_check_interval=4", "--trainer.log_every_n_steps=1")
    run = fit(stage, synthetic, tmp_path, "--model.init_args.init_from=[]", "--data.batch_size=16", *steps)
    names = set((run / "metrics.csv").read_text().splitlines()[0].split(","))
    expected = {*COMMON, *(("val/recall", *RANKS) if stage in RETRIEVAL else ("val/loss",))}
    if stage in RETRIEVAL or stage == "cmmm":
        expected.add("train/temperature")
    if stage in WITH_TERMS:
        expected |= {*TERMS, *SIGNS}
    if stage == "codebook":
        expected |= {f"val/codewords/{name}" for name in ("active_text", "active_motion", "dead", "perplexity")}
    assert expected <= names, sorted(expected - names)
    assert "train/mfu" not in names  # the tests run on CPUs, whose peak nobody knows
    assert column(run, "train/samples_per_s")[-1] > 0 and column(run, "train/gflop_per_s")[-1] > 0


def test_a_linear_layer_costs_six_operations_per_weight_and_sample() -> None:
    counter, layer = Throughput(), nn.Linear(30, 20, bias=False)
    trainer = SimpleNamespace(global_step=1, world_size=1, log_every_n_steps=100)
    batch = SimpleNamespace(sample=torch.arange(8))
    x = torch.randn(8, 30, requires_grad=True)
    counter.on_train_batch_start(trainer, layer, batch, 0)
    layer(x).sum().backward()
    trainer.global_step = 2
    counter.on_train_batch_end(trainer, layer, None, batch, 0)
    assert counter.state_dict() == {"flops": 6 * 30 * 20 * 8, "samples": 8}


def test_attention_on_a_cpu_is_counted_too() -> None:
    counter, module = Throughput(), nn.Identity()
    trainer = SimpleNamespace(global_step=1, world_size=1, log_every_n_steps=100)
    batch = SimpleNamespace(sample=torch.arange(2))
    heads = torch.randn(2, 3, 10, 8)
    counter.on_train_batch_start(trainer, module, batch, 0)
    nn.functional.scaled_dot_product_attention(heads, heads, heads)
    counter.on_train_batch_end(trainer, module, None, batch, 0)
    assert counter.state_dict()["flops"] == 2 * (2 * 2 * 3 * 10 * 10 * 8)


def test_the_peak_of_a_cpu_is_not_known() -> None:
    assert peak_flops(torch.device("cpu"), torch.float32) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_works_at_a_share_of_its_peak(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    more = ("--trainer.max_steps=6", "--trainer.log_every_n_steps=1", "--trainer.accelerator=gpu")
    run = fit("mmp", synthetic, tmp_path, "--data.batch_size=16", *more)
    assert 0 < column(run, "train/mfu")[-1] < 100

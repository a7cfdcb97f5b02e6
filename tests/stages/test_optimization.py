"""How stages are optimised: by default AdamW, by class_path MoLang's Adam with warm restarts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import column, fit_arguments
from torch import nn

import motionlang_pl
from motionlang_pl.cli import main
from motionlang_pl.stages.optimization import ConstantRate, HalfCosine, Optimization, WarmRestarts, restarted_cosine

CHOOSE = "--model.init_args.optimization=WarmRestarts"


def test_the_rate_falls_to_its_lowest_share_and_restarts():
    factors = [restarted_cosine(epoch, 20, 0.7) for epoch in (0, 10, 20, 30, 40)]
    assert factors == pytest.approx([1, 0.85, 1, 0.85, 1])
    assert 0.7 < restarted_cosine(19, 20, 0.7) < 0.702


def test_warm_restarts_are_those_of_torch():
    rate = 1e-4
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=20, T_mult=1, eta_min=7e-5)
    for epoch in range(45):
        assert rate * restarted_cosine(epoch, 20, 7e-5 / rate) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_a_module_with_its_own_rate_falls_by_the_same_share():
    stage = nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    chosen = WarmRestarts(lr=1e-4, lr_of={"head": 1e-5}, lowest=7e-5, period=2).configure(stage, steps=9)
    assert type(chosen["optimizer"]) is torch.optim.Adam
    assert chosen["lr_scheduler"]["interval"] == "epoch"
    chosen["optimizer"].step()
    chosen["lr_scheduler"]["scheduler"].step()
    rates = {group["name"]: group["lr"] for group in chosen["optimizer"].param_groups}
    assert rates["trunk/matrices"] == pytest.approx(8.5e-5) and rates["head/matrices"] == pytest.approx(8.5e-6)


def test_a_constant_rate_has_no_schedule_and_each_module_its_own():
    stage = nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    chosen = ConstantRate(lr=1e-4, lr_of={"head": 1e-5}).configure(stage, steps=9)
    assert set(chosen) == {"optimizer"} and type(chosen["optimizer"]) is torch.optim.AdamW
    rates = {group["name"]: group["lr"] for group in chosen["optimizer"].param_groups}
    assert rates["trunk/matrices"] == 1e-4 and rates["head/vectors"] == 1e-5


def test_half_a_cosine_ends_at_half_of_the_rate():
    stage = nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    chosen = HalfCosine(lr=1e-4, lr_of={"head": 1e-5}).configure(stage, steps=10)
    rates = []
    for _ in range(11):
        rates.append(chosen["optimizer"].param_groups[0]["lr"])
        chosen["optimizer"].step()
        chosen["lr_scheduler"]["scheduler"].step()
    assert rates[0] == pytest.approx(1e-4) and rates[10] == pytest.approx(0.5e-4)
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for rate in rates:
        assert rate == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_a_lowest_rate_above_the_peak_is_refused():
    with pytest.raises(ValueError, match=r"lowest 7e-05 must lie between 0 and lr 1e-05, .*give all three"):
        WarmRestarts(lr=1e-5).configure(nn.ModuleDict({"trunk": nn.Linear(2, 2)}), steps=9)


def test_a_run_restarts_every_period_of_epochs(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    run = fit(
        "mmp",
        synthetic,
        tmp_path,
        CHOOSE,
        "--model.init_args.optimization.lr=0.001",
        "--model.init_args.optimization.lowest=0.0005",
        "--model.init_args.optimization.period=2",
        "--data.batch_size=16",
        "--trainer.max_epochs=3",
        "--trainer.limit_train_batches=2",
        "--trainer.log_every_n_steps=1",
    )
    rates = column(run, "lr-Adam/motion_encoder/matrices")
    assert rates == pytest.approx([0.001, 0.001, 0.00075, 0.00075, 0.001, 0.001])
    assert isinstance(motionlang_pl.load(run / "best.ckpt").optimization, WarmRestarts)


@pytest.mark.parametrize("lr_of", [(), ("--model.init_args.optimization.lr_of={motion_encoder: 0.1}",)])
def test_a_bare_lr_in_yaml_means_the_default(lr_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from motionlang_pl.training import MotionLanguageCLI

    found: list[Optimization] = []
    monkeypatch.setattr(MotionLanguageCLI, "_run_subcommand", lambda self, _: found.append(self.model.optimization))
    main(fit_arguments("cmmm", tmp_path, tmp_path, *lr_of))
    assert type(found[0]) is Optimization
    assert (found[0].lr, found[0].weight_decay) == (0.002, 0.05)  # tiny's, and the stage's own where tiny has none
    assert found[0].lr_of == ({"motion_encoder": 0.1} if lr_of else {})

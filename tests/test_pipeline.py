"""The chain end to end: each stage takes over from its parents, and says clearly when it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import CHAIN, fit_arguments

import motionlang_pl
from motionlang_pl.cli import main

STEPS = ("--trainer.max_steps=1", "--data.batch_size=16")


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one line with which a command is refused."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code not in (0, None)
    line = exit_.value.code if isinstance(exit_.value.code, str) else capsys.readouterr().err
    assert line.startswith("motionlang: error: ") and line.strip().count("\n") == 0, line
    return line


def handover(checkpoint: Path | str, **modules: str) -> str:
    """The option that hands modules over."""
    source = [{"checkpoint": str(checkpoint), "modules": modules}]
    return f"--model.init_args.init_from={json.dumps(source)}"


def test_each_stage_takes_over_the_modules_of_its_parents(
    chain: Path, fit: Callable[..., Path], synthetic: Path
) -> None:
    trunk = motionlang_pl.load(chain / "mmp/best.ckpt").motion_encoder.state_dict()
    fit("cmmm", synthetic, chain, "--trainer.max_steps=1", "--name=unmoved", "--model.init_args.optimization.lr=0")
    taken = motionlang_pl.load(chain / "unmoved/best.ckpt").motion_encoder.state_dict()
    for name, value in trunk.items():
        torch.testing.assert_close(taken[name], value, rtol=0, atol=0)


def test_the_lineage_names_every_ancestor(chain: Path) -> None:
    lineage = torch.load(chain / "codebook/best.ckpt", weights_only=True)["lineage"]

    def stages(node: dict[str, object]) -> set[str]:
        parents = node["parents"]
        assert isinstance(parents, list)
        return {str(node["stage"])}.union(*(stages(parent["lineage"]) for parent in parents))

    assert stages(lineage) == {"MMP", "CMMM", "LexMLM", "LexMMM", "LexCMLP", "Codebook"}
    assert lineage["cpu_seconds"] > 0


@pytest.mark.parametrize("stage", CHAIN)
def test_a_run_leaves_best_last_config_and_metrics(chain: Path, stage: str) -> None:
    assert {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv"} <= {file.name for file in (chain / stage).iterdir()}


@pytest.mark.parametrize("stage", CHAIN)
def test_every_trained_parameter_receives_a_gradient(stage: str, synthetic: Path, tmp_path: Path) -> None:
    """DDP waits for ever for a parameter that has none."""
    dump = "--trainer.callbacks+=training_callbacks.GradientDump"
    main(fit_arguments(stage, synthetic, tmp_path, *STEPS, "--model.init_args.init_from=[]", dump))
    gradients = torch.load(tmp_path / stage / "gradients.pt", weights_only=True)
    assert [name for name, gradient in gradients.items() if gradient is None] == []


@pytest.mark.parametrize("stage", CHAIN)
def test_bf16_trains_on_the_cpu(stage: str, synthetic: Path, tmp_path: Path) -> None:
    more = ("--model.init_args.init_from=[]", "--trainer.precision=bf16-mixed")
    main(fit_arguments(stage, synthetic, tmp_path, *STEPS, *more))
    weights = torch.load(tmp_path / stage / "last.ckpt", weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in weights.values() if value.is_floating_point())


def test_a_saved_config_trains_and_validates_again(chain: Path, tmp_path: Path) -> None:
    config = chain / "lexcmlp/config.yaml"
    main(["validate", f"--config={config}", f"--ckpt_path={chain}/lexcmlp/best.ckpt", f"--runs={chain}"])


def test_a_missing_parent_names_the_make_target(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, fit_arguments("cmmm", synthetic, tmp_path, *STEPS))
    assert "mmp/best.ckpt: no such checkpoint; `make mmp` builds it" in line


def test_a_missing_module_is_named_with_those_that_are_there(
    chain: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = handover(chain / "mmp/best.ckpt", motion_encoder="motion_trunk")
    line = refused(capsys, fit_arguments("cmmm", synthetic, tmp_path, *STEPS, source))
    assert "no module 'motion_trunk'" in line and "motion_adapter, motion_encoder" in line


def test_a_module_that_the_stage_lacks_is_named(
    chain: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = handover(chain / "mmp/best.ckpt", trunk="motion_encoder")
    line = refused(capsys, fit_arguments("cmmm", synthetic, tmp_path, *STEPS, source))
    assert "CMMM has no module 'trunk'" in line


def test_another_size_names_the_key_and_both_shapes(
    chain: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = handover(chain / "mmp/best.ckpt", motion_encoder="motion_encoder")
    wider = "--model.init_args.motion_encoder.init_args.width=96"
    line = refused(capsys, fit_arguments("cmmm", synthetic, tmp_path, *STEPS, source, wider))
    assert "64" in line and "96" in line and "same size" in line


def test_a_missing_key_is_named(
    chain: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = handover(chain / "mmp/best.ckpt", motion_encoder="motion_encoder")
    deeper = "--model.init_args.motion_encoder.init_args.depth=3"
    assert "it lacks" in refused(capsys, fit_arguments("cmmm", synthetic, tmp_path, *STEPS, source, deeper))


def test_an_unknown_yaml_key_is_named(synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("model: {init_args: {temprature: 0.1}}\n")
    line = refused(capsys, [*fit_arguments("lexcmlp", synthetic, tmp_path), f"--config={overlay}"])
    assert "temprature" in line


def test_no_store_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, fit_arguments("mmp", tmp_path / "nowhere", tmp_path))
    assert "nowhere" in line and "motionlang prepare" in line


def test_a_feature_kind_that_the_store_lacks_is_named(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, fit_arguments("mmp", synthetic, tmp_path, "--data.features=smpl_rot6d"))
    assert "smpl_rot6d" in line and "humanml3d" in line


def test_an_unknown_command_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert "prepare" in refused(capsys, ["fti"])

"""The chain end to end: each stage takes over from its parents, and says clearly when it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CHAIN, PARTS, column, fit_arguments

import motionlang_pl
from motionlang_pl.cli import main
from motionlang_pl.data.annotations import Span
from motionlang_pl.data.writer import Entry, Kind, StoreWriter

STEPS = ("--trainer.max_steps=1", "--data.batch_size=16", "--trainer.limit_val_batches=0")


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


@pytest.mark.parametrize("stage", ["cmmm", "lexmmm", "lexcmlp", "codebook"])
def test_a_stage_takes_over_the_modules_of_its_parents(
    chain: Path, fit: Callable[..., Path], synthetic: Path, stage: str
) -> None:
    still = ("--model.init_args.optimization.lr=0", "--model.init_args.optimization.lr_of={}")
    fit(stage, synthetic, chain, *STEPS, f"--name={stage}_unmoved", *still)
    unmoved = motionlang_pl.load(chain / f"{stage}_unmoved/best.ckpt")
    assert unmoved.parents
    for parent in unmoved.parents:
        giver = motionlang_pl.load(chain / parent["checkpoint"])
        for mine, theirs in parent["modules"].items():
            taken, given = getattr(unmoved, mine).state_dict(), getattr(giver, theirs).state_dict()
            if stage == "lexcmlp" and mine.endswith("lexical_head"):  # settled after the hand-over
                assert not torch.equal(taken.pop("bias"), given.pop("bias"))
            torch.testing.assert_close(taken, given, rtol=0, atol=0)


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


def test_the_best_checkpoint_is_that_of_the_lowest_validation_loss(synthetic: Path, tmp_path: Path) -> None:
    """With a rate far too high after the first epoch the loss rises, so the best is not the last."""
    high = ("--model.init_args.optimization.lr=0.3", "--model.init_args.optimization.warmup=0.9")
    more = ("--trainer.max_epochs=6", "--trainer.log_every_n_steps=1", "--trainer.gradient_clip_val=0")
    main(fit_arguments("mmp", synthetic, tmp_path, *high, *more))
    losses = column(tmp_path / "mmp", "val/loss")
    steps = torch.load(tmp_path / "mmp/last.ckpt", weights_only=True)["global_step"] // len(losses)
    best = torch.load(tmp_path / "mmp/best.ckpt", weights_only=True)["global_step"]
    assert min(losses) < losses[-1]
    assert best == (losses.index(min(losses)) + 1) * steps


@pytest.mark.parametrize("stage", CHAIN)
def test_every_trained_parameter_receives_a_gradient(stage: str, synthetic: Path, tmp_path: Path) -> None:
    """DDP waits for ever for a parameter that has none."""
    dump = "--trainer.callbacks+=training_callbacks.GradientDump"
    main(fit_arguments(stage, synthetic, tmp_path, *STEPS, "--model.init_args.init_from=[]", dump))
    gradients = torch.load(tmp_path / stage / "gradients_0.pt", weights_only=True)
    assert [name for name, gradient in gradients.items() if gradient is None] == []


@pytest.mark.parametrize("stage", PARTS)
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


def random_store(folder: Path, skeleton: str, columns: int, words: str) -> Path:
    """A store of the kind `joints` with random frames, whose vocabulary is the given words."""
    frames = np.random.default_rng(0).normal(size=(30, columns)).astype(np.float32)
    splits = [*["train"] * 16, *["val"] * 4]
    with StoreWriter(folder, 20.0, skeleton, {"joints": Kind(columns, 0)}, "test", {}, {}) as writer:
        for number, split in enumerate(splits):
            spans = [Span(0.0, 1.5, words, "", (), split)]
            writer.add(Entry(f"{number:03}", "", str(number), spans, frames={"joints": frames + number}))
        writer.finish([f"{number:03}" for number in range(len(splits))], ["train", "val"], {})
    return folder


def test_an_adapter_of_another_kind_is_refused(chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = random_store(tmp_path / "store", "smpl22", 66, "a person walks")
    source = handover(chain / "mmp/best.ckpt", motion_adapter="motion_adapter")
    line = refused(capsys, fit_arguments("cmmm", store, tmp_path, "--data.features=joints", *STEPS, source))
    assert "motion_adapter reads humanml3d, this run reads joints" in line and "--data.features humanml3d" in line


def test_a_trunk_hands_over_across_kinds(chain: Path, tmp_path: Path) -> None:
    store = random_store(tmp_path / "store", "smpl22", 66, "a person walks")
    source = handover(chain / "mmp/best.ckpt", motion_encoder="motion_encoder")
    main(fit_arguments("cmmm", store, tmp_path, "--data.features=joints", *STEPS, source))
    assert (tmp_path / "cmmm/best.ckpt").is_file()


def test_a_store_with_another_skeleton_is_refused(
    chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = random_store(tmp_path / "store", "mmm21", 63, "a person walks")
    source = handover(chain / "mmp/best.ckpt", motion_encoder="motion_encoder")
    line = refused(capsys, fit_arguments("cmmm", store, tmp_path, "--data.features=joints", *STEPS, source))
    assert "trained on the skeleton smpl22, this store has mmm21" in line


def test_another_vocabulary_is_refused(chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = random_store(tmp_path / "store", "smpl22", 66, "quite other words stand here")
    source = handover(chain / "lexmlm/best.ckpt", decoder="decoder")
    line = refused(capsys, fit_arguments("lexmlm", store, tmp_path, *STEPS, source))
    assert "belongs to another vocabulary" in line and "same text model or store tokenizer" in line


def test_a_truncated_checkpoint_is_refused(
    chain: Path, synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes((chain / "mmp/best.ckpt").read_bytes()[:5000])
    source = handover(broken, motion_encoder="motion_encoder")
    line = refused(capsys, fit_arguments("cmmm", synthetic, tmp_path, *STEPS, source))
    assert "broken.ckpt: not a readable checkpoint" in line and "train its stage again" in line


@pytest.mark.slow
def test_offline_loggers_need_no_account(synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "")
    main(fit_arguments("mmp", synthetic, tmp_path, *STEPS, "--wandb=offline", "--tensorboard"))
    run = tmp_path / "mmp"
    assert list(run.glob("wandb/offline-run-*")) and list(run.glob("tensorboard/**/events.*"))
    assert (run / "config.yaml").is_file()

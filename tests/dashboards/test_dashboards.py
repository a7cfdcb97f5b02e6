"""TensorBoard and W&B, offline, through the real CLI: what a run's folder holds after a fit and a resume."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from conftest import column
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from motionlang_pl.dashboards.wandb import WeightsAndBiases, use_parents
from motionlang_pl.stages.handover import file_sha256

FIT = ("--data.batch_size=16", "--trainer.log_every_n_steps=1", "--trainer.limit_train_batches=2")


@pytest.fixture(scope="module")
def runs(fit: Callable[..., Path], synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """MMP and, on it, CstAR: fitted for an epoch, then resumed for another, with and without dashboards."""
    folder = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        for place in ("DATA", "CACHE", "CONFIG"):
            patch.setenv(f"WANDB_{place}_DIR", str(folder / f"wandb_{place}"))
        patch.setenv("WANDB_MODE", "offline")
        boards = ("--tensorboard", "--wandb=offline")
        fit("mmp", synthetic, folder, *FIT, "--trainer.max_epochs=1", "--tensorboard")
        fit("cstar", synthetic, folder, *FIT, "--trainer.max_epochs=1", *boards)
        fit("cstar", synthetic, folder, *FIT, "--trainer.max_epochs=2", "--ckpt_path=last", *boards)
        fit("cstar", synthetic, folder, *FIT, "--trainer.max_epochs=1", "--name=plain")
        yield folder


def records(run: Path) -> Iterator[Any]:
    """What W&B's SDK wrote, in order: protocol buffers in LevelDB's log format."""
    for file in sorted(run.glob("wandb/offline-run-*/*.wandb"), key=lambda file: file.stat().st_mtime):
        data, position, parts = file.read_bytes(), 7, b""
        while position + 7 <= len(data):
            if (left := 32768 - position % 32768) < 7:
                position += left
                continue
            _, length, kind = struct.unpack("<IHB", data[position : position + 7])
            parts += data[position + 7 : position + 7 + length]
            position += 7 + length
            if kind in (1, 4):  # whole, last
                record = wandb_internal_pb2.Record()
                record.ParseFromString(parts)
                parts = b""
                yield record


def of(run: Path, kind: str) -> list[Any]:
    """The records of a kind."""
    return [getattr(record, kind) for record in records(run) if record.WhichOneof("record_type") == kind]


def test_tensorboard_shows_scalars_pictures_and_the_config(runs: Path) -> None:
    events = EventAccumulator(str(runs / "cstar/tensorboard")).Reload()
    assert {"train/loss", "val/recall", "val/t2m/R@1", "grad_norm/total"} <= set(events.Tags()["scalars"])
    assert set(events.Tags()["images"]) == {"val/heat_map", "val/motions"}
    assert "CstAR" in str(events.Tensors("config/text_summary")[0].tensor_proto)
    steps = [event.step for event in events.Scalars("train/loss")]
    assert steps == sorted(set(steps)) and len(steps) == 4


def test_masked_motion_is_shown_beside_its_prediction(runs: Path) -> None:
    assert EventAccumulator(str(runs / "mmp/tensorboard")).Reload().Tags()["images"] == ["val/motions"]


def test_pictures_change_no_loss(runs: Path) -> None:
    assert column(runs / "plain", "train/loss") == column(runs / "cstar", "train/loss")[:2]


def test_wandb_holds_the_names_the_config_and_a_table_of_motions(runs: Path) -> None:
    names = {"/".join(item.nested_key) or item.key for each in of(runs / "cstar", "history") for item in each.item}
    assert {"train/loss", "val/recall", "val/t2m/R@1", "grad_norm/total", "cost/cpu_seconds"} <= names
    assert "val/motions/nrows" in names and "val/heat_map/width" in names
    config = {update.key: update.value_json for each in of(runs / "cstar", "config") for update in each.update}
    assert json.loads(config["cli"])["data"]["batch_size"] == 16
    table = next((runs / "cstar/wandb").glob("offline-run-*/files/media/table/val/motions_*.table.json"))
    assert json.loads(table.read_text())["columns"] == ["motion", "caption"]


def test_a_resumed_fit_goes_on_with_the_same_run(runs: Path) -> None:
    first, second = (each for each in of(runs / "cstar", "run"))
    assert first.run_id == second.run_id == (runs / "cstar/wandb_id").read_text().strip()
    assert (first.project, first.run_group, first.job_type) == ("motionlang", runs.name, "cstar")


def test_the_checkpoint_is_an_artifact_that_names_its_parents(runs: Path) -> None:
    artifact = [each for each in of(runs / "cstar", "artifact") if each.type == "model"][-1]
    sha256, parent = file_sha256(runs / "cstar/best.ckpt"), file_sha256(runs / "mmp/best.ckpt")
    assert artifact.name == "cstar" and {"best", f"sha256-{sha256[:16]}"} <= set(artifact.aliases)
    assert [entry.path for entry in artifact.manifest.contents] == ["best.ckpt"]
    metadata = json.loads(artifact.metadata)
    assert metadata["sha256"] == sha256 and metadata["parents"] == [f"mmp/best.ckpt {parent}"]
    assert json.loads(metadata["lineage"])["parents"][0]["lineage"]["stage"] == "MMP"


def test_offline_everything_waits_in_the_runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", "chosen")
    WeightsAndBiases(tmp_path / "mmp", offline=True)
    assert os.environ["WANDB_DATA_DIR"] == "chosen"
    monkeypatch.delenv("WANDB_DATA_DIR")
    WeightsAndBiases(tmp_path / "mmp", offline=True)
    assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / "mmp/wandb")


class Server:
    """Stands in for a run that is online: it has one artifact."""

    def __init__(self) -> None:
        self.used: list[str] = []

    def use_artifact(self, name: str) -> None:
        if name != "mmp:sha256-" + 16 * "a":
            raise wandb.CommError(f"artifact {name} not found")
        self.used.append(name)


def test_online_a_run_uses_its_parents_artifacts_and_names_those_that_are_missing() -> None:
    server = Server()
    with pytest.warns(UserWarning, match=r"no artifact lexmlm:sha256-b{16} for lexmlm/best.ckpt .*not found"):
        use_parents(
            server,
            [
                {"checkpoint": "mmp/best.ckpt", "sha256": 64 * "a"},
                {"checkpoint": "lexmlm/best.ckpt", "sha256": 64 * "b"},
            ],
        )
    assert server.used == ["mmp:sha256-" + 16 * "a"]

"""Weights & Biases: a run per stage, grouped by pipeline, with its checkpoint as an artifact that names its parents."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from motionlang_pl.dashboards.board import Board
from motionlang_pl.motion.skeleton import Skeleton
from motionlang_pl.plots import Pixels, Strip, draw_strips, pixels
from motionlang_pl.stages.base import Stage
from motionlang_pl.stages.handover import file_sha256, read_checkpoint

RUN_ID = "wandb_id"


class WeightsAndBiases(WandbLogger, Board):
    """A run in the project `motionlang` (or $WANDB_PROJECT): its group is the folder of runs, its job type the stage.

    The run's id stands in `FOLDER/wandb_id`, so that a resumed fit goes on with the same run.

    Args:
        folder: The run's folder.
        offline: Write to `FOLDER/wandb` alone, for `wandb sync` or for nobody; needs neither account nor network.
        resume: Go on with the run that the folder names.
    """

    def __init__(self, folder: Path, offline: bool, resume: bool = False) -> None:
        self.folder, self.offline = folder, offline
        if offline:  # else pictures and checkpoints wait in the home folder
            os.environ.setdefault("WANDB_DATA_DIR", str(folder.resolve() / "wandb"))
        super().__init__(
            project=os.environ.get("WANDB_PROJECT", "motionlang"),
            save_dir=folder,
            group=folder.resolve().parent.name,
            job_type=folder.name,
            name=folder.name,
            id=_run_id(folder, resume),
            offline=offline,
        )

    @property
    def experiment(self) -> Any:
        """W&B's run; ValueError where W&B refuses one."""
        try:
            return super().experiment
        except wandb.Error as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ValueError(f"--wandb online: {reason}, or say --wandb offline") from error

    def show_motions(self, strips: Sequence[Strip], skeleton: Skeleton, step: int) -> None:
        """A table, a row for each motion."""
        columns = ["motion", "caption", *(["strongest terms"] if any(strip.note for strip in strips) else [])]
        rows = []
        for strip in strips:
            picture = wandb.Image(pixels(draw_strips([strip._replace(title="", note="")], skeleton)))
            rows.append([picture, strip.title, strip.note][: len(columns)])
        self.log_table("val/motions", columns=columns, data=rows, step=step)

    def show_heat_map(self, picture: Pixels, step: int) -> None:
        """The picture."""
        self.log_image("val/heat_map", [picture], step)

    def show_config(self, config: str) -> None:
        """Under `cli` in the run's config."""
        self.experiment.config.update({"cli": yaml.safe_load(config)}, allow_val_change=True)

    def callbacks(self) -> list[Callback]:
        """Keeps checkpoints as artifacts."""
        return [Artifacts(self)]

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Ends the run, so that the next fit of the same process has its own."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))
            self._experiment = None


class Artifacts(Callback):
    """Notes the run's id and uses the parents' artifacts when a fit starts, publishes `best.ckpt` when it has ended."""

    def __init__(self, board: WeightsAndBiases) -> None:
        self.board = board

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Parents are found by name and SHA-256; offline nothing can be found."""
        assert isinstance(pl_module, Stage)
        if trainer.is_global_zero:
            (self.board.folder / RUN_ID).write_text(f"{self.board.version}\n")
        if trainer.is_global_zero and not self.board.offline:
            use_parents(self.board.experiment, pl_module.parents)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The checkpoints' own callback has published the file by now."""
        best = self.board.folder / "best.ckpt"
        if stage == "fit" and trainer.is_global_zero and not trainer.interrupted and best.is_file():
            publish(self.board.experiment, best)


def use_parents(run: Any, parents: list[dict[str, Any]]) -> None:
    """Say which artifacts a run starts from; a parent that the project does not have is warned of.

    run: W&B's.  parents: of a stage's lineage.
    """
    for parent in parents:
        name = f"{_artifact_name(Path(parent['checkpoint']))}:{_alias(parent['sha256'])}"
        try:
            run.use_artifact(name)
        except (wandb.Error, ValueError) as error:
            rank_zero_warn(
                f"W&B has no artifact {name} for {parent['checkpoint']} ({error}): it was trained without --wandb, or "
                "is not synced yet; the metadata of this run's own artifact name it all the same"
            )


def publish(run: Any, checkpoint: Path) -> None:
    """Log a stage's checkpoint as an artifact of type `model`, named after its folder, with its lineage.

    The metadata are few keys (W&B takes 100 in all), so the whole ancestry is one of them, as JSON.
    """
    lineage, sha256 = read_checkpoint(checkpoint)["lineage"], file_sha256(checkpoint)
    metadata = {
        "stage": lineage["stage"],
        "step": lineage["step"],
        "sha256": sha256,
        "data_sha256": lineage["data_sha256"],
        "parents": [f"{parent['checkpoint']} {parent['sha256']}" for parent in lineage["parents"]],
        "lineage": json.dumps(lineage),
    }
    artifact = wandb.Artifact(_artifact_name(checkpoint), type="model", metadata=metadata)
    artifact.add_file(str(checkpoint), name=checkpoint.name)
    run.log_artifact(artifact, aliases=["best", _alias(sha256)])


def _artifact_name(checkpoint: Path) -> str:
    """The name of the checkpoint's folder, in the letters that W&B allows."""
    return re.sub(r"[^\w.-]", "-", checkpoint.parent.name)


def _alias(sha256: str) -> str:
    return f"sha256-{sha256[:16]}"


def _run_id(folder: Path, resume: bool) -> str:
    """The id that an earlier fit has noted in the folder, or a new one."""
    if resume and (folder / RUN_ID).is_file():
        return (folder / RUN_ID).read_text().strip()
    return secrets.token_hex(4)

"""TensorBoard: event files in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from motionlang_pl.dashboards.board import Board
from motionlang_pl.motion.skeleton import Skeleton
from motionlang_pl.plots import Pixels, Strip, draw_strips, pixels


class TensorBoard(TensorBoardLogger, Board):
    """`FOLDER/tensorboard`; what an earlier run wrote from the step on at which this one begins is hidden.

    Args:
        folder: The run's folder.
        resume_step: Global step of the checkpoint that the run resumes from.
    """

    def __init__(self, folder: Path, resume_step: int = 0) -> None:
        super().__init__(folder, "tensorboard", version="", default_hp_metric=False, purge_step=resume_step)

    def show_motions(self, strips: Sequence[Strip], skeleton: Skeleton, step: int) -> None:
        """One picture of all."""
        picture = pixels(draw_strips(strips, skeleton))
        self.experiment.add_image("val/motions", picture, step, dataformats="HWC")

    def show_heat_map(self, picture: Pixels, step: int) -> None:
        """The picture."""
        self.experiment.add_image("val/heat_map", picture, step, dataformats="HWC")

    def show_config(self, config: str) -> None:
        """A text, as it stands in config.yaml."""
        self.experiment.add_text("config", "".join(f"    {line}\n" for line in config.splitlines()))

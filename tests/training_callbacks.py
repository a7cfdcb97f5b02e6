"""Callbacks that tests name on the command line: one keeps gradients, others kill the run or signal to it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class GradientDump(Callback):
    """Writes each optimizer step's gradients to `gradients_STEP.pt` in the run's folder."""

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if trainer.is_global_zero:
            gradients = {name: p.grad for name, p in pl_module.named_parameters() if p.requires_grad}
            torch.save(gradients, Path(trainer.default_root_dir) / f"gradients_{trainer.global_step}.pt")


class KillAt(Callback):
    """Kills its own process, without any clean-up, after an optimizer step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class SignalAt(Callback):
    """Sends a signal to one rank's process, or to its group with the loader's workers, within a step."""

    def __init__(self, step: int, number: int, rank: int = 0, group: bool = False) -> None:
        self.step, self.number, self.rank = step, number, rank
        self.kill = os.killpg if group else os.kill

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            self.kill(os.getpid(), self.number)

"""Keeps `last.ckpt` for resuming, also where a cluster takes the machine away; publishes `best.ckpt` at a fit's end."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from motionlang_pl.stages.base import Stage

STOPPED = 75  # exit status of a fit that a signal stopped: sysexits' EX_TEMPFAIL, "try again"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)  # of schedulers before they kill, and Ctrl-C


class StageCheckpoints(Checkpoint):
    """`last.ckpt` every ``every_n_steps`` and at the end; `best.ckpt` once the fit has ended, never before.

    Until then the best so far is `best.partial.ckpt`, so that Make does not take a killed stage for a finished one. A
    run without validation publishes its last state.

    The last step is validated, wherever it stands in its epoch. Weights that are not finite are never written: the fit
    ends with an error.

    On SIGTERM, SIGUSR1 or Ctrl-C the step is finished, `last.ckpt` written, and the fit exits with status 75, on all
    processes; a second Ctrl-C stops at once. At an epoch's last step that is after the validation; a process that is
    killed during a validation within an epoch resumes after it, without it.

    Args:
        folder: Where the checkpoints stand.
        every_n_steps: Optimizer steps between two writes of `last.ckpt`.
    """

    def __init__(self, folder: Path, every_n_steps: int) -> None:
        self.folder = folder
        self.every_n_steps = every_n_steps
        self.best_score: float | None = None
        self.best_step = 0
        self.saved_step = 0
        self._signal = 0
        self._step = 0
        self._stops = False

    @property
    def state_key(self) -> str:
        """One state per checkpoint, wherever the run's folder is."""
        return type(self).__name__

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, and its step."""
        return {"best_score": self.best_score, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the best score of the interrupted run."""
        self.best_score, self.best_step = state_dict["best_score"], state_dict.get("best_step", 0)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuses to go on from averaged weights as if they were those that the optimizer left."""
        averages = any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if trainer.training and "averaging_state" in checkpoint and not averages:
            raise ValueError("--ckpt_path holds averaged weights: resume with the same --average, or start afresh")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A fresh fit clears an earlier run away (its best stays as `best.previous.ckpt`); a resume does not."""
        if trainer.ckpt_path is None and trainer.is_global_zero:
            if (self.folder / "best.ckpt").exists():
                os.replace(self.folder / "best.ckpt", self.folder / "best.previous.ckpt")
            for stale in ("last.ckpt", "best.partial.ckpt"):
                (self.folder / stale).unlink(missing_ok=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the signals over from Lightning, which would save within a step; it restores them when the fit ends."""
        self._step = trainer.global_step
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            for number in STOP_SIGNALS:
                signal.signal(number, self._note)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stops, now that the last step is logged; what is logged up to a `last.ckpt` is on the disk with it."""
        if self.saved_step == trainer.global_step:
            for logger in trainer.loggers:
                logger.save()
        if self._stops:
            self._say_stopped(trainer.global_step)
            raise SystemExit(STOPPED)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes `last.ckpt`, but not at an epoch's last batch: there the validation would be lost to a resume."""
        if 0 <= trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True  # Lightning then validates, whatever is due; it would end here in any case
        stepped, self._step = trainer.global_step > self._step, trainer.global_step
        if stepped and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps the best checkpoint by the stage's own measure."""
        assert isinstance(pl_module, Stage)
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if not fitting or pl_module.monitor not in trainer.callback_metrics:
            return
        score = float(trainer.callback_metrics[pl_module.monitor])
        sign = 1 if pl_module.mode == "max" else -1
        if math.isfinite(score) and (self.best_score is None or sign * score > sign * self.best_score):
            self.best_score, self.best_step = score, trainer.global_step
            self._save(trainer, "best.partial.ckpt")
            if self.saved_step == trainer.global_step:  # within an epoch: what was saved before knows of no new best
                self._save_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes `last.ckpt` after the validation."""
        self._save_if_due(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the last state, unless it stands there."""
        if trainer.global_step != self.saved_step:
            self._save_last(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Publishes the best checkpoint under its final name."""
        partial, best, last = (self.folder / f"{name}.ckpt" for name in ("best.partial", "best", "last"))
        if trainer.is_global_zero and not trainer.interrupted:
            if partial.exists():
                os.replace(partial, best)
            elif last.exists() and (self.best_score is None or not best.exists()):
                shutil.copyfile(last, self.folder / "best.copy.ckpt")
                os.replace(self.folder / "best.copy.ckpt", best)
        trainer.strategy.barrier()
        self._say_published(trainer, pl_module)

    def _note(self, number: int, frame: Any) -> None:
        self._signal = number
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
            os.write(2, b"motionlang: stopping after this step; Ctrl-C again stops at once, without last.ckpt\n")

    @rank_zero_only
    def _say_published(self, trainer: Trainer, pl_module: LightningModule) -> None:
        best = self.folder / "best.ckpt"
        if trainer.interrupted or not best.is_file():
            return
        if self.best_score is None:
            print(f"{best}: step {trainer.global_step}, not validated", flush=True)
        else:
            assert isinstance(pl_module, Stage)
            score = f"{pl_module.monitor} {self.best_score:.4g}"
            print(f"{best}: step {self.best_step} of {trainer.global_step}, {score}", flush=True)

    @rank_zero_only
    def _say_stopped(self, step: int) -> None:
        name = signal.Signals(self._signal).name if self._signal else "a signal to another process"
        print(
            f"motionlang: stopped by {name} after step {step}; {self.folder / 'last.ckpt'} is written: go on with "
            "--ckpt_path last",
            file=sys.stderr,
            flush=True,
        )

    def _save_if_due(self, trainer: Trainer) -> None:
        self._stops = trainer.strategy.reduce_boolean_decision(bool(self._signal), all=False)
        if self._stops or trainer.global_step - self.saved_step >= self.every_n_steps:
            self._save_last(trainer)

    def _save_last(self, trainer: Trainer) -> None:
        self._save(trainer, "last.ckpt")
        self.saved_step = trainer.global_step

    def _save(self, trainer: Trainer, name: str) -> None:
        for weight, value in trainer.lightning_module.named_parameters():
            if not value.isfinite().all():
                raise ValueError(
                    f"{weight} is not finite after step {trainer.global_step}: the fit has diverged, {name} is not "
                    "written; lower --model.init_args.optimization.lr, or leave 16 bits by --trainer.precision 32-true"
                )
        trainer.save_checkpoint(self.folder / name)

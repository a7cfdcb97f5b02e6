"""What a run says of itself: a line at the start, gradient norms, what it has cost, and metrics.csv across resumes."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from torch.optim import Optimizer

from motionlang_pl.data.batch import Batch
from motionlang_pl.stages.base import Stage, is_logged


class RunReport(Callback):
    """Prints a line on what is trained on what, and logs each module's gradient norm and the cost so far."""

    @rank_zero_only
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The line at the start."""
        count = sum(p.numel() for p in pl_module.parameters())
        trained = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        data = trainer.datamodule  # type: ignore[attr-defined]
        print(
            f"{type(pl_module).__name__}: {count / 1e6:.2f} M parameters ({trained / 1e6:.2f} M trained); "
            f"{data.describe()}; {trainer.world_size} x {pl_module.device.type}, precision {trainer.precision}, "
            f"seed {data.seed}",
            flush=True,
        )
        if pl_module.device.type == "cpu" and "bf16" in str(trainer.precision):
            rank_zero_warn("bf16 on a CPU is slow without AMX or AVX512-BF16: --trainer.precision 32-true, SIZE=small")

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A line in a log file, where there is no progress bar to look at."""
        if trainer.state.fn != TrainerFn.FITTING or sys.stdout.isatty():
            return
        assert isinstance(pl_module, Stage)
        names = (name for name in ("train/loss", pl_module.monitor) if name in trainer.callback_metrics)
        shown = (f"{name} {float(trainer.callback_metrics[name]):.4g}" for name in names)
        print(f"step {trainer.global_step}: {', '.join(shown)}", flush=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Cost so far, of the run and with its parents."""
        assert isinstance(pl_module, Stage)
        if not is_logged(trainer, trainer.global_step):
            return
        inherited = pl_module.inherited_cost()
        cost: dict[str, float] = {}
        for name, own in pl_module.spent().items():
            cost |= {f"cost/{name}": own, f"cost/{name}_with_parents": own + inherited[name]}
        pl_module.log_dict(cost, batch_size=1)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Gradient norm of the whole and of each module, before clipping, in the steps that are logged."""
        if not is_logged(trainer, trainer.global_step + 1):
            return
        parts = {}
        for name, module in pl_module.named_children():
            norms = [p.grad.norm() for p in module.parameters() if p.grad is not None]
            if norms:
                parts[name] = torch.stack(norms).norm()
        parts["total"] = torch.stack(list(parts.values())).norm()
        pl_module.log_dict({f"grad_norm/{name}": norm for name, norm in parts.items()}, batch_size=1)


class MetricsCSV(CSVLogger):
    """`metrics.csv` in the run's folder; a resumed run keeps the rows up to the step that it resumes from.

    An earlier run's file stays until there is something to write: a fit may still be refused.

    Args:
        folder: The run's folder.
        resume_step: Global step of the checkpoint that the run resumes from; 0 starts the file anew.
    """

    def __init__(self, folder: Path, resume_step: int = 0) -> None:
        super().__init__(save_dir=folder.parent, name=folder.name, version="", flush_logs_every_n_steps=50)
        self._kept: list[dict[str, float]] = []
        self._path, self._began = folder / "metrics.csv", False
        if resume_step and self._path.is_file():
            with self._path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            kept = [row for row in rows if row["step"] and int(float(row["step"])) < resume_step]
            self._kept = [{name: float(value) for name, value in row.items() if value} for row in kept]

    @property
    def experiment(self) -> _ExperimentWriter:
        """Lightning's writer, which would remove an earlier file at once."""
        earlier = self._path.read_bytes() if self._experiment is None and self._path.is_file() else None
        writer = super().experiment
        if earlier is not None and isinstance(writer, _ExperimentWriter):
            self._path.write_bytes(earlier)
        return writer  # type: ignore[no-any-return]

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Adds a row; the first starts the file anew with the rows that were kept."""
        if not self._began:
            self._began = True
            self.experiment.metrics.extend(self._kept)
            self._path.unlink(missing_ok=True)
            self.experiment.save()  # at once: a kill must not take what an earlier part of the run has logged
        super().log_metrics(metrics, step)

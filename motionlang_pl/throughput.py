"""How fast a fit is: samples and floating-point operations per second, and their share of what the GPU could do.

Model FLOPs utilisation after Chowdhery et al. 2022 (PaLM, appendix B): operations of the model's matrix products over
the device's peak.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import torch
from lightning.fabric.utilities.throughput import get_available_flops
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from motionlang_pl.data.batch import Batch
from motionlang_pl.stages.base import is_logged

DTYPES = {"16": torch.float16, "bf16": torch.bfloat16, "32": torch.float32}
H200 = {torch.float16: 989e12, torch.bfloat16: 989e12, torch.float32: 67e12, "tfloat32": 494e12}
"""NVIDIA's data sheet, without sparsity: Lightning does not know the card by the name that the driver gives."""


class Throughput(Callback):
    """Logs samples per second, GFLOP per second and, where the device's peak is known, their share in percent.

    Counts operations during the 2nd, 4th, 8th, 16th ... step: batches of many lengths enter the mean, and counting
    takes an ever smaller share of the run. Those steps are left out of the time, and so is validation. What was counted
    travels in the checkpoint, so that the mean goes on where a run resumes. A counted step is not compiled.
    """

    def __init__(self) -> None:
        self._counter: FlopCounterMode | None = None
        self._counting = ExitStack()
        self._flops, self._counted = 0, 0
        self._began, self._seconds, self._samples = 0.0, 0.0, 0
        self._peak: float | None = None

    def state_dict(self) -> dict[str, int]:
        """What was counted."""
        return {"flops": self._flops, "samples": self._counted}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on from there."""
        self._flops, self._counted = state_dict["flops"], state_dict["samples"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks up the device's peak."""
        dtype = DTYPES.get(str(trainer.precision).split("-")[0])
        self._peak = peak_flops(pl_module.device, dtype) if dtype is not None else None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Counts operations where it is due."""
        step = trainer.global_step + 1
        if step > 1 and step & (step - 1) == 0:
            self._counter = FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION)
            # compiled code cannot be counted, and what is first called while counting would never be compiled
            self._counting.enter_context(torch.compiler.set_stance("force_eager"))
            self._counting.enter_context(self._counter)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Counts samples, and time from the end of one step to the end of the next; logs what was since the last."""
        now, samples = time.perf_counter(), len(batch.sample)
        if self._counter is not None:
            self._flops += self._stop_counting()
            self._counted += samples
        elif self._began:
            self._seconds += now - self._began
            self._samples += samples * trainer.world_size
        if is_logged(trainer, trainer.global_step) and self._samples and self._counted:
            self._log(trainer, pl_module)
            self._seconds, self._samples = 0.0, 0
        self._began = time.perf_counter()

    def _stop_counting(self) -> int:
        assert self._counter is not None
        counter, self._counter = self._counter, None
        self._counting.close()
        return counter.get_total_flops()

    def _log(self, trainer: Trainer, stage: LightningModule) -> None:
        rate = self._samples / self._seconds
        flops = rate * self._flops / self._counted
        stage.log("train/samples_per_s", rate, batch_size=1, prog_bar=True)
        stage.log("train/gflop_per_s", flops / 1e9, batch_size=1)
        if self._peak:
            stage.log("train/mfu", 100 * flops / (self._peak * trainer.world_size), batch_size=1)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation is not counted as training time."""
        self._began = 0.0

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """A step that ends in an error, or in a stop, is not counted."""
        if self._counter is not None:
            self._stop_counting()


def peak_flops(device: torch.device, dtype: torch.dtype) -> float | None:
    """What a GPU can do at most, in FLOP per second; None for CPUs and for cards of which it is not known."""
    if device.type != "cuda":
        return None
    if torch.cuda.get_device_name(device) == "NVIDIA H200":
        full = dtype is not torch.float32 or torch.get_float32_matmul_precision() == "highest"
        return H200[dtype if full else "tfloat32"]
    return get_available_flops(device, dtype)


def _attention(*shapes: Any, **_: Any) -> int:
    return sdpa_flop_count(*shapes[:3])  # type: ignore[no-any-return, no-untyped-call]


def _attention_backward(*shapes: Any, **_: Any) -> int:
    return sdpa_backward_flop_count(*shapes[:4])  # type: ignore[no-any-return, no-untyped-call]


_CPU_ATTENTION = {  # torch's counter knows the GPU's kernels only
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}

"""Callbacks that change what a step costs and not what it computes: gradient checkpointing and compilation.

Both wrap the layers of a stage's transformers in place, so that no stage needs a switch and a state dict keeps its
names: checkpoints are the same with and without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.checkpoint import checkpoint


class Compilation(Callback):
    """Compiles the transformers' layers, once for batches of any size: slow to start, then faster steps."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wraps the layers; they are compiled when they are first called."""
        _wrap(pl_module, partial(torch.compile, dynamic=True))


class GradientCheckpointing(Callback):
    """Keeps only the inputs of the transformers' layers and computes a layer again when its gradient is due.

    For about a third more computation the memory of activations shrinks to the layers' inputs (Chen et al. 2016).
    Dropout is replayed from the generators' states. Beside `Compilation` give it second.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wraps the layers."""
        _wrap(pl_module, lambda forward: partial(checkpoint, forward, use_reentrant=False))


def layers(module: nn.Module) -> Iterator[nn.Module]:
    """What stands in an `nn.ModuleList`: transformers' layers (of any library), and a grid adapter's projections."""
    for part in module.modules():
        if isinstance(part, nn.ModuleList):
            yield from part


def _wrap(module: nn.Module, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    for layer in layers(module):
        layer.forward = wrapper(layer.forward)

"""Staged pretraining of motion-language models."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from motionlang_pl.stages import Stage

__version__ = version("motionlang-pl")


def load(checkpoint: str | Path) -> Stage:
    """The stage that a checkpoint holds, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError, ValueError: no such checkpoint, or one that is not a stage's.
    """
    from motionlang_pl.stages import Stage

    return Stage.load(checkpoint)

"""Board: a logger that can show pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lightning.pytorch import Callback

from motionlang_pl.motion.skeleton import Skeleton
from motionlang_pl.plots import Pixels, Strip


class Board(ABC):
    """What a logger adds to be a dashboard; the `show_` methods are called on the first process alone."""

    @abstractmethod
    def show_motions(self, strips: Sequence[Strip], skeleton: Skeleton, step: int) -> None:
        """Shows motions with what is said of them, as `val/motions`."""

    @abstractmethod
    def show_heat_map(self, picture: Pixels, step: int) -> None:
        """Shows a picture of scores, as `val/heat_map`."""

    @abstractmethod
    def show_config(self, config: str) -> None:
        """Shows the run's whole config, given as YAML."""

    def callbacks(self) -> list[Callback]:
        """What else the fit must do for this dashboard."""
        return []

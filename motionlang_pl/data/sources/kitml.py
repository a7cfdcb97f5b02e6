"""KIT-ML as Guo et al. (2022) released it: HumanML3D's folder layout with 21 joints, 251 columns and 12.5 fps.

Positions are millimetres of MMM's reference body, which is about a metre high whoever moved (Terlemez 2014); a store's
joints are metres. The 251 columns stay as released, in millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from motionlang_pl.data.sources import humanml3d
from motionlang_pl.data.sources.humanml3d import Layout
from motionlang_pl.data.sources.raw import Source
from motionlang_pl.motion.humanml3d import KITML
from motionlang_pl.motion.skeleton import MMM21

LAYOUT = Layout(KITML, MMM21)


def source(raw: Path, splits: Path | None, features: Sequence[str], index: Path | None = None) -> Source:
    """A folder of KIT-ML; arguments and errors are those of `humanml3d.source`."""
    return humanml3d.source(raw, splits, features, index, LAYOUT)

"""Annotation sets over AMASS: they name recordings and seconds; the motion comes from a prepared store of AMASS.

HumanML3D's own processing of a stretch of it is here too (Guo et al. 2022, sec. 4): one body, floor, origin, facing +z.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.data.origins import other_names
from motionlang_pl.data.sources.computed import frames_of, require_motion
from motionlang_pl.data.sources.raw import BadInput, Source
from motionlang_pl.data.store import Store
from motionlang_pl.data.writer import Skip
from motionlang_pl.motion.features import canonical
from motionlang_pl.motion.mirror import mirror_columns
from motionlang_pl.motion.resample import positions_at
from motionlang_pl.motion.retarget import retarget
from motionlang_pl.motion.skeleton import SMPL22

TOLERANCE = 0.25  # seconds by which annotations and recording may differ in length, as TMR's unification of sets allows
SHOWN = 20


class Stretch(NamedTuple):
    """A part of a recording. amass: the store.  clip: its number there.  start, end: seconds."""

    amass: Path
    clip: int
    start: float
    end: float


class Recordings:
    """The recordings of a store of AMASS, by origin.

    Raises:
        FileNotFoundError, ValueError: no store, or not one that `prepare amass` made.
    """

    def __init__(self, amass: Path) -> None:
        if not amass.is_dir():
            raise FileNotFoundError(
                f"{amass}: no such store; `motionlang prepare amass --raw DIR --out {amass}` makes it of the downloads"
            )
        self.amass = amass
        self.store = Store.open(amass)
        if self.store.meta["source"] != "amass":
            raise ValueError(
                f"{amass}: a store of {self.store.meta['source']}; --amass is one of whole recordings, as "
                "`motionlang prepare amass` makes it"
            )
        self.clip = {origin: clip for clip, origin in enumerate(self.store.clips.origin)}

    def seconds(self, origin: str) -> float:
        """Length of a recording."""
        return float(self.store.clips.rows[self.clip[origin]]) / self.store.fps

    def source_fps(self, origin: str) -> float:
        """Frame rate of a recording's file."""
        return float(self.store.clips.source_fps[self.clip[origin]])

    def stretch(self, origin: str, start: float = 0.0, end: float = math.inf) -> Stretch:
        """A part of a recording; all of it where nothing is said."""
        return Stretch(self.amass, self.clip[origin], start, min(end, self.seconds(origin)))

    def missing(self, wanted: Mapping[str, str]) -> list[Skip]:
        """What the store lacks of the origins `wanted` by id: whole data sets, each once, then other recordings."""
        have = {"", *(origin.split("/")[0] for origin in self.clip)}  # an empty origin names no data set
        lost = {name: origin for name, origin in wanted.items() if origin not in self.clip}
        sets = Counter(origin.split("/")[0] for origin in lost.values())
        skips = []
        for name in sorted(sets.keys() - have):
            also = f" ({' or '.join(other_names(name))})" if other_names(name) else ""
            skips.append(
                Skip(name, f"AMASS's data set {name}{also} is not in the store, and {sets[name]} clips need it")
            )
        return skips + [
            Skip(name, f"the recording {origin} is not in the AMASS store" if origin else "names no recording")
            for name, origin in lost.items()
            if origin.split("/")[0] in have
        ]


def complete(source: Source, allow_skips: bool) -> Source:
    """The source, unless something of it is known to be missing before any work and that was not allowed.

    Raises:
        ValueError: it is not complete; what is missing stands on stderr.
    """
    if source.skips and not allow_skips:
        for skip in source.skips[:SHOWN]:
            print(f"missing {skip.file}: {skip.reason}", file=sys.stderr)
        if len(source.skips) > SHOWN:
            print(f"... and {len(source.skips) - SHOWN} more", file=sys.stderr)
        raise ValueError(
            f"{source.raw}: {len(source.skips)} of the inputs are missing (listed above, first {source.skips[0].file}: "
            f"{source.skips[0].reason}); nothing was read yet. Add them and prepare the AMASS store again, or build "
            "without them by --allow-skips"
        )
    return source


def note(place: Path, counts: Mapping[str, int]) -> None:
    """Says on stderr what was left out or changed on purpose, and how often."""
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    if said:
        print(f"{place}: {said}", file=sys.stderr)


def clipped(start: float, end: float, seconds: float, fps: float) -> tuple[float, float] | None:
    """A span within a recording of some seconds; None where a frame of it or less is left, which may hold no row."""
    start, end = max(start, 0.0), min(end, seconds)
    return (start, end) if (end - start) * fps > 1 else None


def read_rows(stretch: Stretch, kind: str) -> NDArray[np.float32]:
    """All rows (T, C) of the recording, as the store of AMASS has them."""
    store = _open(stretch.amass)
    return store.read(kind, stretch.clip, 0, int(store.clips.rows[stretch.clip]))


def read_joints(stretch: Stretch, fps: float) -> Tensor:
    """The joints (T, 22, 3) float32 of a stretch at a frame rate, interpolated where it is not the store's."""
    store = _open(stretch.amass)
    last = int(store.clips.rows[stretch.clip]) - 1
    frames = math.ceil((stretch.end - stretch.start) * fps - 1e-3)  # frame rates such as 59.99999 are meant as 60
    places = (stretch.start + torch.arange(max(frames, 0), dtype=torch.float64) / fps) * store.fps
    places = places[places <= last + 1e-6]
    if not len(places):
        return torch.zeros(0, len(SMPL22.joints), 3)
    first = int(places[0] + 1e-6)
    rows = store.read("joints", stretch.clip, first, min(int(places[-1]) + 2, last + 1))
    return positions_at(torch.from_numpy(rows).reshape(len(rows), -1, 3), places - first)


def standard_frames(
    joints: Tensor, mirrored: bool, features: Sequence[str], fps: float, file: Path
) -> dict[str, NDArray[np.float32]]:
    """HumanML3D's processing of joints (T, 22, 3): mirrored or not, its one body, floor, origin, facing +z; then kinds.

    file: what BadInput names where that is not possible.
    """
    require_motion(joints, fps, file)
    joints = joints.double()
    if mirrored:
        mirror = mirror_columns("joints", SMPL22)
        joints = (joints.flatten(1)[:, mirror.source] * mirror.sign).reshape(joints.shape)
    try:
        joints = canonical(retarget(joints, SMPL22))
    except ValueError as error:
        raise BadInput(file, str(error)) from error
    return frames_of(joints.float(), features, SMPL22, fps, file)


def are_numbers(*values: object) -> bool:
    """Whether all of some JSON values are finite numbers."""
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


@lru_cache(maxsize=2)
def _open(amass: Path) -> Store:
    """The store, opened once in a process."""
    return Store.open(amass)

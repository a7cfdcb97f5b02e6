"""The ways in which the field's papers turn text lines into samples: three different test sets of the same folders.

`Every` is ours; `Guo` (text-to-motion, Guo et al. 2022), `TMR` (Petrovich 2023) and `MoPatch` (MotionPatches, Yu 2024)
keep those papers' rules, so that numbers can stand beside theirs. All randomness is keyed by (seed, epoch, sample).
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from motionlang_pl.data.keys import draw

UNIT = 4  # frames; motions of Guo et al. are multiples of it
LONGEST = 200  # frames; those of at least as many are no samples of Guo et al.
SHORTEST = {"smpl22": 40, "mmm21": 24}  # frames; shorter ones are no samples of Guo et al.
TAGS_FPS = 20.0  # Guo's loader multiplies the seconds of a sub-segment by 20, KIT-ML's too
SECONDS = (2.0, 10.0)  # TMR's limits of training and validation


class Lines(NamedTuple):
    """The captioned lines of a split, n of them in the store's order.

    clip: (n,) the clip's number.  start, stop: (n,) its first row and the one after the last.  seconds: (n,) its length
    as annotated.  whole: (n,) bool, whether it tells about the whole clip.  frames: (n,) rows of the clip.  text: n.
    skeleton: the store's.
    """

    clip: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    seconds: NDArray[np.float64]
    whole: NDArray[np.bool_]
    frames: NDArray[np.int64]
    text: list[str]
    skeleton: str


class Loader(ABC):
    """What is a sample, which of its lines is read, and which of its rows. longest: rows of a sample at most."""

    longest: int = sys.maxsize

    @property
    def name(self) -> str:
        """What reports call it."""
        return type(self).__name__

    def row(self, seconds: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
        """The row at which a tag points, which may be beyond the clip. (n,) seconds; returns (n,) whole numbers."""
        row: NDArray[np.float64] = np.floor(seconds * fps)
        return row

    @abstractmethod
    def samples(self, lines: Lines, split: str) -> list[list[int]]:
        """The samples of a split, each as the numbers of the lines that one of is read at a time."""

    def choose(self, count: int, key: int, training: bool) -> int:
        """Which of a sample's lines is read: in training any, else the first."""
        return draw(key, "caption", count) if training else 0

    def crop(self, start: int, stop: int, key: int, training: bool) -> tuple[int, int]:
        """The rows that are read of a stretch: where it is too long, in training any `longest`, else the first."""
        spare = stop - start - self.longest
        if spare <= 0:
            return start, stop
        start += draw(key, "loader's crop", spare + 1) if training else 0
        return start, start + self.longest


class Every(Loader):
    """Every distinct stretch that has a caption, with all its distinct captions."""

    def row(self, seconds: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
        """The nearest row."""
        row: NDArray[np.float64] = np.rint(seconds * fps)
        return row

    def samples(self, lines: Lines, split: str) -> list[list[int]]:
        """One sample per stretch."""
        found: dict[tuple[int, int, int], dict[str, int]] = {}
        stretches = zip(lines.clip.tolist(), lines.start.tolist(), lines.stop.tolist(), strict=True)
        for line, stretch in enumerate(stretches):
            found.setdefault(stretch, {}).setdefault(lines.text[line], line)
        return [list(captions.values()) for captions in found.values()]


class Guo(Loader):
    """Guo et al. 2022, for generation, R-precision and captioning.

    Clips of at least 40 frames (KIT-ML 24) and less than 200, with the lines about the whole; and each of their lines
    about a part, of the same lengths. Any caption and a random crop to a multiple of four frames, every third time four
    less, in evaluation too: repeat it with other seeds.
    """

    def row(self, seconds: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
        """The row at 20 fps, whatever the store's rate is."""
        return super().row(seconds, TAGS_FPS)

    def samples(self, lines: Lines, split: str) -> list[list[int]]:
        """One sample per clip, and one per line about a part."""
        found: dict[tuple[int, int], list[int]] = {}
        for line in np.flatnonzero(self._fits(lines.frames, lines) & self._fits(lines.stop - lines.start, lines)):
            part = -1 if lines.whole[line] else int(line)
            found.setdefault((int(lines.clip[line]), part), []).append(int(line))
        return list(found.values())

    def choose(self, count: int, key: int, training: bool) -> int:
        """Any, always."""
        return draw(key, "caption", count)

    def crop(self, start: int, stop: int, key: int, training: bool) -> tuple[int, int]:
        """A random stretch of as many units as fit, every third time one less."""
        units = (stop - start) // UNIT - (draw(key, "drop a unit", 3) == 0)
        start += draw(key, "loader's crop", stop - start - units * UNIT + 1)
        return start, start + units * UNIT

    @staticmethod
    def _fits(frames: NDArray[np.int64], lines: Lines) -> NDArray[np.bool_]:
        return (SHORTEST[lines.skeleton] <= frames) & (frames < LONGEST)


class TMR(Loader):
    """Petrovich 2023: one sample per clip, of one of its lines and the stretch that this is about; no crop.

    Lines of 2 to 10 seconds, but any in splits whose name holds `test`.
    """

    def samples(self, lines: Lines, split: str) -> list[list[int]]:
        """One sample per clip."""
        fits = (lines.seconds >= SECONDS[0]) & (lines.seconds <= SECONDS[1]) | ("test" in split)
        found: dict[int, list[int]] = {}
        for line in np.flatnonzero(fits).tolist():
            found.setdefault(int(lines.clip[line]), []).append(line)
        return list(found.values())


class MoPatch(Loader):
    """MotionPatches (Yu 2024), and papers that use its loader: one sample per clip, of its first line alone.

    Where that line is about a part, the part is the sample. 224 frames at most: any in training, else the first.
    """

    longest = 224

    def samples(self, lines: Lines, split: str) -> list[list[int]]:
        """One sample per clip."""
        found: dict[int, list[int]] = {}
        for line, clip in enumerate(lines.clip.tolist()):
            found.setdefault(clip, [line])
        return list(found.values())


def by_name(name: str) -> Loader:
    """The loader of that name; ValueError lists the names."""
    known: dict[str, type[Loader]] = {each.__name__: each for each in (Every, Guo, TMR, MoPatch)}
    if name not in known:
        raise ValueError(f"{name!r} is no known loader; choose one of {', '.join(known)}")
    return known[name]()

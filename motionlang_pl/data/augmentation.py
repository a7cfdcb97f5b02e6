"""Augmentation of training samples: the left-right twin of motion and words, another speed, noise.

All of it is drawn from the sample's key, so a resumed run and any number of processes draw the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from motionlang_pl.data.keys import generator, share
from motionlang_pl.data.words import mirror_words
from motionlang_pl.motion.mirror import mirror_columns
from motionlang_pl.motion.skeleton import skeleton
from motionlang_pl.motion.speed import change_speed

FASTEST = 0.5  # beyond it, half or double the speed, words such as "slowly" are no longer true


@dataclass(frozen=True)
class Augmentation:
    """How training samples are varied, anew in every epoch; evaluation never is.

    Args:
        mirror: Share of samples that are read as their left-right twin, motion and words; 0.5 is usual, but 0 where the
            store holds mirrored clips (HumanML3D's M...), unless the data's `mirrored` leaves them out.
        speed: Motions are read at a rate drawn from 1 - speed to 1 + speed; 0.5 at most.
        noise: Gaussian noise on the columns, in standard deviations of the training split.
    """

    mirror: float = 0.0
    speed: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        limits = {"mirror": 1.0, "speed": FASTEST, "noise": math.inf}
        for name, most in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                top = "" if most == math.inf else f" and at most {most:g}"
                raise ValueError(f"--data.augmentation.{name} {value:g}: it must be at least 0{top}")

    def rate(self, sample_key: int) -> float:
        """How many times as fast a sample's motion is read."""
        return 1.0 if self.speed == 0 else 1.0 + self.speed * (2 * share(sample_key, "speed") - 1)

    def words(self, text: str, sample_key: int) -> str:
        """A sample's sentence, mirrored where its motion is."""
        return mirror_words(text) if self._twin(sample_key) else text

    def motion(
        self, rows: NDArray[np.float32], sample_key: int, kind: str, body: str, deviation: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """A sample's rows (T, C) of a kind and skeleton, at its rate (T' rows), mirrored, with noise.

        deviation: (C,), of a column; only noise needs it.
        """
        rate = self.rate(sample_key)
        if rate != 1:
            rows = change_speed(kind, torch.from_numpy(rows), rate, skeleton(body)).numpy()
        if self._twin(sample_key):
            source, sign = _mirror(kind, body)
            rows = rows[:, source] * sign
        if self.noise and deviation is not None:
            drawn = generator(sample_key, "noise").standard_normal(rows.shape, dtype=np.float32)
            rows = rows + np.float32(self.noise) * deviation * drawn
        return rows

    def _twin(self, sample_key: int) -> bool:
        return self.mirror > 0 and share(sample_key, "mirror") < self.mirror


OFF = Augmentation()


@cache
def _mirror(kind: str, body: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    source, sign = mirror_columns(kind, skeleton(body))
    return source.numpy(), sign.numpy()

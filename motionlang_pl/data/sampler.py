"""Batch samplers: global batches that do not depend on the number of processes, of samples of similar length.

They yield (sample, epoch) pairs, so that datasets keep no state and randomness is keyed by (seed, epoch, sample).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

MEGA_BATCH = 50  # batches within which samples are sorted by length
EMPTY = -1  # number of the sample without frames and words
Item = tuple[int, int]


class Share(NamedTuple):
    """How many of a group's samples an epoch draws; more than it has go round again."""

    samples: int
    draws: int


class BucketBatchSampler(Sampler[list[Item]]):
    """Training batches: shuffled, bucketed by length, the remainder left out.

    Samples are shuffled by (seed, epoch), sorted by length within every 50 batches, and the batches shuffled. Rank r of
    `world` takes every `world`-th sample of a global batch, from the r-th on, so all ranks have as many.

    Args:
        lengths: (n,) lengths of the samples.
        batch_size: Samples of a global batch; a multiple of `world`. Where there are fewer samples, one batch holds as
            many of them as every rank can have alike.
        seed: Of the order.
        rank: This process's number.
        world: Number of processes.
        shares: Of groups of samples, in their order, where an epoch is not every sample once. A sample that is drawn
            again in its epoch, for the k-th time, is numbered k * n higher, so that its key is another.

    Attributes:
        epoch: Set by `set_epoch`.
        start: Number of the epoch's batches to leave out, for a resume within it; 0 again in another epoch.

    Raises:
        ValueError: `batch_size` is no multiple of `world`, or there are fewer samples than processes.
    """

    def __init__(
        self,
        lengths: NDArray[np.integer],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        shares: Sequence[Share] | None = None,
    ) -> None:
        self.shares = [Share(len(lengths), len(lengths))] if shares is None else list(shares)
        self.draws = sum(share.draws for share in self.shares)
        _check(self.draws, batch_size, world)
        self.lengths = np.asarray(lengths)
        self.batch_size = min(batch_size, self.draws // world * world)
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        return self.draws // self.batch_size

    @property
    def sampler(self) -> Self:
        """Itself: where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration yields."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def batches(self, epoch: int) -> NDArray[np.int64]:
        """All global batches (n, batch_size) of an epoch, as numbers of samples."""
        random = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        order = self._order(random)[: len(self) * self.batch_size]
        mega = MEGA_BATCH * self.batch_size
        blocks = [order[first : first + mega] for first in range(0, len(order), mega)]
        lengths = [self.lengths[block % len(self.lengths)] for block in blocks]
        order = np.concatenate(
            [block[np.argsort(of, kind="stable")] for block, of in zip(blocks, lengths, strict=True)]
        )
        return random.permutation(order.reshape(-1, self.batch_size))

    def _order(self, random: np.random.Generator) -> NDArray[np.int64]:
        """The samples that an epoch draws, shuffled."""
        drawn, first = [], 0
        for samples, draws in self.shares:
            rounds = range(-(-draws // samples) if draws else 0)
            again = [random.permutation(samples) + first + number * len(self.lengths) for number in rounds]
            drawn += [np.concatenate(again)[:draws]] if again else []
            first += samples
        return drawn[0] if len(drawn) == 1 else random.permutation(np.concatenate(drawn))

    def __iter__(self) -> Iterator[list[Item]]:
        epoch = self.epoch
        for batch in self.batches(epoch)[self.start :]:
            yield [(sample, epoch) for sample in batch[self.rank :: self.world].tolist()]


class EvaluationBatchSampler(Sampler[list[Item]]):
    """Every sample once, in order of length, in epoch 0; all ranks get equally many batches and no empty one.

    Where the last batch does not divide by `world`, it is filled with the empty sample: masked losses see nothing in
    it, metrics drop it, so the results are those of one process.
    Arguments and errors are those of `BucketBatchSampler`, but any number of samples of at least one will do.
    """

    def __init__(self, lengths: NDArray[np.integer], batch_size: int, rank: int = 0, world: int = 1) -> None:
        _check(max(len(lengths), world), batch_size, world)
        self.lengths = np.asarray(lengths)
        self.batch_size, self.rank, self.world = batch_size, rank, world

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[Item]]:
        order = np.argsort(self.lengths, kind="stable")
        missing = -len(order) % self.world
        order = np.concatenate([order, np.full(missing, EMPTY)])
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            yield [(sample, 0) for sample in batch[self.rank :: self.world].tolist()]


def _check(samples: int, batch_size: int, world: int) -> None:
    if batch_size < 1 or batch_size % world:
        raise ValueError(
            f"batch_size {batch_size} does not divide by {world} processes; it is the size of a global batch: "
            f"set --data.batch_size to a multiple of {world}"
        )
    if samples < world:
        raise ValueError(f"{samples} samples are too few for {world} processes; use fewer processes or more data")

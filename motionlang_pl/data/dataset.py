"""Samples of a store's split: motions, sentences, or pairs; indexed by (sample, epoch), so they keep no state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from motionlang_pl.data.batch import Batch, Motion
from motionlang_pl.data.keys import draw, key, text_key
from motionlang_pl.data.sampler import EMPTY, Item
from motionlang_pl.data.store import Store


class Sample(NamedTuple):
    """One sample; the fields are those of `Batch`, features (T, C)."""

    sample: int
    key: int
    sentence: int
    features: NDArray[np.float32] | None
    caption: str | None


class Reading(NamedTuple):
    """How samples are read.

    kind: the feature kind.  seed: of all randomness.  max_frames: longest stretch of a training motion.
    training: whether motions are cropped and captions drawn at random; else motions are whole, with the first caption.
    """

    kind: str
    seed: int
    max_frames: int
    training: bool


class Samples(Protocol):
    """What the three datasets below have in common. lengths: (n,), for batches of similar length."""

    lengths: NDArray[np.int64]

    def __len__(self) -> int: ...

    def __getitem__(self, item: Item) -> Sample: ...


class _Spans:
    """Stretches of clips as numbers of rows, and how they are read."""

    def __init__(
        self, store: Store, reading: Reading, clip: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> None:
        self.store, self.reading = store, reading
        self.clip, self.start, self.stop = clip, start, stop

    @property
    def lengths(self) -> NDArray[np.int64]:
        lengths = self.stop - self.start
        return np.minimum(lengths, self.reading.max_frames) if self.reading.training else lengths

    def read(self, sample: int, sample_key: int) -> NDArray[np.float32]:
        if sample == EMPTY:
            return np.zeros((0, self.store.frames(self.reading.kind).shape[1]), dtype=np.float32)
        start, stop = int(self.start[sample]), int(self.stop[sample])
        if self.reading.training and stop - start > self.reading.max_frames:
            start += draw(sample_key, "crop", stop - start - self.reading.max_frames + 1)
            stop = start + self.reading.max_frames
        return self.store.read(self.reading.kind, int(self.clip[sample]), start, stop)


class MotionSamples(Dataset[Sample]):
    """Motions of a split: every clip once, or its windows where annotations without a sentence mark windows.

    Spans of sentences within a clip are not samples of their own: the clip is read anyway. `clip`, `start` and
    `stop` (n,) say which rows each sample is.
    """

    def __init__(self, store: Store, split: str, reading: Reading) -> None:
        table = store.annotations
        rows = table.rows(split)
        rows = rows[table.clip[rows] >= 0]
        windows = rows[table.text.empty[rows]]
        whole = np.setdiff1d(table.clip[rows], table.clip[windows])
        clip = np.concatenate([table.clip[windows], whole])
        start, stop = store.span_rows(
            reading.kind,
            clip,
            np.concatenate([table.start[windows], np.zeros(len(whole))]),
            np.concatenate([table.end[windows], np.full(len(whole), np.inf)]),
        )
        spans = np.unique(np.stack([clip, start, stop], axis=1)[stop > start], axis=0)
        self._spans = _Spans(store, reading, spans[:, 0], spans[:, 1], spans[:, 2])
        self.clip, self.start, self.stop = self._spans.clip, self._spans.start, self._spans.stop
        self.lengths = self._spans.lengths

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, item: Item) -> Sample:
        sample, epoch = item
        sample_key = key(self._spans.reading.seed, epoch, sample)
        return Sample(sample, sample_key, sample, self._spans.read(sample, sample_key), None)


class TextSamples(Dataset[Sample]):
    """Distinct sentences of a split, with or without motion, in the store's order."""

    def __init__(self, store: Store, split: str, reading: Reading) -> None:
        table = store.annotations
        rows = table.rows(split)
        texts = (table.text[row] for row in rows[~table.text.empty[rows]].tolist())
        self.captions = list(dict.fromkeys(texts))
        self.lengths = np.array([len(caption.split()) for caption in self.captions], dtype=np.int64)
        self._seed = reading.seed

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, item: Item) -> Sample:
        sample, epoch = item
        caption = "" if sample == EMPTY else self.captions[sample]
        return Sample(sample, key(self._seed, epoch, sample), text_key(caption), None, caption)


class PairSamples(Dataset[Sample]):
    """Captioned stretches of clips of a split: one sample per distinct stretch, with all its captions.

    `clip`, `start` and `stop` (n,) say which rows each sample is, `captions` (n lists) what is said of it.
    """

    def __init__(self, store: Store, split: str, reading: Reading) -> None:
        table = store.annotations
        rows = table.rows(split)
        rows = rows[(table.clip[rows] >= 0) & ~table.text.empty[rows]]
        start, stop = store.span_rows(reading.kind, table.clip[rows], table.start[rows], table.end[rows])
        captions: dict[tuple[int, int, int], list[str]] = {}
        for clip, a, b, row in zip(
            table.clip[rows].tolist(), start.tolist(), stop.tolist(), rows.tolist(), strict=True
        ):
            if b > a:
                captions.setdefault((clip, a, b), []).append(table.text[row])
        spans = np.array(list(captions), dtype=np.int64).reshape(-1, 3)
        self._spans = _Spans(store, reading, spans[:, 0], spans[:, 1], spans[:, 2])
        self.clip, self.start, self.stop = self._spans.clip, self._spans.start, self._spans.stop
        self.captions = [list(dict.fromkeys(texts)) for texts in captions.values()]
        self.lengths = self._spans.lengths

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, item: Item) -> Sample:
        sample, epoch = item
        sample_key = key(self._spans.reading.seed, epoch, sample)
        captions = [""] if sample == EMPTY else self.captions[sample]
        choice = draw(sample_key, "caption", len(captions)) if self._spans.reading.training else 0
        features = self._spans.read(sample, sample_key)
        return Sample(sample, sample_key, text_key(captions[0]), features, captions[choice])


def collate(samples: Sequence[Sample]) -> Batch:
    """Pads samples of one dataset to the longest of them."""
    return Batch(
        sample=torch.tensor([s.sample for s in samples], dtype=torch.int64),
        key=torch.tensor([s.key for s in samples], dtype=torch.int64),
        sentence=torch.tensor([s.sentence for s in samples], dtype=torch.int64),
        motion=_pad([s.features for s in samples if s.features is not None]),
        captions=[s.caption for s in samples if s.caption is not None] or None,
    )


def _pad(features: list[NDArray[np.float32]]) -> Motion | None:
    if not features:
        return None
    lengths = torch.tensor([len(rows) for rows in features])
    padded = torch.zeros(len(features), int(lengths.max()), features[0].shape[1])
    for place, rows in enumerate(features):
        padded[place, : len(rows)] = torch.from_numpy(rows)
    return Motion(padded, torch.arange(padded.shape[1]) < lengths[:, None])

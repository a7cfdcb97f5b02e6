"""Samples of a store's split: motions, sentences, or pairs; indexed by (sample, epoch), so they keep no state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from motionlang_pl.data.augmentation import OFF, Augmentation
from motionlang_pl.data.batch import Batch, Motion
from motionlang_pl.data.keys import draw, key, text_key
from motionlang_pl.data.loaders import Every, Lines, Loader
from motionlang_pl.data.overlap import without
from motionlang_pl.data.sampler import EMPTY, Item
from motionlang_pl.data.store import Store
from motionlang_pl.motion.features import joints_from
from motionlang_pl.motion.skeleton import skeleton


class Sample(NamedTuple):
    """One sample; the fields are those of `Batch` of the same names, features (T, C)."""

    sample: int
    key: int
    sentence: int
    features: NDArray[np.float32] | None
    caption: str | None


class Reading(NamedTuple):
    """How samples are read.

    kind: the feature kind.  seed: of all randomness.  max_frames: longest stretch of a training motion.
    training: whether motions are cropped and captions drawn at random; else motions are whole, with the first caption.
    mirrored: whether mirrored clips are read.  loader: what a sample of motion with a sentence is.
    held_out: origins of recordings whose clips are not read.  augmentation: how samples are varied.  deviation: (C,) of
    the columns, which its noise is measured in.
    """

    kind: str
    seed: int
    max_frames: int
    training: bool
    mirrored: bool = True
    loader: Loader = Every()
    held_out: frozenset[str] = frozenset()
    augmentation: Augmentation = OFF
    deviation: NDArray[np.float32] | None = None


class Samples(Protocol):
    """What the three datasets below have in common. lengths: (n,), for batches of similar length."""

    lengths: NDArray[np.int64]

    def __len__(self) -> int: ...

    def __getitem__(self, item: Item) -> Sample: ...

    def at(self, sample: int, sample_key: int) -> Sample:
        """The sample of that number, with all that is drawn of it drawn from the key."""
        ...


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
        return self.stretch(int(self.clip[sample]), int(self.start[sample]), int(self.stop[sample]), sample_key)

    def stretch(self, clip: int, start: int, stop: int, sample_key: int) -> NDArray[np.float32]:
        kind, longest, augmentation = self.reading.kind, self.reading.max_frames, self.reading.augmentation
        needed = math.ceil((longest - 1) * augmentation.rate(sample_key)) + 1  # rows that give `longest` at that rate
        if self.reading.training and stop - start > needed:
            start += draw(sample_key, "crop", stop - start - needed + 1)
            stop = start + needed
        rows = self.store.read(kind, clip, start, stop)
        rows = augmentation.motion(rows, sample_key, kind, self.store.skeleton, self.reading.deviation)
        return rows[:longest] if self.reading.training else rows


class _Keyed(Dataset[Sample]):
    """Samples that are read by their number and their key."""

    _seed: int

    def __getitem__(self, item: Item) -> Sample:
        sample, epoch = item
        return self.at(sample, key(self._seed, epoch, sample))

    def at(self, sample: int, sample_key: int) -> Sample:
        """See `Samples`."""
        raise NotImplementedError


class MotionSamples(_Keyed):
    """Motions of a split: every clip once, or its windows where annotations without a sentence mark windows.

    Spans of sentences within a clip are not samples of their own: the clip is read anyway. `clip`, `start` and
    `stop` (n,) say which rows each sample is.
    """

    def __init__(self, store: Store, split: str, reading: Reading) -> None:
        table = store.annotations
        rows = _rows(store, split, reading)
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
        self._seed = reading.seed
        self._spans = _Spans(store, reading, spans[:, 0], spans[:, 1], spans[:, 2])
        self.clip, self.start, self.stop = self._spans.clip, self._spans.start, self._spans.stop
        self.lengths = self._spans.lengths

    def __len__(self) -> int:
        return len(self.clip)

    def at(self, sample: int, sample_key: int) -> Sample:
        """See `_Keyed`."""
        return Sample(sample, sample_key, sample, self._spans.read(sample, sample_key), None)


class TextSamples(_Keyed):
    """Distinct sentences of a split, with or without motion, in the store's order."""

    def __init__(self, store: Store, split: str, reading: Reading) -> None:
        table = store.annotations
        rows = _rows(store, split, reading)
        texts = (table.text[row] for row in rows[~table.text.empty[rows]].tolist())
        self.captions = [[text] for text in dict.fromkeys(texts)]
        self.lengths = np.array([len(caption.split()) for (caption,) in self.captions], dtype=np.int64)
        self._seed, self._augmentation = reading.seed, reading.augmentation

    def __len__(self) -> int:
        return len(self.captions)

    def at(self, sample: int, sample_key: int) -> Sample:
        """See `_Keyed`."""
        caption = "" if sample == EMPTY else self._augmentation.words(self.captions[sample][0], sample_key)
        return Sample(sample, sample_key, text_key(caption), None, caption)


class PairSamples(_Keyed):
    """Stretches of clips of a split with their sentences, as the reading's loader makes samples of them.

    `clip`, `start` and `stop` (n,) say which rows each sample is, `captions` (n lists) what is said of it. Where a
    loader puts several stretches of a clip into one sample, these are the first's.
    """

    def __init__(self, store: Store, split: str, reading: Reading) -> None:
        self._seed = reading.seed
        rows, lines = _lines(store, split, reading)
        samples = reading.loader.samples(lines, split)
        order = np.array([line for sample in samples for line in sample], dtype=np.int64)
        self._first = np.cumsum([0, *(len(sample) for sample in samples)])
        self._rows, self._start, self._stop = rows[order], lines.start[order], lines.stop[order]
        first = self._first[:-1]
        self._spans = _Spans(store, reading, lines.clip[order][first], self._start[first], self._stop[first])
        self.clip, self.start, self.stop = self._spans.clip, self._spans.start, self._spans.stop
        self.captions = [[lines.text[line] for line in sample] for sample in samples]
        self.lengths = np.minimum(self._spans.lengths, reading.loader.longest)

    def __len__(self) -> int:
        return len(self.clip)

    def at(self, sample: int, sample_key: int) -> Sample:
        """See `_Keyed`."""
        reading = self._spans.reading
        if sample == EMPTY:
            return Sample(sample, sample_key, text_key(""), self._spans.read(sample, sample_key), "")
        captions = self.captions[sample]
        choice = reading.loader.choose(len(captions), sample_key, reading.training)
        line = self._first[sample] + choice
        start, stop = int(self._start[line]), int(self._stop[line])
        start, stop = reading.loader.crop(start, stop, sample_key, reading.training)
        features = self._spans.stretch(int(self.clip[sample]), start, stop, sample_key)[: reading.loader.longest]
        named, said = (
            reading.augmentation.words(captions[place], sample_key)
            for place in (0 if reading.training else choice, choice)
        )
        return Sample(sample, sample_key, text_key(named), features, said)

    def sample_id(self, sample: int) -> str:
        """The clip's id; where the sample is a part of the clip, CLIP_FROM_TO with the annotation's seconds."""
        store, row = self._spans.store, int(self._rows[self._first[sample]])
        name = store.clips.ids[int(self.clip[sample])]
        start, end = float(store.annotations.start[row]), float(store.annotations.end[row])
        whole = _whole(store, np.array([row]))[0]
        return name if whole else f"{name}_{start:g}_{end:g}"


def joints(store: Store, kind: str, samples: PairSamples | MotionSamples, number: int) -> Tensor:
    """Joints (T, J, 3) of a sample: the store's own where it keeps them, else from the features of that kind."""
    kind = "joints" if "joints" in store.kinds else kind
    start, stop = int(samples.start[number]), int(samples.stop[number])
    rows = torch.from_numpy(store.read(kind, int(samples.clip[number]), start, stop))
    return joints_from(kind, rows, skeleton(store.skeleton))


def _rows(store: Store, split: str, reading: Reading) -> NDArray[np.int64]:
    """The numbers of a split's annotations that are read."""
    rows = without(store, store.annotations.rows(split), reading.held_out)
    if reading.mirrored or not len(store.clips.mirrored):
        return rows
    clip = store.annotations.clip[rows]
    return rows[(clip < 0) | ~store.clips.mirrored[clip]]


def _lines(store: Store, split: str, reading: Reading) -> tuple[NDArray[np.int64], Lines]:
    """The annotations of a split that a loader chooses from, and their numbers."""
    table = store.annotations
    rows = _rows(store, split, reading)
    rows = rows[(table.clip[rows] >= 0) & ~table.text.empty[rows]]
    clip, whole = table.clip[rows], _whole(store, rows)
    last = store.valid_rows(reading.kind)[clip]
    start, stop = (
        np.clip(reading.loader.row(seconds[rows], store.fps), 0, last).astype(np.int64)
        for seconds in (table.start, table.end)
    )
    start, stop = np.where(whole, 0, start), np.where(whole, last, stop)
    some = stop > start
    text = [table.text[row] for row in rows[some].tolist()]
    seconds = table.end[rows] - table.start[rows]
    lines = Lines(clip[some], start[some], stop[some], seconds[some], whole[some], last[some], text, store.skeleton)
    return rows[some], lines


def _whole(store: Store, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether annotations are about whole clips."""
    table = store.annotations
    seconds = store.clips.rows[table.clip[rows]] / store.fps
    whole: NDArray[np.bool_] = (table.start[rows] <= 0) & (table.end[rows] >= seconds - 1e-6)
    return whole


def collate(samples: Sequence[Sample]) -> Batch:
    """Pads samples of one dataset to the longest of them."""
    return Batch(
        sample=torch.tensor([s.sample for s in samples], dtype=torch.int64),
        key=torch.tensor([s.key for s in samples], dtype=torch.int64),
        sentence=torch.tensor([s.sentence for s in samples], dtype=torch.int64),
        said=torch.tensor([s.sentence if s.caption is None else text_key(s.caption) for s in samples]),
        motion=_pad([s.features for s in samples if s.features is not None]),
        captions=[s.caption for s in samples if s.caption is not None] or None,
    )


def _pad(features: list[NDArray[np.float32]]) -> Motion | None:
    if not features:
        return None
    lengths = torch.tensor([len(rows) for rows in features])
    padded = torch.zeros(len(features), max(1, int(lengths.max())), features[0].shape[1])  # fillers have no frame
    for place, rows in enumerate(features):
        padded[place, : len(rows)] = torch.from_numpy(rows)
    return Motion(padded, torch.arange(padded.shape[1]) < lengths[:, None])

"""Annotations of a store: spans of clips with their sentences and labels, memory-mapped so that opening is cheap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

ROW = np.dtype([("clip", "<i8"), ("start", "<f8"), ("end", "<f8"), ("split", "<i4")])


class Span(NamedTuple):
    """One annotation of a clip.

    start, end: seconds.  text: the sentence, empty for a motion without one.  tokens: `word/POS` separated by spaces,
    as the source has them.  labels: class names.  split: the name of the split that the annotation belongs to.
    """

    start: float
    end: float
    text: str
    tokens: str
    labels: tuple[str, ...]
    split: str


class TextColumn(Sequence[str]):
    """A column of strings: one blob of UTF-8 and the offsets of its items, both memory-mapped."""

    def __init__(self, folder: Path, name: str) -> None:
        self._bytes = np.load(folder / f"{name}.bytes.npy", mmap_mode="r", allow_pickle=False)
        self._offsets = np.load(folder / f"{name}.offsets.npy", mmap_mode="r", allow_pickle=False)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a column of {len(self)}")
        index %= len(self)
        text: str = self._bytes[self._offsets[index] : self._offsets[index + 1]].tobytes().decode()
        return text

    def __iter__(self) -> Iterator[str]:
        blob = self._bytes.tobytes()
        ends = self._offsets.tolist()
        return (blob[a:b].decode() for a, b in pairwise(ends))

    @property
    def empty(self) -> NDArray[np.bool_]:
        """(n,) bool, which items are empty strings."""
        empty: NDArray[np.bool_] = np.diff(self._offsets) == 0
        return empty

    @staticmethod
    def write(folder: Path, name: str, items: Iterable[str]) -> None:
        """Writes the column's two files."""
        encoded = [item.encode() for item in items]
        offsets = np.zeros(len(encoded) + 1, dtype="<i8")
        np.cumsum([len(item) for item in encoded], out=offsets[1:])
        np.save(folder / f"{name}.bytes.npy", np.frombuffer(b"".join(encoded), dtype=np.uint8), allow_pickle=False)
        np.save(folder / f"{name}.offsets.npy", offsets, allow_pickle=False)


class Annotations:
    """All annotations of a store, as columns of n rows.

    clip: (n,) int64, the clip's number, -1 for a sentence without motion.  start, end: (n,) float64 seconds.
    split_number: (n,) int32, place in `splits`.  text, tokens: n strings.  labels: n strings, class names one per line.
    """

    def __init__(self, folder: Path, splits: tuple[str, ...]) -> None:
        rows = np.load(folder / "annotations.npy", mmap_mode="r", allow_pickle=False)
        self.clip: NDArray[np.int64] = rows["clip"]
        self.start: NDArray[np.float64] = rows["start"]
        self.end: NDArray[np.float64] = rows["end"]
        self.split_number: NDArray[np.int32] = rows["split"]
        self.splits = splits
        self.text = TextColumn(folder, "text")
        self.tokens = TextColumn(folder, "tokens")
        self.labels = TextColumn(folder, "labels")

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, index: int) -> Span:
        return Span(
            float(self.start[index]),
            float(self.end[index]),
            self.text[index],
            self.tokens[index],
            tuple(self.labels[index].splitlines()),
            self.splits[self.split_number[index]],
        )

    @property
    def split(self) -> NDArray[np.str_]:
        """(n,) strings, the name of each annotation's split."""
        names: NDArray[np.str_] = np.array(self.splits, dtype=np.str_)
        return names[self.split_number]

    def rows(self, split: str) -> NDArray[np.int64]:
        """The numbers of a split's annotations, ascending; `train+motion` joins two."""
        return np.flatnonzero(np.isin(self.split_number, [self.splits.index(name) for name in split.split("+")]))

    @staticmethod
    def write(folder: Path, splits: tuple[str, ...], clips: Sequence[int], spans: Sequence[Span]) -> None:
        """Writes the annotations' files; `clips` holds each span's clip number."""
        number = {name: place for place, name in enumerate(splits)}
        table = [(c, s.start, s.end, number[s.split]) for c, s in zip(clips, spans, strict=True)]
        np.save(folder / "annotations.npy", np.array(table, dtype=ROW), allow_pickle=False)
        TextColumn.write(folder, "text", (span.text for span in spans))
        TextColumn.write(folder, "tokens", (span.tokens for span in spans))
        TextColumn.write(folder, "labels", ("\n".join(span.labels) for span in spans))

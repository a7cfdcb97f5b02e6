"""The store: motions and sentences on disk, once, immutable; named frame arrays that share one table of clips.

A folder of `meta.json`, `clips.npy`, `frames/KIND.npy`, `statistics/KIND.npy`, the annotations and `tokenizer.json`.
Everything large is memory-mapped, so opening is O(1) and workers and processes share the pages.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motionlang_pl.data.annotations import Annotations, TextColumn

SCHEMA = 2


class Clips(NamedTuple):
    """The clip table.

    ids: n names.  first: (n,) int64, number of the clip's first row.  rows: (n,) int64.  mirrored: (n,) bool, the
    left-right twin of another clip.  source: n file names, relative to the raw folder.  origin: n recordings that the
    clips were cut from (see `origins`), empty where unknown.  source_fps: (n,) float64, frame rates of the files, 0
    where not stated.
    """

    ids: TextColumn
    first: NDArray[np.int64]
    rows: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    source: TextColumn
    origin: TextColumn
    source_fps: NDArray[np.float64]


class Store:
    """An opened store; see `Store.open`. Read-only, and cheap to send to another process (it is opened again there)."""

    def __init__(self, path: Path, meta: dict[str, Any]) -> None:
        self.path = path
        self.meta = meta
        self.fps = float(meta["fps"])
        self.skeleton = str(meta["skeleton"])
        self.kinds: tuple[str, ...] = tuple(meta["kinds"])
        self.splits: tuple[str, ...] = tuple(meta["splits"])
        self.fingerprint = str(meta["fingerprint"])

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """Opens the store in a folder.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: the folder is not a store, or one of another schema version.
        """
        path = Path(path)
        if not path.is_dir():
            raise FileNotFoundError(
                f"{path}: no such store; `motionlang prepare humanml3d --raw DIR --out {path}` builds one"
            )
        if not (path / "meta.json").is_file():
            raise ValueError(
                f"{path}: not a store (it has no meta.json); is it a raw folder? "
                f"`motionlang prepare humanml3d --raw {path} --out STORE` makes a store of one"
            )
        try:
            meta = json.loads((path / "meta.json").read_text())
            schema = meta["schema"]
            if schema == SCHEMA:
                return cls(path, meta)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not a store (its meta.json is not one of ours: {error!r})") from error
        raise ValueError(
            f"{path}: a store of schema version {schema}, this motionlang reads {SCHEMA}; "
            f"build it again with `motionlang prepare ... --out NEW`"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Store.open, (self.path,)

    @cached_property
    def clips(self) -> Clips:
        """The clip table."""
        rows = np.load(self.path / "clips.npy", mmap_mode="r", allow_pickle=False)
        ids, source, origin = (TextColumn(self.path, f"clip_{name}") for name in ("ids", "sources", "origins"))
        return Clips(ids, rows["first"], rows["rows"], rows["mirrored"], source, origin, rows["source_fps"])

    @cached_property
    def annotations(self) -> Annotations:
        """The annotations of the store."""
        return Annotations(self.path, self.splits)

    @cached_property
    def tokenizer(self) -> str | None:
        """A WordPiece of the training captions (tokenizers' JSON); None where there are none."""
        file = self.path / "tokenizer.json"
        return file.read_text() if file.is_file() else None

    @cached_property
    def _frames(self) -> dict[str, NDArray[np.float32]]:
        files = {kind: self.path / "frames" / f"{kind}.npy" for kind in self.kinds}
        return {kind: np.load(file, mmap_mode="r", allow_pickle=False) for kind, file in files.items()}

    def frames(self, kind: str) -> NDArray[np.float32]:
        """Rows (n, C) of a feature kind for all clips, as a read-only memory map; ValueError for a kind it lacks."""
        self.require(kind)
        return self._frames[kind]

    def read(self, kind: str, clip: int, start: int, stop: int) -> NDArray[np.float32]:
        """A copy (stop - start, C) of a clip's rows; IndexError for rows that the clip does not have."""
        if not 0 <= start <= stop <= self.clips.rows[clip]:
            raise IndexError(
                f"{self.path}: clip {self.clips.ids[clip]} has {self.clips.rows[clip]} rows, not {start}:{stop}"
            )
        first = int(self.clips.first[clip])
        return np.array(self.frames(kind)[first + start : first + stop])

    def valid_rows(self, kind: str) -> NDArray[np.int64]:
        """(n,) rows of each clip that hold a value of its own; the last row of a computed kind may be a repetition."""
        self.require(kind)
        return self.clips.rows - int(self.meta["kinds"][kind]["repeated_last_rows"])

    def span_rows(
        self, kind: str, clip: NDArray[np.int64], start: NDArray[np.float64], end: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First row and the row after the last of spans in seconds, relative to their clips and within valid rows."""
        last = self.valid_rows(kind)[clip]
        first, stop = (np.clip(np.rint(seconds * self.fps), 0, last).astype(np.int64) for seconds in (start, end))
        return first, stop

    def statistics(self, kind: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and deviation (C,) of the training split's valid rows; ValueError where it has none."""
        self.require(kind)
        file = self.path / "statistics" / f"{kind}.npy"
        if not file.is_file():
            raise ValueError(f"{self.path}: no statistics of {kind}: the store has no motion in a split named train")
        mean, std = np.load(file, allow_pickle=False)
        return mean, std

    def require(self, kind: str) -> None:
        """Raises ValueError where the store does not hold a feature kind."""
        if kind not in self.kinds:
            have = ", ".join(self.kinds) or "none: it holds sentences only"
            raise ValueError(
                f"{self.path}: no feature kind {kind!r} (it has {have}); choose one with --data.features, or prepare a "
                f"store that has it with `motionlang prepare ... --features {kind}`"
            )

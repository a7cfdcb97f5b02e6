"""Building a store: in a temporary folder beside it, with a journal, so that a killed run goes on where it stopped.

Entries (one raw clip or one file of sentences each) come in any order; the finished store has them in the order asked
for, whatever was interrupted and however many processes read, so the same input gives the same bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motionlang_pl.data.annotations import Annotations, Span, TextColumn
from motionlang_pl.data.store import SCHEMA
from motionlang_pl.data.wordpiece import train_wordpiece

CLIP = np.dtype([("first", "<i8"), ("rows", "<i8"), ("mirrored", "?"), ("source_fps", "<f8")])
UNITS = {"length": "metre", "angle": "radian", "time": "second", "up": "y"}
STD_FLOOR = 1e-3  # a column that is constant in training must not explode where it does move


class Kind(NamedTuple):
    """A feature kind of a store. columns: C.  repeated_last_rows: rows at a clip's end that repeat the one before."""

    columns: int
    repeated_last_rows: int


class Skip(NamedTuple):
    """Something that could not be read. file: relative to the raw folder.  reason: why."""

    file: str
    reason: str


class Entry(NamedTuple):
    """What one raw item gave.

    name: its id, unique in the store.  stamp: size and time of its files, says whether a journal's entry still holds.
    digest: SHA-256 of its files.  frames: (T, C) per kind, or None for sentences alone and for what was skipped.
    source: its file.  mirrored: whether it is the left-right twin of another clip.  origin: the recording that it was
    cut from (see `origins`), empty where that is unknown.  source_fps: frame rate of the file, 0 where unknown.
    """

    name: str
    stamp: str
    digest: str
    spans: Sequence[Span]
    skips: Sequence[Skip] = ()
    frames: dict[str, NDArray[np.float32]] | None = None
    source: str = ""
    mirrored: bool = False
    origin: str = ""
    source_fps: float = 0.0


class StoreWriter:
    """Writes a store; `add` entries, then `finish`. Use as a context manager, so that the lock is given back.

    Args:
        out: Folder of the store; must not exist.
        fps: Frames per second; 0 for a store without motion.
        skeleton: Its name; empty for a store without motion.
        kinds: Feature kinds, by name.
        source: Name of the reader.
        options: What the reader was asked for, as plain data.
        tables: SHA-256 by name of the files that say what to read and as what (split lists, indexes). A journal that
            was begun with others starts afresh.
    """

    def __init__(
        self,
        out: Path,
        fps: float,
        skeleton: str,
        kinds: dict[str, Kind],
        source: str,
        options: dict[str, Any],
        tables: dict[str, str],
    ) -> None:
        self.out = out
        self.kinds = kinds
        self.header = {
            "schema": SCHEMA,
            "fps": fps,
            "skeleton": skeleton,
            "units": UNITS,
            "kinds": {name: kind._asdict() for name, kind in kinds.items()},
            "source": source,
            "options": options,
            "tables": tables,
        }
        self.folder = out.parent / f".{out.name}.partial"
        (self.folder / "frames").mkdir(parents=True, exist_ok=True)
        self._journal = (self.folder / "journal.jsonl").open("a+b", buffering=0)
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._journal.close()
            raise FileExistsError(
                f"{out}: another `motionlang prepare` is building it; wait for it, or stop it"
            ) from error
        self._rows = 0
        self._files: dict[str, BinaryIO] = {}
        self._entries = self._recover()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (*self._files.values(), self._journal):
            file.close()

    @property
    def finished(self) -> dict[str, str]:
        """Name and stamp of the entries that the journal holds."""
        return {name: entry["stamp"] for name, entry in self._entries.items()}

    @property
    def digests(self) -> dict[str, str]:
        """Name and digest of the entries so far."""
        return {name: entry["digest"] for name, entry in self._entries.items()}

    def skips(self, names: Sequence[str]) -> list[Skip]:
        """What could not be read of some entries."""
        return [Skip(*skip) for name in names for skip in self._entries[name]["skips"]]

    def add(self, entry: Entry) -> None:
        """Writes an entry's rows and its line in the journal; it replaces an older entry of the same name."""
        line: dict[str, Any] = {
            "name": entry.name,
            "stamp": entry.stamp,
            "digest": entry.digest,
            "spans": list(entry.spans),
            "skips": list(entry.skips),
            "source": entry.source,
            "mirrored": entry.mirrored,
            "origin": entry.origin,
            "source_fps": entry.source_fps,
            "first": self._rows,
            "rows": 0,
        }
        if entry.frames is not None:
            for kind, file in self._files.items():
                rows = np.ascontiguousarray(entry.frames[kind], dtype="<f4")
                _write(file, rows.tobytes())
                line["rows"] = len(rows)
            self._rows += line["rows"]
        _write(self._journal, json.dumps(line).encode() + b"\n")
        self._entries[entry.name] = line

    def finish(
        self,
        order: Sequence[str],
        splits: Sequence[str],
        inputs: dict[str, Any],
        skips: Sequence[Skip] = (),
        allow_skips: bool = False,
    ) -> dict[str, Any]:
        """Completes the store and renames it into place; returns its meta data.

        Args:
            order: Names of the entries that the store is made of, in the store's order.
            splits: Names of all splits, also empty ones.
            inputs: How many raw items there are, and one SHA-256 over their names and contents.
            skips: What was skipped before any entry was read.
            allow_skips: Whether a store may be made although something was skipped.

        Raises:
            ValueError: something was skipped, which was not allowed; what was read stays for the next run.
        """
        entries = [self._entries[name] for name in order]
        skipped = [*skips, *self.skips(order)]
        if skipped and not allow_skips:
            raise ValueError(
                f"{self.out}: not built, {len(skipped)} of the inputs could not be read, first {skipped[0].file}: "
                f"{skipped[0].reason}; repair them and run the same command again (it goes on from here), or add "
                "--allow-skips"
            )
        clips = [entry for entry in entries if entry["rows"]]
        folder = self._settle_frames(clips)
        rows = np.array([entry["rows"] for entry in clips], dtype=np.int64)
        first = np.cumsum(rows) - rows
        table = np.zeros(len(clips), dtype=CLIP)
        table["first"], table["rows"] = first, rows
        for column in ("mirrored", "source_fps"):
            table[column] = [entry[column] for entry in clips]
        np.save(self.folder / "clips.npy", table, allow_pickle=False)
        TextColumn.write(self.folder, "clip_ids", (entry["name"] for entry in clips))
        TextColumn.write(self.folder, "clip_sources", (entry["source"] for entry in clips))
        TextColumn.write(self.folder, "clip_origins", (entry["origin"] for entry in clips))
        number = {entry["name"]: place for place, entry in enumerate(clips)}
        spans = [(number.get(entry["name"], -1), Span(*span)) for entry in entries for span in entry["spans"]]
        names = tuple(sorted(splits, key=lambda name: (name != "train", name != "val", name != "test", name)))
        Annotations.write(self.folder, names, [clip for clip, _ in spans], [span for _, span in spans])
        training = sorted({clip for clip, span in spans if clip >= 0 and span.split == "train"})
        self._write_statistics(folder, [(int(first[clip]), int(rows[clip])) for clip in training])
        captions = [span.text for _, span in spans if span.split == "train" and span.text]
        if captions:
            (self.folder / "tokenizer.json").write_text(train_wordpiece(captions))
        meta = {
            **self.header,
            "inputs": inputs,
            "clips": len(clips),
            "frames": int(rows.sum()),
            "splits": {name: _counts(name, spans, table["mirrored"]) for name in names},
            "skipped": [skip._asdict() for skip in skipped],
        }
        return self._publish(meta, folder)

    def _recover(self) -> dict[str, dict[str, Any]]:
        """Reads the journal of a killed run, cuts off what it did not finish, and opens the frame files."""
        self._journal.seek(0)
        lines, end = [], 0
        for raw in self._journal.readlines():
            if not raw.endswith(b"\n"):
                break
            lines.append(json.loads(raw))
            end += len(raw)
        rows = max((line["first"] + line["rows"] for line in lines[1:]), default=0)
        sizes = {self._frames(kind): len(_npy_header(0, c)) + rows * c * 4 for kind, (c, _) in self.kinds.items()}
        whole = all(path.is_file() and path.stat().st_size >= size for path, size in sizes.items())
        if not (lines and lines[0] == self.header and whole):
            lines, rows, end = [], 0, 0
        for path in list(self.folder.iterdir()):
            if path.is_dir() and not (lines and path.name == "frames"):
                shutil.rmtree(path)
            elif path.is_file() and path.name != "journal.jsonl":
                path.unlink()
        self._journal.truncate(end)
        if not lines:
            self._journal.write(json.dumps(self.header).encode() + b"\n")
            (self.folder / "frames").mkdir()
            for kind in self.kinds:
                self._frames(kind).write_bytes(_npy_header(0, self.kinds[kind].columns))
        for path, size in sizes.items():
            os.truncate(path, size if lines else path.stat().st_size)
        self._files = {kind: self._frames(kind).open("ab", buffering=0) for kind in self.kinds}
        self._rows = rows
        return {line["name"]: line for line in lines[1:]}

    def _frames(self, kind: str, folder: str = "frames") -> Path:
        return self.folder / folder / f"{kind}.npy"

    def _settle_frames(self, clips: list[dict[str, Any]]) -> str:
        """Gives the frame files their header; writes new ones where rows are out of order or left over.

        Returns the folder that holds the files as they shall be.
        """
        for file in self._files.values():
            file.close()
        total = sum(entry["rows"] for entry in clips)
        place = 0
        for entry in clips:
            if entry["first"] != place:
                break
            place += entry["rows"]
        if place == total == self._rows:
            for kind in self.kinds:
                with self._frames(kind).open("r+b") as file:
                    file.write(_npy_header(total, self.kinds[kind].columns))
            return "frames"
        (self.folder / "sorted").mkdir()
        for kind, (columns, _) in self.kinds.items():
            header = _npy_header(total, columns)
            with self._frames(kind).open("rb") as old, self._frames(kind, "sorted").open("wb") as new:
                new.write(header)
                for entry in clips:
                    old.seek(len(header) + entry["first"] * columns * 4)
                    new.write(old.read(entry["rows"] * columns * 4))
        return "sorted"

    def _write_statistics(self, folder: str, clips: list[tuple[int, int]]) -> None:
        """Mean and deviation per column over the valid rows of some clips, in double precision, two passes."""
        (self.folder / "statistics").mkdir(exist_ok=True)
        if not clips:
            return
        for name, kind in self.kinds.items():
            frames = np.load(self._frames(name, folder), mmap_mode="r", allow_pickle=False)
            blocks = [slice(first, first + rows - kind.repeated_last_rows) for first, rows in clips]
            count = sum(block.stop - block.start for block in blocks)
            mean = sum(frames[block].sum(axis=0, dtype=np.float64) for block in blocks) / count
            square = sum(np.square(frames[block] - mean).sum(axis=0) for block in blocks) / count
            both = np.stack([mean, np.maximum(np.sqrt(square), STD_FLOOR)]).astype("<f4")
            np.save(self.folder / "statistics" / f"{name}.npy", both, allow_pickle=False)

    def _publish(self, meta: dict[str, Any], frames: str) -> dict[str, Any]:
        if frames == "sorted":
            # Killed from here on, the journal's places would be wrong: without it the next run starts afresh.
            self._journal.truncate(0)
            shutil.rmtree(self.folder / "frames")
            os.rename(self.folder / "sorted", self.folder / "frames")
        files = sorted(file.relative_to(self.folder) for file in self.folder.rglob("*") if file.is_file())
        meta["files"] = {str(file): sha256(self.folder / file) for file in files if file.name != "journal.jsonl"}
        meta["fingerprint"] = fingerprint(meta)
        (self.folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
        (self.folder / "journal.jsonl").unlink()
        os.rename(self.folder, self.out)
        return meta


def fingerprint(meta: dict[str, Any]) -> str:
    """SHA-256 of a store's content: its meta data with the hash of every file; neither times nor paths are in it."""
    plain = {key: value for key, value in meta.items() if key != "fingerprint"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def sha256(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write(file: BinaryIO, content: bytes) -> None:
    """Writes all of it to an unbuffered file; OSError where the disk is full (one write may then take a part)."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _npy_header(rows: int, columns: int) -> bytes:
    """The header of a .npy of (rows, columns) float32; as long for any number of rows, for it is rewritten in place."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def _counts(split: str, spans: list[tuple[int, Span]], mirrored: NDArray[np.bool_]) -> dict[str, int]:
    inside = [(clip, span) for clip, span in spans if span.split == split]
    clips = {clip for clip, _ in inside if clip >= 0}
    return {
        "clips": len(clips),
        "mirrored": sum(bool(mirrored[clip]) for clip in clips),
        "annotations": len(inside),
        "captions": len({span.text for _, span in inside if span.text}),
    }

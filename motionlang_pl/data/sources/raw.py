"""Opening raw files: whatever may be wrong with one ends up as a named reason, and no pickle is ever loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from motionlang_pl.data.writer import Entry, Kind, Skip

UNIONS = ("all", "train_val")  # released folders list these unions of their splits too; they are no splits


class BadInput(ValueError):
    """A raw file that cannot be used. file: which.  reason: why."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


@dataclass(frozen=True)
class Item:
    """One raw motion, or one file of sentences; readers add what they need.

    name: unique in the raw folder.  files: all that it is read from.
    """

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Source:
    """A raw folder as a store is built from it.

    name: the reader's.  raw: the folder.  fps, skeleton, kinds, options: see `StoreWriter`.  tables: files that say
    what to read and as what (split lists, indexes, captions).  splits: names of the splits.  items: what to read.
    skips: what was found unusable already.  read: reads an item, in any process; raises BadInput.
    """

    name: str
    raw: Path
    fps: float
    skeleton: str
    kinds: dict[str, Kind]
    options: dict[str, Any]
    tables: Sequence[Path]
    splits: Sequence[str]
    items: Sequence[Item]
    skips: Sequence[Skip]
    read: Callable[[Any], Entry]


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turns whatever numpy raises over a file into BadInput; a damaged one can raise nearly anything."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise
        pickled = "allow_pickle" in str(error)
        reason = "holds pickled objects, which are never loaded" if pickled else f"damaged ({error})"
        raise BadInput(file, " ".join(reason.split())) from error


def load_array(file: Path, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    """A finite float32 array of a .npy file; None in `shape` stands for any length of at least one."""
    if not file.is_file():
        raise BadInput(file, "no such file")
    with file.open("rb") as opened:
        if opened.read(6) != b"\x93NUMPY":
            raise BadInput(file, "not a NumPy array file (a pickle or something else; pickles are never loaded)")
    with reading(file):
        array = np.load(file, allow_pickle=False)
    return checked(file, array, shape)


def frame_shape(file: Path) -> tuple[int, ...]:
    """The shape of a frame of a .npy file, from its header; empty where it is damaged, for its reader to name."""
    try:
        return open_memmap(file, mode="r").shape[1:]
    except (ValueError, OSError, EOFError):
        return ()


@contextmanager
def open_arrays(file: Path) -> Iterator[NpzFile]:
    """The arrays of a .npz file, to be read inside; whatever is wrong with them is BadInput."""
    if not file.is_file():
        raise BadInput(file, "no such file")
    with file.open("rb") as opened:
        if opened.read(2) != b"PK":
            raise BadInput(file, "not a .npz file (a pickle or something else; pickles are never loaded)")
    with reading(file), np.load(file, allow_pickle=False) as arrays:
        yield arrays


def checked(file: Path, array: NDArray[Any], shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    """The array as float32, if it has the shape, holds numbers and all of them are finite."""
    if array.ndim != len(shape) or any(want not in (have, None) for have, want in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("T" if n is None else str(n) for n in shape)
        raise BadInput(file, f"has shape {array.shape}, not ({wanted})")
    if not array.size:
        raise BadInput(file, "has no frames")
    if array.dtype.kind not in "fiu":
        raise BadInput(file, f"holds {array.dtype}, not numbers")
    array = array.astype(np.float32)
    bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    if bad.any():
        places = f"{bad.sum()} of {len(bad)} frames, first in frame {bad.argmax()}"
        raise BadInput(file, f"holds NaN or infinity in {places}")
    return array


def read_lines(file: Path) -> list[str]:
    """The lines of a UTF-8 text file, stripped, blank ones too."""
    try:
        return [line.strip() for line in file.read_bytes().decode("utf-8-sig").splitlines()]
    except FileNotFoundError as error:
        raise BadInput(file, "no such file") from error
    except UnicodeDecodeError as error:
        raise BadInput(file, f"is not UTF-8 text (byte {error.start})") from error


def split_lists(folder: Path, names: Iterable[str] | None = None) -> list[Path]:
    """The split lists NAME.txt of a folder, sorted: those of `names`, or all but the unions of splits.

    Raises:
        FileNotFoundError: no such folder, or no list in the one that is to hold them, where no `names` are asked for.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of split lists (NAME.txt, one id a line)")
    found = sorted(file for file in folder.glob("*.txt") if file.stem not in UNIONS)
    if names is None and not found:
        raise FileNotFoundError(f"{folder}: no lists NAME.txt in it; --splits is the folder that holds them")
    return [file for file in found if names is None or file.stem in names]


def read_split_lists(lists: Sequence[Path]) -> tuple[dict[str, list[str]], list[Skip]]:
    """The splits of each id, ids sorted, and the lines that hold no usable id."""
    splits: dict[str, list[str]] = {}
    skips = []
    for file in lists:
        seen: dict[str, int] = {}
        for number, line in enumerate(read_lines(file), start=1):
            if not line:
                continue
            if "/" in line or "\\" in line or "\0" in line or line.startswith("."):
                reason = f"{line!r} is no clip id: ids are file names without folders"
            elif line in seen:
                reason = f"{line!r} stands in line {seen[line]} already"
            else:
                seen[line] = number
                splits.setdefault(line, []).append(file.stem)
                continue
            skips.append(Skip(f"{file.name}:{number}", reason))
    return dict(sorted(splits.items())), skips


def stamp(item: Item) -> str:
    """Size and time of an item's files: whether a journal's entry still holds, without reading them."""
    stats = [file.stat() if file.is_file() else None for file in item.files]
    return " ".join("none" if stat is None else f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)


def digest(item: Item) -> str:
    """SHA-256 of the contents of an item's files."""
    total = hashlib.sha256()
    for file in item.files:
        content = file.read_bytes() if file.is_file() else None
        total.update(b"none" if content is None else hashlib.sha256(content).digest())
    return total.hexdigest()

"""From a source to a store: every file is read once, in any number of processes; what cannot be read is named."""

from __future__ import annotations

import errno
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from motionlang_pl.data.sources.raw import BadInput, Item, Source, digest, stamp
from motionlang_pl.data.store import Store
from motionlang_pl.data.writer import Entry, Skip, StoreWriter, sha256

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SHOWN = 20  # skipped files that are printed; the store's meta.json lists all


def build(source: Source, out: Path, workers: int = 1, allow_skips: bool = False) -> None:
    """Builds a store from a source; leaves a store alone that was made of the same inputs.

    Raises:
        FileExistsError: something else is at `out`.
        OSError: the disk is full; what was read stays for the next run.
        ValueError: two items have the same name, or something could not be read and `allow_skips` is false.
    """
    if not source.items:
        first = next((f"first problem {skip.file}: {skip.reason}" for skip in source.skips), "its lists are empty")
        raise ValueError(f"{source.raw}: nothing to read; {first}")
    twice = [name for name, count in Counter(item.name for item in source.items).items() if count > 1]
    if twice:
        raise ValueError(
            f"{source.raw}: {len(twice)} ids stand for several files, first {twice[0]!r}; rename one of each"
        )
    if out.exists():
        _compare(source, out, workers)
        return
    try:
        meta = _write(source, out, workers, allow_skips)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(
            f"{out}: {error.strerror}; nothing was published. Make room and run the same command again: "
            "it goes on from where it stopped"
        ) from error
    print(
        f"{out}: {meta['clips']} clips, {meta['frames']} frames, "
        + ", ".join(
            f"{name} {n['clips']} clips ({n['mirrored']} mirrored) and {n['captions']} sentences"
            for name, n in meta["splits"].items()
        )
        + f"; {len(meta['skipped'])} skipped; fingerprint {meta['fingerprint'][:12]}"
    )


def _write(source: Source, out: Path, workers: int, allow_skips: bool) -> dict[str, Any]:
    """Reads what the journal does not hold yet and publishes the store; returns its meta data."""
    with StoreWriter(
        out, source.fps, source.skeleton, source.kinds, source.name, source.options, _tables(source)
    ) as writer:
        finished = writer.finished
        todo = [item for item in source.items if finished.get(item.name) != stamp(item)]
        if len(todo) < len(source.items):
            print(f"{out}: going on, {len(source.items) - len(todo)} of {len(source.items)} are done", file=sys.stderr)
        entries = in_order(partial(_read, source.read, source.raw), todo, workers)
        for entry in tqdm(entries, out.name, len(todo), unit="file", disable=None):
            writer.add(entry)
        digests = writer.digests
        inputs = _inputs(source, [digests[item.name] for item in source.items])
        order = [item.name for item in source.items]
        _report([*source.skips, *writer.skips(order)])
        return writer.finish(order, source.splits, inputs, source.skips, allow_skips)


def _read(read: Callable[[Any], Entry], raw: Path, item: Item) -> Entry:
    try:
        return read(item)
    except BadInput as problem:
        skip = Skip(_relative(problem.file, raw), problem.reason)
        return Entry(item.name, stamp(item), digest(item), (), (skip,))
    except OSError as error:
        skip = Skip(_relative(Path(error.filename or item.files[0]), raw), f"cannot be read ({error.strerror})")
        return Entry(item.name, stamp(item), "unreadable", (), (skip,))


def in_order(function: Callable[[Any], Any], items: Sequence[Any], workers: int) -> Iterator[Any]:
    """Applies a function to items, in order; one thread each, so that any number of processes gives the same bytes."""
    if workers > 1 and len(items) > 1:
        with ProcessPoolExecutor(workers, get_context("forkserver"), torch.set_num_threads, (1,)) as pool:
            yield from pool.map(function, items, chunksize=8)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from map(function, items)
    finally:
        torch.set_num_threads(threads)


def _tables(source: Source) -> dict[str, str]:
    return {file.name: sha256(file) for file in source.tables}


def _inputs(source: Source, digests: Sequence[str]) -> dict[str, Any]:
    """What the store says of its inputs: how many items, and one SHA-256 over names and contents."""
    total = hashlib.sha256()
    for item, content in zip(source.items, digests, strict=True):
        total.update(f"{item.name} {content}\n".encode())
    return {"items": len(source.items), "sha256": total.hexdigest()}


def _compare(source: Source, out: Path, workers: int) -> None:
    try:
        meta = Store.open(out).meta
    except (ValueError, FileNotFoundError) as error:
        raise FileExistsError(f"{out}: already there, and not a store; choose another --out or remove it") from error
    same = (meta["source"], meta["options"], meta["tables"]) == (source.name, source.options, _tables(source))
    if same and meta["inputs"] == _inputs(source, list(in_order(digest, source.items, workers))):
        print(f"{out}: already made from the same inputs (fingerprint {meta['fingerprint'][:12]}); nothing to do")
        return
    raise FileExistsError(
        f"{out}: a store made from other inputs or with other options; stores are never changed: "
        "choose another --out, or remove it first"
    )


def _report(skips: Sequence[Skip]) -> None:
    for skip in skips[:SHOWN]:
        print(f"skipped {skip.file}: {skip.reason}", file=sys.stderr)
    if len(skips) > SHOWN:
        print(f"... and {len(skips) - SHOWN} more", file=sys.stderr)


def _relative(file: Path, raw: Path) -> str:
    return str(file.relative_to(raw)) if file.is_relative_to(raw) else file.name

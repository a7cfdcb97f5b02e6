"""`motionlang check`: what is in a store, and what is wrong with it; for a raw folder see `verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motionlang_pl.data.store import Store
from motionlang_pl.data.writer import STD_FLOOR, fingerprint, sha256
from motionlang_pl.tools.verify import VECS, verify

BLOCK = 65536  # rows that are looked at together
SHOWN = 5  # examples per anomaly


def check(folder: Path, limit: int | None = None, workers: int = 1) -> None:
    """Prints what a store holds and every anomaly, or whether a raw folder's new_joint_vecs are those of its joints.

    The exit status is 1 where something is wrong: in a store an error, in a raw folder of HumanML3D or KIT-ML a block
    of columns that differs by more than its tolerance from what we compute.

    Args:
        folder: A store, or a raw folder with new_joints and new_joint_vecs.
        limit: Of a raw folder look at this many clips, evenly spread; else at all.
        workers: Processes that compute, for a raw folder.
    """
    if (folder / VECS).is_dir():
        verify(folder, limit, workers)
        return
    opened = Store.open(folder)
    for line in (*_overview(opened), *_splits(opened), *_kinds(opened)):
        print(line)
    for skip in opened.meta["skipped"]:
        print(f"skipped: {skip['file']}: {skip['reason']}")
    for note in _notes(opened):
        print(f"note: {note}")
    errors = list(_errors(opened))
    for error in errors:
        print(f"error: {error}")
    print(f"{opened.path}: {len(errors)} errors" if errors else f"{opened.path}: no errors")
    if errors:
        raise SystemExit(1)


def _overview(store: Store) -> Iterator[str]:
    meta = store.meta
    yield f"{store.path}: made by `prepare {meta['source']}` of {meta['inputs']['items']} inputs, {meta['options']}"
    yield f"fingerprint {store.fingerprint}"
    if not meta["clips"]:
        yield "no clips: sentences only"
        return
    seconds = store.clips.rows / store.fps
    yield (
        f"{meta['clips']} clips ({int(store.clips.mirrored.sum())} mirrored), {meta['frames']} frames at {store.fps:g} "
        f"fps, skeleton {store.skeleton}, {seconds.sum() / 3600:.2f} h; "
        f"seconds per clip: min {seconds.min():.2f}, median {np.median(seconds):.2f}, max {seconds.max():.2f}"
    )


def _splits(store: Store) -> Iterator[str]:
    table = store.annotations
    for name, counts in store.meta["splits"].items():
        rows = table.rows(name)
        said = rows[~table.text.empty[rows] & (table.clip[rows] >= 0)]
        mirrored = int(store.clips.mirrored[np.unique(table.clip[rows[table.clip[rows] >= 0]])].sum())
        line = f"split {name}: {counts['clips']} clips ({mirrored} mirrored), {counts['annotations']} annotations"
        line += f", {counts['captions']} distinct sentences"
        if len(said):
            per_clip = np.unique(table.clip[said], return_counts=True)[1]
            parts = int(((table.start[said] > 0) | (table.end[said] < _seconds(store)[table.clip[said]] - 1e-6)).sum())
            line += (
                f", {per_clip.mean():.2f} per captioned clip (at most {per_clip.max()}), {parts} of a part of a clip"
            )
        yield line
    terms = "no tokenizer: no sentence in a split named train"
    if store.tokenizer is not None:
        from tokenizers import Tokenizer

        terms = f"tokenizer: WordPiece of {Tokenizer.from_str(store.tokenizer).get_vocab_size()} terms"
    yield terms


def _kinds(store: Store) -> Iterator[str]:
    for kind in store.kinds:
        line = f"features {kind}: {store.frames(kind).shape[1]} columns"
        if store.meta["kinds"][kind]["repeated_last_rows"]:
            line += " (computed; the last row of each clip repeats the one before and is not read)"
        if (store.path / "statistics" / f"{kind}.npy").is_file():
            mean, std = store.statistics(kind)
            farthest = max(float(np.abs((block - mean) / std).max()) for block in _blocks(store, kind))
            line += (
                f"; training means {mean.min():.3g} to {mean.max():.3g}, deviations {std.min():.3g} to {std.max():.3g}"
                f", farthest value {farthest:.1f} deviations from the mean"
            )
        yield line


def _notes(store: Store) -> Iterator[str]:
    """What is unusual, but may be meant."""
    table = store.annotations
    if "train" not in store.splits:
        yield "no split named train: no statistics and no tokenizer, so nothing can be trained on this store"
    for kind in store.kinds:
        if (store.path / "statistics" / f"{kind}.npy").is_file():
            dead = np.flatnonzero(store.statistics(kind)[1] <= STD_FLOOR)
            if len(dead):
                yield f"{kind}: {len(dead)} columns hardly move in training: {_some(dead.tolist())}"
        else:
            yield f"{kind}: no statistics: no motion in a split named train"
    moving = np.flatnonzero(table.clip >= 0)
    late = moving[table.end[moving] > _seconds(store)[table.clip[moving]] + 1e-6].tolist()
    if late:
        yield f"{len(late)} spans end after their clip and are cut there: {_some(_where(store, row) for row in late)}"
    for kind in store.kinds:
        start, stop = store.span_rows(kind, table.clip[moving], table.start[moving], table.end[moving])
        empty = moving[stop <= start].tolist()
        if empty:
            places = _some(_where(store, row) for row in empty)
            yield f"{len(empty)} spans hold no row of {kind} and are not read: {places}"
    sentences = {name: {table.text[row] for row in table.rows(name).tolist()} - {""} for name in store.splits}
    clips = {name: set(table.clip[table.rows(name)].tolist()) - {-1} for name in store.splits}
    for place, one in enumerate(store.splits):
        for other in store.splits[place + 1 :]:
            if shared := sentences[one] & sentences[other]:
                yield f"{len(shared)} sentences stand in both {one} and {other}: {_some(sorted(shared))}"
            if both := clips[one] & clips[other]:
                yield f"{len(both)} clips stand in both {one} and {other}: {_named(store, both)}"
    for name in store.splits:
        rows = table.rows(name)
        if not len(rows):
            yield f"split {name} is empty"
        silent = clips[name] - set(table.clip[rows[~table.text.empty[rows]]].tolist())
        if silent and sentences[name]:
            yield f"split {name}: {len(silent)} clips have no sentence: {_named(store, silent)}"


def _errors(store: Store) -> Iterator[str]:
    """What makes a store wrong."""
    if fingerprint(store.meta) != store.fingerprint:
        yield "meta.json was changed: it does not give the store's fingerprint"
    for name, wanted in store.meta["files"].items():
        file = store.path / name
        if not file.is_file():
            yield f"{name} is missing"
        elif sha256(file) != wanted:
            yield f"{name} was changed since the store was made"
    for kind in store.kinds:
        bad = sum(int((~np.isfinite(block)).any(axis=1).sum()) for block in _blocks(store, kind))
        if bad:
            yield f"{kind}: {bad} rows hold NaN or infinity"
        if len(store.frames(kind)) != store.meta["frames"]:
            yield f"{kind}: {len(store.frames(kind))} rows, the clip table has {store.meta['frames']}"
    twice = [name for name, count in Counter(store.clips.ids).items() if count > 1]
    if twice:
        yield f"{len(twice)} clip ids stand twice: {_some(twice)}"
    table = store.annotations
    if len(table) and (table.clip.min() < -1 or table.clip.max() >= store.meta["clips"]):
        yield "annotations of clips that are not there"
        return
    blank = [row for row, text in enumerate(table.text) if text and not text.strip()]
    if blank:
        yield f"{len(blank)} sentences are blank: {_some(_where(store, row) for row in blank)}"


def _blocks(store: Store, kind: str) -> Iterator[NDArray[np.float32]]:
    frames = store.frames(kind)
    return (frames[first : first + BLOCK] for first in range(0, len(frames), BLOCK))


def _seconds(store: Store) -> NDArray[np.float64]:
    return store.clips.rows / (store.fps or 1.0)


def _named(store: Store, clips: set[int]) -> str:
    return _some(store.clips.ids[clip] for clip in sorted(clips))


def _where(store: Store, row: int) -> str:
    span = store.annotations[row]
    return f"{store.clips.ids[int(store.annotations.clip[row])]} {span.start:g}-{span.end:g} s"


def _some(examples: Iterable[object]) -> str:
    listed = [str(example) for example in islice(examples, SHOWN + 1)]
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")

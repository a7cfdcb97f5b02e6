"""TMR's unified annotations (Petrovich 2023): ID -> path in AMASS, duration, sentences with their seconds.

`{"00001": {"path": "KIT/4/NAME_poses", "duration": 3.78, "annotations": [{"seg_id", "text", "start", "end"}]}}`; a path
that begins with `M/` is the left-right twin of the recording, which is made here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.origins import origin
from motionlang_pl.data.sources.computed import kinds_of
from motionlang_pl.data.sources.over_amass import (
    TOLERANCE,
    Recordings,
    Stretch,
    are_numbers,
    clipped,
    note,
    read_joints,
    standard_frames,
)
from motionlang_pl.data.sources.raw import Item, Source, digest, read_split_lists, split_lists, stamp
from motionlang_pl.data.writer import Entry, Skip
from motionlang_pl.motion.skeleton import SMPL22

FPS = 20.0
MIRRORED = "M/"


@dataclass(frozen=True)
class UnifiedItem(Item):
    """One id: the stretch that its sentences tell about, and they in seconds from its start."""

    stretch: Stretch
    path: str
    origin: str
    source_fps: float
    mirrored: bool
    features: tuple[str, ...]
    spans: tuple[Span, ...]


def source(annotations: Path, amass: Path, splits: Path, features: Sequence[str]) -> Source:
    """The ids of split lists, with motion from a store of AMASS.

    A clip is the stretch of its recording from the first to the last second that its sentences tell about.

    Raises:
        FileNotFoundError, ValueError: a file, list or store is not there, is something else, or a kind cannot be had.
    """
    kinds = kinds_of(features, SMPL22, FPS)
    lists = split_lists(splits)
    listed, skips = read_split_lists(lists)
    records = _records(annotations)
    recordings = Recordings(amass)
    skips += [Skip(name, "is in a split list, but has no annotations") for name in listed if name not in records]
    wanted = {name: origin(records[name]["path"].removeprefix(MIRRORED)) for name in listed if name in records}
    skips += recordings.missing(wanted)
    counts: Counter[str] = Counter()
    items = []
    for name, where in wanted.items():
        if where not in recordings.clip:
            continue
        record, seconds = records[name], recordings.seconds(where)
        difference = abs(record["duration"] - seconds)
        if difference > TOLERANCE:
            skips.append(Skip(name, f"is {record['duration']:g} s, the recording {where} {seconds:g} s"))
            continue
        counts[f"recordings differ from `duration` by {TOLERANCE:g} s or less"] += difference > 2 / FPS
        spans = _spans(record, seconds)
        counts["sentences without words or a stretch left out"] += len(record["annotations"]) - len(spans)
        if not spans:
            skips.append(Skip(name, "has no sentence with a stretch of motion"))
            continue
        start, end = min(span.start for span in spans), max(span.end for span in spans)
        items.append(
            UnifiedItem(
                name,
                (amass / "meta.json",),
                recordings.stretch(where, start, end),
                record["path"],
                where,
                recordings.source_fps(where),
                record["path"].startswith(MIRRORED),
                tuple(kinds),
                tuple(
                    span._replace(start=span.start - start, end=span.end - start, split=split)
                    for split in listed[name]
                    for span in spans
                ),
            )
        )
    note(annotations, counts)
    return Source(
        name="unified",
        raw=annotations.parent,
        fps=FPS,
        skeleton=SMPL22.name,
        kinds=kinds,
        options={
            "amass": recordings.store.fingerprint[:12],
            "features": list(kinds),
        },
        tables=(*lists, annotations),
        splits=[file.stem for file in lists],
        items=items,
        skips=skips,
        read=read_id,
    )


def read_id(item: UnifiedItem) -> Entry:
    """Reads a stretch and computes its features; BadInput where that is not possible."""
    joints = read_joints(item.stretch, FPS)
    return Entry(
        name=item.name,
        stamp=stamp(item),
        digest=digest(item),
        spans=item.spans,
        frames=standard_frames(joints, item.mirrored, item.features, FPS, Path(item.name)),
        source=item.path,
        mirrored=item.mirrored,
        origin=item.origin,
        source_fps=item.source_fps,
    )


def _records(file: Path) -> dict[str, dict[str, Any]]:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; --annotations is TMR's annotations.json")
    try:
        records: dict[str, dict[str, Any]] = json.loads(file.read_bytes())
        for record in records.values():
            if not isinstance(record["path"], str) or not are_numbers(record["duration"]):
                raise TypeError("`path` is a string, `duration` a number")
            if not all(
                isinstance(said["text"], str) and are_numbers(said["start"], said["end"])
                for said in record["annotations"]
            ):
                raise TypeError("`text` is a string, `start` and `end` are numbers")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file}: not TMR's unified annotations ({error!r})") from error
    return records


def _spans(record: Mapping[str, Any], seconds: float) -> list[Span]:
    """The sentences that have words and a stretch of motion, without a split."""
    spans = []
    for said in record["annotations"]:
        words, within = " ".join(said["text"].split()), clipped(said["start"], said["end"], seconds, FPS)
        if words and within:
            spans.append(Span(*within, words, "", (), ""))
    return spans

"""BABEL (Punnakkal 2021): what is done in recordings of AMASS and when; {train,val,test,extra_train,extra_val}.json.

A record has `feat_p`, `dur` and `frame_ann`, segments in seconds; where it has none, `seq_ann` tells about all of it
(the authors' own reading, which makes the dense labels that BABEL-60 and BABEL-120 are taken from). Records of the
extra files have any number of both, by several people. Labels of the test split are not public.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.origins import origin
from motionlang_pl.data.sources.over_amass import TOLERANCE, Recordings, Stretch, are_numbers, clipped, note, read_rows
from motionlang_pl.data.sources.raw import Item, Source, digest, stamp
from motionlang_pl.data.writer import Entry, Kind, Skip

FILES = ("train", "val", "test", "extra_train", "extra_val")
ACTIONS = "action_label_2_idx.json"
TRANSITION = "transition"  # it says nothing of the motion, so it is not a caption (MoLang drops it too)
Text = Literal["raw_label", "proc_label"]


@dataclass(frozen=True)
class BABELItem(Item):
    """One recording with all that BABEL says of it. origin: its name.  source_fps: of its file."""

    recording: Stretch
    origin: str
    source_fps: float
    features: tuple[str, ...]
    spans: tuple[Span, ...]


def source(raw: Path, amass: Path, text: Text = "raw_label", keep_transitions: bool = False) -> Source:
    """A folder of BABEL's files over a store of AMASS, whose frames it copies.

    text: the field that gives the sentences.  The store's `labels` are the action categories, `act_cat`. Where the
    folder has the ranked list of actions, the store keeps it, see `label_set`.

    Raises:
        FileNotFoundError, ValueError: no file of BABEL, one that is none, or no store of AMASS.
    """
    files = [raw / f"{name}.json" for name in FILES if (raw / f"{name}.json").is_file()]
    if not files:
        raise FileNotFoundError(f"{raw}: no {', '.join(f'{name}.json' for name in FILES)}; --raw is BABEL's folder")
    ranked = next((file for file in (raw / ACTIONS, *sorted(raw.glob(f"**/{ACTIONS}"))) if file.is_file()), None)
    recordings = Recordings(amass)
    records = {file.stem: _records(file) for file in files}
    wanted = {name: origin(record["feat_p"]) for split in records for name, record in records[split].items()}
    skips = recordings.missing(wanted)
    spans: dict[str, list[Span]] = {name: [] for name, where in wanted.items() if where in recordings.clip}
    left_out: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    for split, found in records.items():
        for name, record in found.items():
            if name not in spans:
                continue
            seconds, fps = recordings.seconds(wanted[name]), recordings.store.fps
            if abs(record["dur"] - seconds) > TOLERANCE:
                skips.append(
                    Skip(f"{split}.json", f"{name} is {record['dur']:g} s, the recording {wanted[name]} {seconds:g} s")
                )
                continue
            changed[f"recordings differ from `dur` by {TOLERANCE:g} s or less"] += (
                abs(record["dur"] - seconds) > 2 / fps
            )
            said = list(_spans(record, split, seconds, fps, text, left_out))
            if not keep_transitions:
                kept = [span for span in said if not _is_transition(span)]
                left_out["transitions"] += len(said) - len(kept)
                said = kept
            spans[name] += dict.fromkeys(said) or [Span(0.0, seconds, "", "", (), split)]
    note(raw, {**{f"{what} left out": count for what, count in sorted(left_out.items())}, **changed})
    kinds = {name: Kind(**kind) for name, kind in recordings.store.meta["kinds"].items()}
    items = [
        BABELItem(
            name,
            (amass / "meta.json",),
            recordings.stretch(wanted[name]),
            wanted[name],
            recordings.source_fps(wanted[name]),
            tuple(kinds),
            tuple(spans[name]),
        )
        for name in sorted(spans, key=lambda name: (len(name), name))
        if spans[name]
    ]
    return Source(
        name="babel",
        raw=raw,
        fps=recordings.store.fps,
        skeleton=recordings.store.skeleton,
        kinds=kinds,
        options={
            "amass": recordings.store.fingerprint[:12],
            "text": text,
            "left out": dict(sorted((+left_out).items())),
            "actions": list(label_set(ranked)) if ranked else [],
        },
        tables=files,
        splits=[file.stem for file in files],
        items=items,
        skips=skips,
        read=read_recording,
    )


def label_set(file: Path, size: int | None = None) -> tuple[str, ...]:
    """BABEL's actions, most frequent first: the first 60 or 120 are BABEL-60's or BABEL-120's; all where none is said.

    file: `action_recognition/data/action_label_2_idx.json` of BABEL's repository. A segment belongs to BABEL-60 where
    it has one of its actions among its labels, in the splits train, val and test (the extra ones are not dense).

    Raises:
        FileNotFoundError, ValueError: no such file, not such a file, or fewer actions in it.
    """
    number = _json(file)
    if not isinstance(number, dict) or sorted(number.values(), key=str) != sorted(range(len(number)), key=str):
        raise ValueError(f'{file}: not BABEL\'s list of actions, {{"walk": 0, ...}} with a number each')
    if size is not None and len(number) < size:
        raise ValueError(f"{file}: has {len(number)} actions, fewer than {size}")
    return tuple(sorted(number, key=lambda action: int(number[action])))[:size]


def read_recording(item: BABELItem) -> Entry:
    """Copies a recording's rows."""
    return Entry(
        name=item.name,
        stamp=stamp(item),
        digest=digest(item),
        spans=item.spans,
        frames={kind: read_rows(item.recording, kind) for kind in item.features},
        source=item.origin,
        origin=item.origin,
        source_fps=item.source_fps,
    )


def _records(file: Path) -> dict[str, dict[str, Any]]:
    records = _json(file)
    if not isinstance(records, dict):
        raise ValueError(f"{file}: not a file of BABEL: it holds no records by id")
    for name, record in records.items():
        usable = isinstance(record, dict) and isinstance(record.get("feat_p"), str)
        if not usable or not are_numbers(record.get("dur")):
            raise ValueError(
                f"{file}: not a file of BABEL: record {name!r} has no `feat_p` (a path) and `dur` (seconds)"
            )
    return records


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{file}: no such file; it comes with BABEL") from error
    except ValueError as error:
        raise ValueError(f"{file}: is no JSON ({error}); is the download whole?") from error


def _spans(
    record: Mapping[str, Any], split: str, seconds: float, fps: float, text: Text, left_out: Counter[str]
) -> Iterator[Span]:
    """A record's segments; `left_out` counts those that cannot be used."""
    for segment in _segments(record):
        words, actions = _words(segment.get(text)), [_words(action) for action in segment.get("act_cat") or ()]
        if not words:
            left_out["segments without a label"] += 1
            continue
        start, end = segment.get("start_t", 0.0), segment.get("end_t", seconds)
        within = clipped(float(start), float(end), seconds, fps) if are_numbers(start, end) else None
        if within is None:
            left_out["segments of a frame or less"] += 1
            continue
        yield Span(*within, words, "", tuple(action for action in actions if action), split)


def _segments(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The segments of `frame_ann`, else of `seq_ann`; of all people where there are several."""
    for level in ("frame_ann", "seq_ann"):
        people: Sequence[Any] = record.get(f"{level}s") or [record.get(level)]
        segments = [segment for person in people if person for segment in person.get("labels") or ()]
        if segments:
            return segments
    return []


def _is_transition(span: Span) -> bool:
    return span.text == TRANSITION or set(span.labels) == {TRANSITION}


def _words(label: object) -> str:
    """A label on one line; nothing where there is none (the test split has null or NaN)."""
    return " ".join(label.split()) if isinstance(label, str) else ""

"""A folder of AMASS downloads: which motions it holds, whose they are, and in which split each one is."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from motionlang_pl.data.origins import dataset_name, origin, other_names
from motionlang_pl.data.sources.raw import read_lines, split_lists

NOT_MOTION = ("shape.npz", "stagei.npz")  # a subject's body, beside its motions
SHOWN = 5  # examples in a message


def motions_in(raw: Path, datasets: Sequence[str] | None) -> tuple[list[Path], int]:
    """The motions of a folder, sorted, and the number of .npz files beside them that hold none.

    Raises:
        FileNotFoundError, ValueError: a data set asked for is not there, or a recording is there twice; all are named.
    """
    if not raw.is_dir():
        raise FileNotFoundError(f"{raw}: no such folder; --raw holds the unpacked downloads, DATASET/SUBJECT/NAME.npz")
    files = sorted(raw.glob("*/**/*.npz"))
    folders = sorted({file.relative_to(raw).parts[0] for file in files})
    if datasets is not None:
        missing = [name for name in dict.fromkeys(datasets) if dataset_name(name) not in map(dataset_name, folders)]
        if missing:
            lacking = "; ".join(f"{name} (or {', '.join(other_names(name)) or 'no other name'})" for name in missing)
            raise ValueError(
                f"--datasets: {len(missing)} of {len(set(datasets))} are not in {raw}: {lacking}. There are "
                f"{', '.join(folders) or 'no folders with .npz files'}; unpack the missing "
                "downloads there (https://amass.is.tue.mpg.de), or leave their names out"
            )
        wanted = {dataset_name(name) for name in datasets}
        files = [file for file in files if dataset_name(file.relative_to(raw).parts[0]) in wanted]
    motions = [file for file in files if not file.name.endswith(NOT_MOTION)]
    if not motions:
        raise FileNotFoundError(f"{raw}: no motion in it; unpack the downloads to DATASET/SUBJECT/NAME.npz")
    recordings: dict[str, list[str]] = defaultdict(list)
    for file in motions:
        place = file.relative_to(raw).as_posix()
        recordings[origin(place)].append(place)
    twice = [" and ".join(places) for places in recordings.values() if len(places) > 1]
    if twice:
        raise ValueError(
            f"{raw}: {len(twice)} recordings are there more than once (SMPL-H and SMPL-X, or an old and a new name): "
            f"{_some(twice)}. Keep one of each in --raw"
        )
    others = len(files) - len(motions)
    if others:
        print(f"{raw}: {others} files hold no motion (shape.npz, *_stagei.npz) and are left out", file=sys.stderr)
    return motions, others


def subject_of(folder: str) -> str:
    """A subject's folder without its kind of motion (ACCAD) or the date (DanceDB, SSM), which name one person twice."""
    person = re.match(r"(?:Fem|M)ale\d+", folder)
    return person[0] if person else re.sub(r"^\d{8}_", "", folder)


def split_of(dataset: str, subject: str) -> str:
    """train, val or test (80, 10 and 10 percent of subjects), by a hash: the same on every machine."""
    place = int.from_bytes(hashlib.sha256(f"{dataset}/{subject}".encode()).digest()[:8], "big") / 2**64
    return "train" if place < 0.8 else "val" if place < 0.9 else "test"


def splits_by_subject(raw: Path, files: Sequence[Path]) -> dict[Path, tuple[str, ...]]:
    """The split of each motion, by its subject."""
    places = {file: file.relative_to(raw).parts for file in files}
    return {file: (split_of(dataset_name(parts[0]), subject_of(parts[-2])),) for file, parts in places.items()}


def splits_by_lists(raw: Path, files: Sequence[Path], folder: Path) -> dict[Path, tuple[str, ...]]:
    """The splits of each motion that a list names, itself, by its subject or by its data set; the most exact counts."""
    lists = split_lists(folder)
    listed: dict[str, tuple[str, ...]] = {}
    for file in lists:
        for place in dict.fromkeys(origin(line) for line in read_lines(file) if line):
            listed[place] = (*listed.get(place, ()), file.stem)
    found, met = {}, set()
    for file in files:
        parts = origin(file.relative_to(raw).as_posix()).split("/")
        names = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        met.update(names)
        if name := next((name for name in names if name in listed), ""):
            found[file] = listed[name]
    if idle := sorted(set(listed) - met):
        print(f"{raw}: {len(idle)} lines of --splits name nothing in it: {_some(idle)}", file=sys.stderr)
    if unlisted := [name_of(raw, file) for file in files if file not in found]:
        some = _some(unlisted)
        print(f"{raw}: {len(unlisted)} motions are in no list of --splits and are left out: {some}", file=sys.stderr)
    return found


def name_of(raw: Path, file: Path) -> str:
    """The id of a motion: its file without the ending."""
    return file.relative_to(raw).with_suffix("").as_posix()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")

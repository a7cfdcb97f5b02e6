"""HumanML3D cut out of AMASS, as its index.csv says: source_path, start_frame, end_frame, new_name (Guo et al. 2022).

What the published notebooks do, in one pass: every int(fps / 20)-th frame of a recording, so many frames off its
beginning as its data set says, rows start to end of the rest; then one body, floor, origin, facing +z.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.origins import origin
from motionlang_pl.data.sources.computed import kinds_of
from motionlang_pl.data.sources.humanml3d import read_spans
from motionlang_pl.data.sources.origin_index import is_mirrored
from motionlang_pl.data.sources.over_amass import (
    TOLERANCE,
    Recordings,
    Stretch,
    note,
    read_joints,
    standard_frames,
)
from motionlang_pl.data.sources.raw import (
    BadInput,
    Item,
    Source,
    digest,
    load_array,
    read_lines,
    read_split_lists,
    split_lists,
    stamp,
)
from motionlang_pl.data.writer import Entry, Skip
from motionlang_pl.motion.skeleton import SMPL22

FPS = 20.0
TRIMS = {"EyesJapanDataset": 60, "HDM05": 60, "TotalCapture": 20, "PosePrior": 20, "Transitions": 10}  # index frames
HUMANACT12 = "humanact12"


class Crop(NamedTuple):
    """A row of the index. path: as written there.  start, end: frames after the trim, end -1 for the recording's."""

    path: str
    start: int
    end: int

    @property
    def origin(self) -> str:
        """The recording."""
        return origin(self.path)

    @property
    def dataset(self) -> str:
        """Present name of the recording's data set."""
        return self.origin.split("/")[0]

    def seconds(self, source_fps: float) -> tuple[float, float, float]:
        """Start and end in a recording (end infinite for its own end), and the seconds that a second of the index is.

        The index counts every int(fps / 20)-th frame and takes it for 20 fps. That is so for 60, 100 or 120 fps; of
        the 59.99999 fps of SSM it takes every second frame, so a second of its index is 0.67 s.
        """
        frame = max(int(source_fps / FPS), 1) / source_fps
        trim = TRIMS.get(self.dataset, 0)
        end = float("inf") if self.end == -1 else (trim + self.end) * frame
        return (trim + self.start) * frame, end, frame * FPS


@dataclass(frozen=True)
class CropItem(Item):
    """One clip. motion: a stretch of AMASS, or a file of HumanAct12.  second: how long a second of its text is."""

    motion: Stretch | Path
    second: float
    crop: Crop
    source_fps: float
    mirrored: bool
    splits: tuple[str, ...]
    features: tuple[str, ...]
    raw: Path

    @property
    def text(self) -> Path:
        """The file of its sentences."""
        return self.files[0]


def source(
    index: Path, amass: Path, texts: Path, splits: Path, features: Sequence[str], humanact12: Path | None = None
) -> Source:
    """The ids of split lists, cut out of a store of AMASS; M and an id is the left-right twin of it.

    humanact12: folder of HumanAct12's .npy (T, 24, 3) at 20 fps; without it those clips are left out.

    Raises:
        FileNotFoundError, ValueError: a file, list or store is not there, is something else, or a kind cannot be had.
    """
    kinds = kinds_of(features, SMPL22, FPS)
    if not texts.is_dir():
        raise FileNotFoundError(f"{texts}: no such folder; --texts is HumanML3D's folder of ID.txt (unpack texts.zip)")
    if humanact12 is not None and not humanact12.is_dir():
        raise FileNotFoundError(f"{humanact12}: no such folder; --humanact12 holds HumanAct12's .npy files")
    lists = split_lists(splits)
    listed, skips = read_split_lists(lists)
    crops = read_crops(index)
    recordings = Recordings(amass)
    row = {name: name.removeprefix("M") if is_mirrored(name) else name for name in listed}
    skips += [Skip(name, f"is in a split list, but not in {index.name}") for name in listed if row[name] not in crops]
    found = {name: crops[row[name]] for name in listed if row[name] in crops}
    apart = {name for name, crop in found.items() if crop.dataset == HUMANACT12}
    skips += recordings.missing({name: crop.origin for name, crop in found.items() if name not in apart})
    counts: Counter[str] = Counter()
    items = []
    for name, crop in found.items():
        text = texts / f"{name}.txt"
        mirrored = is_mirrored(name)
        if name in apart:
            if humanact12 is not None:
                file = humanact12 / f"{crop.origin.split('/')[-1]}.npy"
                rest = (FPS, mirrored, tuple(listed[name]), tuple(kinds), texts.parent)
                items.append(CropItem(name, (text, file), file, 1.0, crop, *rest))
            else:
                counts["clips of HumanAct12 left out (--humanact12 DIR adds them)"] += 1
            continue
        if crop.origin not in recordings.clip:
            continue
        rate, seconds = recordings.source_fps(crop.origin), recordings.seconds(crop.origin)
        start, end, second = crop.seconds(rate)
        beyond = 0.0 if crop.end == -1 else end - seconds
        if crop.start < 0 or start >= end:
            skips.append(Skip(name, f"has no frame from {crop.start} to {crop.end}"))
            continue
        if beyond > TOLERANCE or start >= seconds:
            place = f"starts at {start:g} s" if start >= seconds else f"ends at {end:g} s"
            skips.append(Skip(name, f"{place}, its recording {crop.origin} ({rate:g} fps) ends at {seconds:g} s"))
            continue
        counts[f"clips end with their recording, {TOLERANCE:g} s or less before the index says"] += beyond > 2 / FPS
        stretch = recordings.stretch(crop.origin, start, end)
        rest = (rate, mirrored, tuple(listed[name]), tuple(kinds), texts.parent)
        items.append(CropItem(name, (text,), stretch, second, crop, *rest))
    note(index, counts)
    return Source(
        name="index",
        raw=texts.parent,
        fps=FPS,
        skeleton=SMPL22.name,
        kinds=kinds,
        options={
            "amass": recordings.store.fingerprint[:12],
            "features": list(kinds),
            "left out": {"HumanAct12": len(apart)} if humanact12 is None and apart else {},
        },
        tables=(*lists, index),
        splits=[file.stem for file in lists],
        items=items,
        skips=skips,
        read=read_crop,
    )


def read_crops(file: Path) -> dict[str, Crop]:
    """The rows of an index.csv by id.

    Raises:
        FileNotFoundError, ValueError: no such file, or not an index.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such index; --index is HumanML3D's index.csv")
    try:
        return {
            row["new_name"].removesuffix(".npy"): Crop(
                row["source_path"], int(row["start_frame"]), int(row["end_frame"])
            )
            for row in csv.DictReader(read_lines(file))
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{file}: not HumanML3D's index ({error!r}); its columns are source_path, start_frame, end_frame, new_name"
        ) from error


def read_crop(item: CropItem) -> Entry:
    """Reads one clip, gives it HumanML3D's body and place, and computes its features."""
    if isinstance(item.motion, Path):
        file, joints = item.motion, _humanact12(item.motion)
    else:
        file, joints = item.raw / item.name, read_joints(item.motion, FPS)
    frames = standard_frames(joints, item.mirrored, item.features, FPS, file)
    seconds = len(joints) / FPS / item.second
    spans, problems = read_spans(item.text, seconds)
    spans = [
        span._replace(start=span.start * item.second, end=span.end * item.second, split=split)
        for split in item.splits
        for span in spans or [Span(0.0, seconds, "", "", (), "")]
    ]
    return Entry(
        name=item.name,
        stamp=stamp(item),
        digest=digest(item),
        spans=spans,
        skips=[Skip(f"{item.text.parent.name}/{problem.file.name}", problem.reason) for problem in problems],
        frames=frames,
        source=item.crop.path,
        mirrored=item.mirrored,
        origin=item.crop.origin,
        source_fps=item.source_fps,
    )


def _humanact12(file: Path) -> Tensor:
    """The joints (T, 22, 3) of a file that comes with HumanML3D, as they are: y up, and (its issue 147) mirrored."""
    joints = torch.from_numpy(load_array(file, (None, 24, 3))[:, : len(SMPL22.joints)])
    head, foot = (joints[:, SMPL22.joints.index(name), 1].mean() for name in ("head", "left_foot"))
    if head < foot:
        raise BadInput(file, "its head is below its feet: y is down; --humanact12 is the folder that HumanML3D brings")
    return joints

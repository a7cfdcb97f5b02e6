"""Users' own motions: .bvh, .amc with its .asf, .npy and .npz of joints, with captions in a CSV.

Whatever the rig, unit, axes and frame rate, the store holds SMPL's 22 joints in metres as HumanML3D has them: with the
bones of its one body, facing +z, the floor at 0, beginning above the origin (Guo et al. 2022, sec. 4).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.sources.computed import frames_of, kinds_of, require_motion
from motionlang_pl.data.sources.own.acclaim import skeleton_file
from motionlang_pl.data.sources.own.caption_table import Row, read_table
from motionlang_pl.data.sources.own.folder import READERS, Alike, Wishes, load, tell
from motionlang_pl.data.sources.own.recording import Recording
from motionlang_pl.data.sources.own.rigs import misfit
from motionlang_pl.data.sources.own.units import LEG, METRES, UP, leg_length, metric
from motionlang_pl.data.sources.raw import BadInput, Item, Source, digest, stamp
from motionlang_pl.data.writer import Entry, Skip
from motionlang_pl.motion.features import canonical
from motionlang_pl.motion.resample import resample_positions
from motionlang_pl.motion.retarget import retarget
from motionlang_pl.motion.skeleton import SMPL22


@dataclass(frozen=True)
class OwnItem(Item):
    """One motion. alike: what its folder's files are.  rows: its lines of the table of captions."""

    motions: Path
    alike: Alike
    wishes: Wishes
    rows: tuple[Row, ...]

    @property
    def file(self) -> Path:
        """The motion."""
        return self.files[0]


def source(motions: Path, captions: Path | None, wishes: Wishes) -> Source:
    """A folder of motions, with folders in it where wanted; files of one folder and ending are taken to be alike.

    A motion without a caption is motion alone, in the split train.

    Raises:
        FileNotFoundError, ValueError: nothing to read, or something that is neither stated nor can be told.
    """
    _check(wishes)
    stored = kinds_of(wishes.features, SMPL22, wishes.fps)
    if not motions.is_dir():
        raise FileNotFoundError(f"{motions}: no such folder; --motions is one with {', '.join(READERS)} files")
    files = _files(motions)
    rows, skips = ({}, []) if captions is None else read_table(captions)
    kinds = {ending: list(group) for ending, group in groupby(sorted(files, key=_kind), key=_kind)}
    clips: dict[str, OwnItem] = {}
    told: dict[str, Any] = {}
    for (folder, ending), members in kinds.items():
        name = (folder.relative_to(motions) / f"*{ending}").as_posix()
        alike, problems = tell(name, members, wishes)
        if alike is None:
            skips += [Skip(problem.file.relative_to(motions).as_posix(), problem.reason) for problem in problems]
            continue
        told[name] = {"rig": alike.rig.name, "unit": alike.unit, "up": alike.up}
        for file in members:
            place = file.relative_to(motions)
            clip = place.with_suffix("").as_posix()
            if clip in clips:
                skips.append(Skip(place.as_posix(), f"the clip {clip} is {clips[clip].file.name} already; rename one"))
                continue
            mine = (*rows.get(place.as_posix(), ()), *rows.get(clip, ()))
            clips[clip] = OwnItem(clip, _read_from(file), motions, alike, wishes, mine)
    if not clips:
        raise ValueError(f"{motions}: no motion in it can be read; the first, {skips[0].file}: {skips[0].reason}")
    skips += _without_motion(rows, clips, captions)
    return Source(
        name="import",
        raw=motions,
        fps=wishes.fps,
        skeleton=SMPL22.name,
        kinds=stored,
        options={
            "skip_first": wishes.skip_first,
            "keep_bones": wishes.keep_bones,
            "source_fps": wishes.source_fps,
            "features": list(wishes.features),
            "told": told,
            "rigs": {alike.rig.name: repr(alike.rig.points) for alike in {item.alike for item in clips.values()}},
        },
        tables=() if captions is None else (captions,),
        splits=sorted({"train", *(row.split for item in clips.values() for row in item.rows)}),
        items=[clips[clip] for clip in sorted(clips)],
        skips=skips,
        read=read_motion,
    )


def read_motion(item: OwnItem) -> Entry:
    """Reads one motion; BadInput where it can't be used."""
    wishes = item.wishes
    recording = load(item.file, wishes)
    joints = resample_positions(_joints(item, recording)[wishes.skip_first :], recording.fps, wishes.fps)
    require_motion(joints, wishes.fps, item.file)
    try:
        joints = canonical(joints if wishes.keep_bones else retarget(joints, SMPL22))
    except ValueError as error:
        raise BadInput(item.file, str(error)) from error
    spans, skips = _spans(item, len(joints) / wishes.fps)
    return Entry(
        name=item.name,
        stamp=stamp(item),
        digest=digest(item),
        spans=spans,
        skips=skips,
        frames=frames_of(joints, wishes.features, SMPL22, wishes.fps, item.file),
        source=item.file.relative_to(item.motions).as_posix(),
        source_fps=recording.fps,
    )


def _joints(item: OwnItem, recording: Recording) -> Tensor:
    """The 22 joints (T, 22, 3) in metres, y up, of all frames."""
    rig, unit, up = item.alike
    if rig.missing(recording.names):
        raise BadInput(item.file, misfit(recording.names, rig))
    joints = metric(rig.joints(recording), recording.unit or unit, recording.up or up)
    leg = leg_length(joints)
    if not recording.unit and not LEG[0] / 2 < leg < LEG[1] * 2:
        raise BadInput(
            item.file, f"its leg is {leg:.3g} m in the unit {unit} of its folder; give it a folder of its own"
        )
    return joints


def _spans(item: OwnItem, seconds: float) -> tuple[list[Span], list[Skip]]:
    spans, skips = [], []
    for row in item.rows:
        try:
            spans.append(row.span(seconds))
        except ValueError as error:
            skips.append(
                Skip(item.file.relative_to(item.motions).as_posix(), f"line {row.line} of its captions: {error}")
            )
    return spans or [Span(0.0, seconds, "", "", (), "train")], skips


def _check(wishes: Wishes) -> None:
    for option, value, known in (("unit", wishes.unit, METRES), ("up", wishes.up, UP)):
        if value is not None and value not in known:
            raise ValueError(f"--{option} {value}: not one of {', '.join(known)}")
    if not 0 < (wishes.source_fps or 1) < float("inf") or wishes.skip_first < 0:
        raise ValueError("--source_fps must be more than 0, and --skip_first at least 0")


def _files(motions: Path) -> list[Path]:
    """The motions, and a line on the files that are none."""
    found = [file for file in sorted(motions.rglob("*")) if file.is_file()]
    found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(motions).parts)]
    others = Counter(file.suffix.lower() for file in found if file.suffix.lower() not in (*READERS, ".asf", ".csv"))
    if others:
        kinds = ", ".join(f"{count} {ending or 'without ending'}" for ending, count in sorted(others.items()))
        print(f"{motions}: left out {kinds} (FBX, C3D and TRC can be exported as BVH)", file=sys.stderr)
    files = [file for file in found if file.suffix.lower() in READERS]
    if not files:
        raise FileNotFoundError(f"{motions}: no {', '.join(READERS)} file in it")
    return files


def _kind(file: Path) -> tuple[Path, str]:
    return file.parent, file.suffix.lower()


def _read_from(file: Path) -> tuple[Path, ...]:
    if file.suffix.lower() != ".amc":
        return (file,)
    try:
        return (file, skeleton_file(file))
    except BadInput:
        return (file,)  # its reader will name it


def _without_motion(
    rows: Mapping[str, Sequence[Row]], clips: Mapping[str, OwnItem], captions: Path | None
) -> list[Skip]:
    """The captions of files that are not there."""
    known = {name for clip, item in clips.items() for name in (clip, item.file.relative_to(item.motions).as_posix())}
    return [
        Skip(f"{captions.name if captions else ''}:{row.line}", f"there is no motion {name}")
        for name, lines in rows.items()
        if name not in known
        for row in lines
    ]

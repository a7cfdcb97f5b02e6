"""HumanML3D's folder layout (Guo et al. 2022): new_joints/ID.npy, new_joint_vecs/ID.npy, texts/ID.txt, NAME.txt lists.

Lines of texts are `caption#word/POS word/POS#start#end` in seconds, 0.0 and 0.0 (or nan) meaning the whole clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.sources.computed import frames_of, kinds_of, require_motion
from motionlang_pl.data.sources.origin_index import find_index, is_mirrored, origin_of, read_index
from motionlang_pl.data.sources.raw import (
    BadInput,
    Item,
    Source,
    digest,
    frame_shape,
    load_array,
    read_lines,
    read_split_lists,
    split_lists,
    stamp,
)
from motionlang_pl.data.writer import Entry, Skip
from motionlang_pl.motion.features import columns
from motionlang_pl.motion.humanml3d import HUMANML3D, Body
from motionlang_pl.motion.skeleton import SMPL22, Skeleton


@dataclass(frozen=True)
class Layout:
    """A data set that is released in this layout.

    body: what new_joint_vecs hold, and in which unit; its name is that of the kind and of the command.  skeleton: of
    new_joints, which are in the same unit.
    """

    body: Body
    skeleton: Skeleton


LAYOUT = Layout(HUMANML3D, SMPL22)
COMMANDS = {(22, 3): "humanml3d", (263,): "humanml3d", (21, 3): "kitml", (251,): "kitml"}  # by the shape of a frame
HEIGHTS = (0.02, 10.0)  # metres; a body of another height in its first frame is written in another unit


@dataclass(frozen=True)
class HumanML3DItem(Item):
    """One clip.

    splits: the splits that list it.  features: the kinds wanted.  joints, vecs, text: its files, None where nothing is
    read from one.  origin: the recording that it was cut from.
    """

    layout: Layout
    raw: Path
    splits: tuple[str, ...]
    features: tuple[str, ...]
    joints: Path | None
    vecs: Path | None
    text: Path | None
    origin: str


def source(
    raw: Path,
    splits: Path | None,
    features: Sequence[str],
    index: Path | None = None,
    layout: Layout = LAYOUT,
) -> Source:
    """A folder in HumanML3D's layout.

    Where there is a folder new_joint_vecs, the layout's columns are read from it, else computed from positions. Without
    a folder texts the store holds motion alone. `index` says what recordings the clips were cut from; else an index in
    the raw folder does.

    Raises:
        FileNotFoundError, ValueError: a folder or list is not there, a feature kind is none of the layout's, or the
            files are another data set's.
    """
    body, skeleton = layout.body, layout.skeleton
    if not raw.is_dir():
        raise FileNotFoundError(f"{raw}: no such folder; --raw is the one that holds new_joints/ and texts/")
    vecs = body.name in features and (raw / "new_joint_vecs").is_dir()
    kinds = kinds_of(features, skeleton, body.fps, read=(body.name,) if vecs else ())
    wanted = tuple(kinds)
    joints = not (vecs and len(wanted) == 1)
    if joints and not (raw / "new_joints").is_dir():
        raise FileNotFoundError(f"{raw}/new_joints: no such folder; --raw is the folder that holds it")
    texts = (raw / "texts").is_dir()
    lists = split_lists(raw, ("train", "val", "test")) if splits is None else split_lists(splits)
    if not lists:
        raise FileNotFoundError(
            f"{raw}: no train.txt, val.txt or test.txt; give the folder of such lists of ids with --splits DIR"
        )
    found, skips = read_split_lists(lists)
    index = index or find_index(raw)
    origins = {} if index is None else read_index(index)
    items = []
    for name, names in found.items():
        files = (
            raw / "new_joints" / f"{name}.npy" if joints else None,
            raw / "new_joint_vecs" / f"{name}.npy" if vecs else None,
            raw / "texts" / f"{name}.txt" if texts else None,
        )
        present = tuple(file for file in files if file)
        origin = origin_of(name, origins)
        items.append(HumanML3DItem(name, present, layout, raw, tuple(names), wanted, *files, origin))
    _refuse_other_sets(layout, items)
    options: dict[str, Any] = {"features": list(wanted)}
    if body.metres != 1:
        options["metres_per_unit"] = body.metres
    return Source(
        name=body.name,
        raw=raw,
        fps=body.fps,
        skeleton=skeleton.name,
        kinds=kinds,
        options=options,
        tables=[*lists, *filter(None, [index])],
        splits=[file.stem for file in lists],
        items=items,
        skips=skips,
        read=read_clip,
    )


def _refuse_other_sets(layout: Layout, items: Sequence[HumanML3DItem]) -> None:
    """ValueError where the first files are another data set's, which all would be."""
    for files in ([item.joints for item in items], [item.vecs for item in items]):
        file = next((file for file in files if file and file.is_file()), None)
        frame = () if file is None else frame_shape(file)
        command = COMMANDS.get(frame, layout.body.name)
        if command != layout.body.name:
            raise ValueError(
                f"{file}: its frames are {' x '.join(map(str, frame))} numbers, which is another data set's layout; "
                f"read it with `motionlang prepare {command} --raw DIR --out STORE`"
            )


def read_clip(item: HumanML3DItem) -> Entry:
    """Reads one clip and computes its features; BadInput where its motion cannot be used."""
    frames = _frames(item)
    seconds = len(next(iter(frames.values()))) / item.layout.body.fps
    spans, problems = read_spans(item.text, seconds) if item.text else ([], [])
    if not spans:
        spans = [Span(0.0, seconds, "", "", (), "")]
    motion = item.joints or item.vecs
    assert motion is not None
    return Entry(
        name=item.name,
        stamp=stamp(item),
        digest=digest(item),
        spans=[span._replace(split=split) for split in item.splits for span in spans],
        skips=[Skip(str(problem.file.relative_to(item.raw)), problem.reason) for problem in problems],
        frames=frames,
        source=str(motion.relative_to(item.raw)),
        mirrored=is_mirrored(item.name),
        origin=item.origin,
        source_fps=item.layout.body.fps,
    )


def read_spans(file: Path, seconds: float | None) -> tuple[list[Span], list[BadInput]]:
    """The sentences of a text file as spans without a split, and what is wrong with it.

    seconds: length of the clip, or None for sentences without motion.
    """
    spans, problems = [], []
    try:
        lines = read_lines(file)
    except BadInput as problem:
        return [], [problem]
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            spans.append(_span(line, seconds))
        except ValueError as error:
            problems.append(BadInput(file, f"line {number}: {error}"))
    if not lines or not any(lines):
        problems.append(BadInput(file, "holds no sentence"))
    return spans, problems


def _span(line: str, seconds: float | None) -> Span:
    fields = line.split("#")
    if len(fields) != 4:
        raise ValueError(f"has {len(fields)} fields between '#', not 4 (caption#tokens#start#end)")
    caption, tokens = fields[0].strip(), fields[1].strip()
    if not caption:
        raise ValueError("the caption is empty")
    try:
        start, end = (0.0 if math.isnan(float(field)) else float(field) for field in fields[2:])
    except ValueError as error:
        raise ValueError(f"start {fields[2]!r} or end {fields[3]!r} is no number") from error
    if seconds is None:
        return Span(0.0, 0.0, caption, tokens, (), "")
    if start == 0.0 and end == 0.0:
        end = seconds
    if not 0 <= start < min(end, seconds):
        raise ValueError(f"the span from {start:g} to {end:g} s is empty in a clip of {seconds:g} s")
    return Span(start, end, caption, tokens, (), "")


def _frames(item: HumanML3DItem) -> dict[str, NDArray[np.float32]]:
    body, skeleton = item.layout.body, item.layout.skeleton
    frames = {}
    if item.vecs:
        frames[body.name] = load_array(item.vecs, (None, columns(body.name, skeleton)))
    if item.joints:
        joints = load_array(item.joints, (None, len(skeleton.joints), 3)) * np.float32(body.metres)
        if item.vecs:
            rows = len(frames[body.name])
            if len(joints) == rows + 1:
                joints = joints[:-1]  # columns that were just computed have a row less than positions
            if len(joints) != rows:
                raise BadInput(item.vecs, f"has {rows} rows, but new_joints/{item.joints.name} has {len(joints)}")
        moved = torch.from_numpy(joints)
        require_motion(moved, body.fps, item.joints)
        height = float(np.ptp(joints[0, :, 1]))
        if 0 < height < HEIGHTS[0] or height > HEIGHTS[1]:
            unit = "metres" if body.metres == 1 else f"units of {body.metres:g} m"
            raise BadInput(item.joints, f"its body is {height:g} m high in the first frame; is it written in {unit}?")
        return frames_of(moved, item.features, skeleton, body.fps, item.joints, read=frames)
    return frames

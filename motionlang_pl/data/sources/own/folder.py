"""What a user's motions are: rig, unit and up axis of the files of a folder, as stated or as some of the files tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from motionlang_pl.data.sources.own.acclaim import read_amc
from motionlang_pl.data.sources.own.bvh import read_bvh
from motionlang_pl.data.sources.own.joint_arrays import read_npy, read_npz
from motionlang_pl.data.sources.own.recording import Recording
from motionlang_pl.data.sources.own.rigs import Rig, detect_rig, find_rig, misfit
from motionlang_pl.data.sources.own.units import (
    METRES,
    UP,
    detect_unit,
    detect_up,
    faces_forward,
    leg_length,
    metric,
    towards_head,
)
from motionlang_pl.data.sources.raw import BadInput

READERS: dict[str, Callable[[Path], Recording]] = {
    ".bvh": read_bvh,
    ".amc": read_amc,
    ".npy": read_npy,
    ".npz": read_npz,
}
SAMPLE = 8  # files of a folder that are asked


@dataclass(frozen=True)
class Wishes:
    """What the user states; None where the files shall tell.

    rig: a shipped rig's name or a YAML file.  unit: of `METRES`.  up: y or z.  source_fps: frames per second of files
    that do not say.  fps: of the store.  skip_first: frames to leave out at each file's start.  keep_bones: whether
    people keep their own bone lengths.  features: kinds.
    """

    rig: str | None
    unit: str | None
    up: str | None
    source_fps: float | None
    fps: float
    skip_first: int
    keep_bones: bool
    features: tuple[str, ...]


class Alike(NamedTuple):
    """What the files of a folder have in common; where a file states its own unit or axis, that holds for it."""

    rig: Rig
    unit: str
    up: str


def load(file: Path, wishes: Wishes) -> Recording:
    """Reads a file; a unit or axis that the user states goes before what the file states."""
    recording = READERS[file.suffix.lower()](file)
    bad = np.unique(np.argwhere(~np.isfinite(recording.points))[:, 0])
    if len(bad):
        frames = f"{len(bad)} of {len(recording.points)} frames, first in frame {bad[0]}"
        raise BadInput(file, f"holds NaN or infinity in {frames}")
    recording = recording._replace(
        fps=recording.fps or wishes.source_fps or 0.0, unit=wishes.unit or recording.unit, up=wishes.up or recording.up
    )
    for what, value, known in (("unit", recording.unit, METRES), ("up", recording.up, UP)):
        if value and value not in known:
            raise BadInput(file, f"its {what} is {value!r}, not one of {', '.join(known)}")
    if not recording.fps:
        raise BadInput(file, "does not say how many frames a second it has; state it with --source_fps")
    return recording


def tell(name: str, files: Sequence[Path], wishes: Wishes) -> tuple[Alike | None, list[BadInput]]:
    """What the files of a folder are, printed with how that is known; None where no file can be read, and why.

    Raises:
        ValueError: the files are of different rigs, or tell no unit or axis.
    """
    stated = None if wishes.rig is None else find_rig(wishes.rig)
    asked: list[tuple[Path, Rig, Recording]] = []
    problems: list[BadInput] = []
    step = -(-len(files) // SAMPLE)
    for place in sorted(range(len(files)), key=lambda place: (place % step, place)):
        try:
            recording = load(files[place], wishes)
            rig = stated or detect_rig(recording.names)
            if rig is None or rig.missing(recording.names):
                raise BadInput(files[place], misfit(recording.names, rig))
            asked.append((files[place], rig, recording))
        except BadInput as problem:
            problems.append(problem)
        if len(asked) == SAMPLE:
            break
    if not asked:
        return None, problems
    first, rig, _ = asked[0]
    for file, other, _ in asked:
        if other != rig:
            raise ValueError(
                f"{name}: {first.name} is of the rig {rig.name}, {file.name} of {other.name}; give each rig a folder"
            )
    joints = [(recording, rig.joints(recording)) for _, rig, recording in asked]
    try:
        unit, how_unit = _unit(joints, wishes)
        up, how_up = _up(joints, wishes)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    upright = [metric(body, recording.unit or unit, recording.up or up) for recording, body in joints]
    if sum(map(faces_forward, upright)) * 2 < len(upright):
        raise ValueError(
            f"{name}: toes point backwards, so left and right are swapped: mirrored axes (negate one) or a wrong rig"
        )
    how_rig = "by its joints" if stated is None else "stated"
    print(f"{name}: {len(files)} files, rig: {rig.name} ({how_rig}), unit: {unit} ({how_unit}), up: {up} ({how_up})")
    return Alike(rig, unit, up), problems


def _unit(joints: Sequence[tuple[Recording, Tensor]], wishes: Wishes) -> tuple[str, str]:
    if wishes.unit is not None:
        return wishes.unit, "stated"
    untold = [leg_length(body) for recording, body in joints if not recording.unit]
    if not untold:
        return joints[0][0].unit, "written in the files"
    leg = float(np.median(untold))
    return detect_unit(leg), f"detected: a leg of {leg:.4g}"


def _up(joints: Sequence[tuple[Recording, Tensor]], wishes: Wishes) -> tuple[str, str]:
    if wishes.up is not None:
        return wishes.up, "stated"
    untold = [towards_head(body) for recording, body in joints if not recording.up]
    if not untold:
        return joints[0][0].up, "written in the files"
    head = torch.stack(untold).mean(dim=0)
    return detect_up(head), f"detected: heads are {head.norm():.2f} along it"

"""What the action sets (HumanAct12, NTU-13, UESTC) share: names that tell class and subject, bodies seen by a camera.

A camera has x to its right, y down and z away from it. Motion is turned upright, stood on the floor and turned to +z.
A clip has one annotation, the whole of it, with its class as the sentence and as the label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.origins import origin
from motionlang_pl.data.sources.computed import frames_of, kinds_of, require_motion
from motionlang_pl.data.sources.raw import BadInput, Item, Source, checked, digest, open_arrays, stamp
from motionlang_pl.data.writer import Entry, Skip
from motionlang_pl.motion.features import canonical
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.resample import resample_positions, resample_rotations
from motionlang_pl.motion.rotations import matrix_from_axis_angle, matrix_from_rot6d, rot6d_from_matrix
from motionlang_pl.motion.skeleton import SMPL22

UPRIGHT = (1.0, -1.0, -1.0)  # a camera's axes to y up, towards the camera: half a turn about x


@dataclass(frozen=True)
class ActionSet:
    """A set of actions.

    name: of its command.  form: what a clip's name looks like.  pattern: the same as a regular expression with the
    groups `subject` and `action`.  classes: names of the actions.  subjects: of each split.  fps: of its files.
    """

    name: str
    form: str
    pattern: str
    classes: dict[int, str]
    subjects: dict[str, tuple[int, ...]]
    fps: float

    def decode(self, name: str) -> tuple[str, str]:
        """Class and split of a clip; ValueError says what is wrong with its name."""
        found = re.fullmatch(self.pattern, name)
        if not found:
            raise ValueError(f"{name!r} is no clip of {self.name}, whose names are {self.form}")
        action, subject = int(found["action"]), int(found["subject"])
        if action not in self.classes:
            raise ValueError(f"{name!r} has action {action}, which is none of the {len(self.classes)} of {self.name}")
        split = next((split for split, subjects in self.subjects.items() if subject in subjects), None)
        if split is None:
            raise ValueError(f"{name!r} has subject {subject}, who is nobody of {self.name}")
        return self.classes[action], split


class Listed(NamedTuple):
    """A clip as its set lists it. place: where, for reports.  files: what it is read from."""

    name: str
    place: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class ActionItem(Item):
    """A clip. recorded: frames per second of its file.  fps, features: as asked for."""

    raw: Path
    origin: str
    label: str
    split: str
    recorded: float
    fps: float
    features: tuple[str, ...]


def by_official(training: Sequence[int], subjects: int) -> dict[str, tuple[int, ...]]:
    """Subjects 1 to `subjects` by split: the official training ones, every tenth of them for val (ours), the rest."""
    val = tuple(training[9::10])
    return {
        "train": tuple(subject for subject in training if subject not in val),
        "val": val,
        "test": tuple(subject for subject in range(1, subjects + 1) if subject not in training),
    }


def action_source(
    actions: ActionSet,
    raw: Path,
    clips: Iterable[Listed],
    fps: float,
    features: Sequence[str],
    read: Callable[[ActionItem], Entry],
    family: str,
    tables: Sequence[Path] = (),
) -> Source:
    """A set's clips as a source. family: the data set of the recordings, which their origins begin with.

    Raises:
        ValueError: a frame rate or kind that cannot be, or names of which none is the set's.
    """
    kinds = kinds_of(features, SMPL22, fps, read=("smpl_rot6d",))
    if not (math.isfinite(actions.fps) and actions.fps > 0):
        raise ValueError(f"--source_fps {actions.fps:g}: frames per second must be more than 0")
    wanted = tuple(kinds)
    items: dict[str, ActionItem] = {}
    skips = []
    for name, place, files in clips:
        try:
            label, split = actions.decode(name)
            if name in items:
                raise ValueError(f"{name!r} is listed twice")
        except ValueError as problem:
            skips.append(Skip(place, str(problem)))
            continue
        recording = origin(f"{family}/{name}")
        items[name] = ActionItem(name, files, raw, recording, label, split, actions.fps, fps, wanted)
    if not items:
        first = f"; first {skips[0].file}: {skips[0].reason}" if skips else ""
        raise ValueError(f"{raw}: no clip of {actions.name} in it, which are named {actions.form}{first}")
    return Source(
        name=actions.name,
        raw=raw,
        fps=fps,
        skeleton=SMPL22.name,
        kinds=kinds,
        options={"features": list(wanted), "fps": fps, "source_fps": actions.fps},
        tables=tables,
        splits=tuple(actions.subjects),
        items=[items[name] for name in sorted(items)],
        skips=skips,
        read=read,
    )


def never_loaded(pickle: Path, layout: str) -> str:
    """What is said of a pickle: that it is never loaded, and what is read instead."""
    return (
        f"{pickle.name} is a pickle, and pickles are never loaded (they can run code); convert it, where you trust it, "
        f"to {layout}: docs/data.md, 'Action sets', has the lines of Python"
    )


def load_arrays(file: Path, columns_of: dict[str, int]) -> dict[str, NDArray[np.float32]]:
    """Finite arrays (T, C) of a .npz, by name; all have the same T. BadInput where one is not there or wrong."""
    with open_arrays(file) as arrays:
        missing = [name for name in columns_of if name not in arrays.files]
        if missing:
            raise BadInput(file, f"has no {', '.join(missing)}; it has {', '.join(arrays.files) or 'nothing'}")
        found = {name: checked(file, arrays[name], (None, width)) for name, width in columns_of.items()}
    lengths = {len(array) for array in found.values()}
    if len(lengths) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in found.items())
        raise BadInput(file, f"its arrays differ in frames: {shapes}")
    return found


def posed(item: ActionItem, poses: NDArray[np.float32], root: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Joints (T', 22, 3) of the neutral skeleton and SMPL's rotations in 6D (T', 22, 6), at the item's frame rate.

    poses: (T, 72) axis-angles as a camera sees them.  root: (T, 3) metres, likewise.
    """
    upright = torch.tensor(UPRIGHT, dtype=torch.float64)
    local = matrix_from_axis_angle(torch.from_numpy(poses[:, :66]).double().reshape(-1, 22, 3))
    local = torch.cat((upright[:, None] * local[:, :1], local[:, 1:]), dim=1)
    local = matrix_from_rot6d(resample_rotations(rot6d_from_matrix(local), item.recorded, item.fps))
    path = resample_positions(torch.from_numpy(root).double() * upright, item.recorded, item.fps)
    joints = forward_kinematics(local, path, SMPL22)
    stood = canonical(joints)
    before, after = (body[0] - body[0, 0] for body in (joints, stood))
    turn: Tensor = roma.special_procrustes(after.mT @ before)  # the turn to +z, which the root's rotation takes too
    return stood, rot6d_from_matrix(torch.cat((turn @ local[:, :1], local[:, 1:]), dim=1))


def clip_entry(item: ActionItem, joints: Tensor, rot6d: Tensor | None) -> Entry:
    """The store's entry of a clip: joints (T, 22, 3), and SMPL's rotations (T, 22, 6) where they are known."""
    require_motion(joints, item.fps, item.files[0])
    read = {} if rot6d is None else {"smpl_rot6d": rot6d.flatten(1).float().numpy()}
    return Entry(
        name=item.name,
        stamp=stamp(item),
        digest=digest(item),
        spans=[Span(0.0, len(joints) / item.fps, item.label, "", (item.label,), item.split)],
        frames=frames_of(joints.float(), item.features, SMPL22, item.fps, item.files[0], read),
        source=item.files[0].relative_to(item.raw).as_posix(),
        origin=item.origin,
        source_fps=item.recorded,
    )

"""BVH (Biovision hierarchy): a tree of joints with offsets and channels, then one line of channel values per frame.

Our own reader, because no library that we found serves (docs/data.md says what each lacks): any joint may have position
channels, which replace its offset, as in Bandai Namco's files; rotations are composed in the order of the channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.data.sources.own.recording import Recording
from motionlang_pl.data.sources.raw import BadInput, read_lines
from motionlang_pl.motion.rotations import matrix_from_euler

CHANNELS = {f"{axis}{kind}" for axis in "xyz" for kind in ("position", "rotation")}


@dataclass
class _Joint:
    name: str
    parent: int
    offset: list[float] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)


def read_bvh(file: Path) -> Recording:
    """Reads a file; the end of a branch is a point named after its joint, as in `Head_end`."""
    lines = read_lines(file)
    if "MOTION" not in lines:
        raise BadInput(file, "has no line MOTION: it is empty, cut off, or no BVH" if any(lines) else "is empty")
    place = lines.index("MOTION")
    joints = _hierarchy(file, lines[:place])
    values, fps = _motion(file, [line for line in lines[place + 1 :] if line], joints)
    return Recording(tuple(joint.name for joint in joints), _points(joints, values).numpy(), fps)


def frame_rate(seconds: str) -> float:
    """Frames per second of a frame time: a whole number where the time, with as many digits as it has, may mean that.

    0.0333333 is 30 and 0.008333 is 120; 0.033367 is 29.97.  ValueError where it is no time.
    """
    if not 1e-4 < float(seconds) < 10:
        raise ValueError(f"a frame of {seconds} s")
    time = Decimal(seconds)
    whole = round(1 / time)
    digit = Decimal(1).scaleb(int(time.as_tuple().exponent))
    return float(whole) if whole and abs(1 / Decimal(whole) - time) <= digit else float(1 / time)


def _hierarchy(file: Path, lines: list[str]) -> list[_Joint]:
    joints: list[_Joint] = []
    inside: list[int] = []
    for number, line in enumerate(lines, start=1):
        word, *fields = line.split() or [""]
        try:
            if word in ("ROOT", "JOINT"):
                joints.append(_Joint(" ".join(fields), inside[-1] if word == "JOINT" else -1))
            elif word == "End":
                joints.append(_Joint(f"{joints[inside[-1]].name}_end", inside[-1]))
            elif word == "{":
                inside.append(len(joints) - 1)
            elif word == "}":
                inside.pop()
            elif word == "OFFSET":
                joints[inside[-1]].offset = [float(value) for value in fields]
            elif word == "CHANNELS":
                joints[inside[-1]].channels = [name.lower() for name in fields[1 : 1 + int(fields[0])]]
        except (IndexError, ValueError) as error:
            raise BadInput(file, f"line {number}: {line!r} is out of place") from error
    if not joints or inside:
        raise BadInput(file, "its hierarchy has no joint" if not joints else "its hierarchy is cut off: '}' is missing")
    for joint in joints:
        names = set(joint.channels)
        if len(joint.offset) != 3 or len(names) < len(joint.channels) or not names <= CHANNELS:
            raise BadInput(file, f"joint {joint.name} has offset {joint.offset} and channels {joint.channels}")
    return joints


def _motion(file: Path, lines: list[str], joints: list[_Joint]) -> tuple[NDArray[np.float64], float]:
    try:
        count = int(lines[0].removeprefix("Frames:"))
        fps = frame_rate(lines[1].removeprefix("Frame Time:").strip())
    except (IndexError, ValueError, ArithmeticError) as error:
        raise BadInput(file, "after MOTION there is no `Frames: N` with `Frame Time: SECONDS`") from error
    if count < 1 or len(lines) == 2:
        raise BadInput(file, "has no frames")
    try:
        values = np.loadtxt(StringIO("\n".join(lines[2:])), dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise BadInput(file, f"its frames are damaged ({error})") from error
    channels = sum(len(joint.channels) for joint in joints)
    if values.shape != (count, channels):
        wanted = f"{count} frames of {channels} channels"
        raise BadInput(file, f"says {wanted} and has {values.shape[0]} of {values.shape[1]}")
    return values, fps


def _points(joints: list[_Joint], values: NDArray[np.float64]) -> Tensor:
    """Where the joints are, (T, N, 3), by turning each offset with all rotations above it."""
    world = torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64).expand(len(values), 3, 3)
    places: list[tuple[Tensor, Tensor]] = []
    ends = np.cumsum([len(joint.channels) for joint in joints])
    for joint, block in zip(joints, np.split(values, ends[:-1], axis=1), strict=True):
        mine = torch.from_numpy(block)
        channels = dict(zip(joint.channels, mine.T, strict=True))
        parent, turned = places[joint.parent] if joint.parent >= 0 else world
        offset = [
            channels.get(f"{axis}position", mine.new_full((len(mine),), joint.offset["xyz".index(axis)]))
            for axis in "xyz"
        ]
        point = parent + (turned @ torch.stack(offset, dim=-1).unsqueeze(-1)).squeeze(-1)
        turns = [name for name in channels if name.endswith("rotation")]
        if turns:
            angles = torch.stack([channels[name] for name in turns], dim=-1)
            turned = turned @ matrix_from_euler("".join(name[0] for name in turns), angles)
        places.append((point, turned))
    return torch.stack([point for point, _ in places], dim=1)

"""Rigs: which joints of a file are SMPL's 22, as small YAML files; `shipped` holds those of common tools.

A line is `joint: Name`, or `joint: [A, B, 0.4]` for the point 40% of the way from A to B; a line through more joints
(`[A, B, C, 0.4]`) is measured along its bends. `Name_end` is the end of a branch of a BVH.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import yaml
from torch import Tensor

from motionlang_pl.data.sources.own.recording import Recording
from motionlang_pl.motion.skeleton import SMPL22

FOLDER = Path(__file__).parent / "shipped"
SHOWN = 40  # joints of a file that a message lists


@dataclass(frozen=True)
class Rig:
    """Where SMPL's 22 joints are. name: its own.  points: per joint a line of the file's joints, and how far along."""

    name: str
    points: tuple[tuple[tuple[str, ...], float], ...]

    def missing(self, names: Sequence[str]) -> list[str]:
        """The joints that the rig needs and a file with these names lacks."""
        have = set(map(_plain, names))
        return [
            name for name in dict.fromkeys(name for line, _ in self.points for name in line) if _plain(name) not in have
        ]

    def joints(self, recording: Recording) -> Tensor:
        """The 22 joints (T, 22, 3) float64 of a recording that lacks none of them, in its unit and axes."""
        place: dict[str, int] = {}
        for number, name in enumerate(recording.names):
            place.setdefault(_plain(name), number)
        points = torch.from_numpy(recording.points)
        return torch.stack(
            [_along(points[:, [place[_plain(name)] for name in line]], at) for line, at in self.points], dim=1
        )


@cache
def shipped() -> tuple[Rig, ...]:
    """The rigs that come with the package, those that need the most joints first."""
    rigs = [load_rig(file) for file in sorted(FOLDER.glob("*.yaml"))]
    return tuple(sorted(rigs, key=lambda rig: -len({name for line, _ in rig.points for name in line})))


def find_rig(name: str) -> Rig:
    """A shipped rig by its name, or the rig of a YAML file."""
    known = {rig.name: rig for rig in shipped()}
    if name in known:
        return known[name]
    if not name.endswith((".yaml", ".yml")):
        raise ValueError(f"--rig {name}: neither a YAML file nor one of {', '.join(sorted(known))}")
    return load_rig(Path(name))


def detect_rig(names: Sequence[str]) -> Rig | None:
    """The shipped rig whose joints are all among these names, if there is one."""
    return next((rig for rig in shipped() if not rig.missing(names)), None)


def misfit(names: Sequence[str], rig: Rig | None) -> str:
    """Says what a file with these joints lacks for a rig, or for any, and what to do."""
    nearest = min(shipped(), key=lambda other: len(other.missing(names)))
    lacks = f"fits no shipped rig, nearest {nearest.name}, which needs {', '.join(nearest.missing(names))} as well"
    if rig is not None:
        lacks = (
            f"has no joint {', '.join(rig.missing(names))}, which the rig {rig.name} needs (nearest: {nearest.name})"
        )
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"{lacks}; its joints are {', '.join(names[:SHOWN])}{more}; copy a rig of "
        f"{FOLDER}, put in these names, and give it with --rig FILE.yaml"
    )


def load_rig(file: Path) -> Rig:
    """Reads a rig; ValueError says what is wrong with it."""
    try:
        lines = yaml.safe_load(file.read_bytes().decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file}: no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(lines, dict) or set(lines) != set(SMPL22.joints):
        have = set(lines) if isinstance(lines, dict) else set()
        wrong = [f"lacks {name}" for name in SMPL22.joints if name not in have]
        wrong += [f"{name} is no joint of {SMPL22.name}" for name in have - set(SMPL22.joints)]
        raise ValueError(f"{file}: a rig has a line for each of SMPL's 22 joints: {', '.join(wrong)}")
    return Rig(file.stem, tuple(_point(file, joint, lines[joint]) for joint in SMPL22.joints))


def _point(file: Path, joint: str, value: object) -> tuple[tuple[str, ...], float]:
    if isinstance(value, str):
        return (value,), 0.0
    *line, at = value if isinstance(value, list) and value else [None]
    if len(line) < 2 or not all(isinstance(name, str) for name in line) or not isinstance(at, float | int):
        raise ValueError(f"{file}: {joint}: {value!r} is neither a joint's name nor [A, B, how far from A to B]")
    return tuple(line), float(at)


def _plain(name: str) -> str:
    """A joint's name without its namespace (`mixamorig:`) and whatever its case."""
    return re.sub(r"^(.*:|mixamorig\d*_?)", "", name).lower()


def _along(line: Tensor, at: float) -> Tensor:
    """The points (T, 3) at a fraction of the length of lines (T, N, 3)."""
    steps = line[:, 1:] - line[:, :-1]
    lengths = steps.norm(dim=-1)
    ends = lengths.cumsum(dim=1)
    left = at * lengths.sum(dim=1, keepdim=True) - (ends - lengths)
    share = (left / lengths.clamp(min=1e-12)).clamp(0, 1)
    point: Tensor = line[:, 0] + (share.unsqueeze(-1) * steps).sum(dim=1)
    return point

"""AMASS (Mahmood et al. 2019): DATASET/SUBJECT/NAME.npz of SMPL-H or SMPL-X, as SMPL's rotations of 22 body joints.

Joints are those of the person's own body where body models are given, else of the neutral skeleton with its root where
`trans` says, a constant of the person's shape away from the pelvis. Motion stays where AMASS has it: floors differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.origins import dataset_name, origin
from motionlang_pl.data.sources.amass_folder import motions_in, name_of, splits_by_lists, splits_by_subject
from motionlang_pl.data.sources.body_models import Body, body_of, find, load, posed_joints, read_betas, rest_joints
from motionlang_pl.data.sources.computed import frames_of, kinds_of, require_motion
from motionlang_pl.data.sources.raw import BadInput, Item, Source, checked, digest, open_arrays, split_lists, stamp
from motionlang_pl.data.writer import Entry, Skip, sha256
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.resample import resample_positions, resample_rotations
from motionlang_pl.motion.rotations import matrix_from_axis_angle, matrix_from_rot6d, rot6d_from_matrix
from motionlang_pl.motion.skeleton import SMPL22

SPLITS = ("train", "val", "test")
ROTATIONS = ("smpl_rot6d",)  # read; all other kinds are computed of joints


class Windows(NamedTuple):
    """Spans that a clip is cut into, in seconds: their length, and from one's start to the next one's."""

    length: float
    stride: float

    def rows(self, frames: int, fps: float) -> list[tuple[int, int]]:
        """First row and the row after the last of each; the last ends with the clip, a short clip is one window."""
        length = round(self.length * fps)
        last = max(frames - length, 0)
        starts = [round(n * self.stride * fps) for n in range(int(last / (self.stride * fps) + 1e-6) + 1)]
        if starts[-1] < last:
            starts.append(last)
        return [(start, min(start + length, frames)) for start in starts]


@dataclass(frozen=True)
class AMASSItem(Item):
    """One motion. fps, features, windows: as asked for.  splits: those it is in.  body: its body model's file."""

    raw: Path
    fps: float
    features: tuple[str, ...]
    windows: Windows
    splits: tuple[str, ...]
    body: Path | None

    @property
    def file(self) -> Path:
        """The motion's .npz."""
        return self.files[0]


def source(
    raw: Path,
    fps: float,
    features: Sequence[str],
    windows: Windows,
    datasets: Sequence[str] | None = None,
    splits: Path | None = None,
    bodies: Path | None = None,
) -> Source:
    """A folder of AMASS downloads.

    features: kinds of smpl22; `joints` are always there, for rotations do not say where the body is.  datasets: names,
    old or present.  splits: folder of lists NAME.txt of DATASET, DATASET/SUBJECT or DATASET/SUBJECT/NAME, the most
    exact one counts; without it a hash of the subject decides.  bodies: folder of body models.

    Raises:
        FileNotFoundError, ValueError: something asked for is not there or cannot be; all of it is named.
    """
    kinds = kinds_of(("joints", *features), SMPL22, fps, ROTATIONS)
    if not (math.isfinite(windows.length) and round(windows.length * fps) >= 2 and windows.stride * fps >= 1):
        raise ValueError(
            f"--window {windows.length:g} --stride {windows.stride:g}: seconds; at {fps:g} fps a window has two frames "
            "or more, and the next one starts a frame later or more"
        )
    motions, others = motions_in(raw, datasets)
    found = splits_by_subject(raw, motions) if splits is None else splits_by_lists(raw, motions, splits)
    lists = [] if splits is None else split_lists(splits)
    files = list(found)
    models: dict[Body, Path] = {}
    model_of: dict[Path, Path] = {}
    skips: list[Skip] = []
    if bodies is not None:
        fitted, skips = _bodies(raw, files)
        models = find(bodies, fitted.values())
        model_of = {file: models[body] for file, body in fitted.items()}
        files = list(fitted)
    wanted = tuple(kinds)
    items = [
        AMASSItem(name_of(raw, file), (file,), raw, fps, wanted, windows, found[file], model_of.get(file))
        for file in files
    ]
    return Source(
        name="amass",
        raw=raw,
        fps=fps,
        skeleton=SMPL22.name,
        kinds=kinds,
        options={
            "fps": fps,
            "features": list(kinds),
            "datasets": sorted({dataset_name(file.relative_to(raw).parts[0]) for file in files}),
            "window_seconds": windows.length,
            "stride_seconds": windows.stride,
            "splits": "by lists" if lists else "by subject",
            "joints": {f"body model {body}": _described(file) for body, file in models.items()} or "neutral skeleton",
            "left out": {"no motions": others, "in no list": len(motions) - len(found)},
        },
        tables=lists,
        splits=[file.stem for file in lists] or SPLITS,
        items=items,
        skips=skips,
        read=read_motion,
    )


def read_motion(item: AMASSItem) -> Entry:
    """Reads one motion and resamples it; BadInput where it cannot be used."""
    with open_arrays(item.file) as arrays:
        poses, trans, rate = _motion(item.file, arrays)
        rest = None if item.body is None else rest_joints(load(item.body), read_betas(item.file, arrays))
    local = matrix_from_axis_angle(torch.from_numpy(poses).double().reshape(-1, 22, 3))
    y_up = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
    local = torch.cat((y_up @ local[:, :1], local[:, 1:]), dim=1)
    pelvis = 0.0 if rest is None else rest[0].double()  # a body's root turns about its pelvis at rest
    root = (torch.from_numpy(trans).double() + pelvis) @ y_up.T
    rot6d = resample_rotations(rot6d_from_matrix(local), rate, item.fps)
    root = resample_positions(root, rate, item.fps)
    require_motion(root, item.fps, item.file)
    local = matrix_from_rot6d(rot6d)
    joints = forward_kinematics(local, root, SMPL22) if rest is None else posed_joints(rest, local, root)
    place = item.file.relative_to(item.raw).as_posix()
    read = {"smpl_rot6d": rot6d.flatten(1).float().numpy()}
    rows = item.windows.rows(len(root), item.fps)
    return Entry(
        name=item.name,
        stamp=stamp(item),
        digest=digest(item),
        spans=[Span(a / item.fps, b / item.fps, "", "", (), split) for split in item.splits for a, b in rows],
        frames=frames_of(joints, item.features, SMPL22, item.fps, item.file, read),
        source=place,
        origin=origin(place),
        source_fps=rate,
    )


def _bodies(raw: Path, files: Sequence[Path]) -> tuple[dict[Path, Body], list[Skip]]:
    """Which body model each motion was fitted with, and the motions that do not say."""
    fitted, skips = {}, []
    for file in files:
        try:
            fitted[file] = body_of(file)
        except BadInput as problem:
            skips.append(Skip(file.relative_to(raw).as_posix(), problem.reason))
    return fitted, skips


def _described(file: Path) -> dict[str, Any]:
    """What a store says of a body model, so that a store of another one is another store."""
    return {"shape components": load(file).shapes.shape[-1], "sha256": sha256(file)[:12]}


def _motion(file: Path, arrays: NpzFile) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Axis-angles (T, 66) of root and body, root positions (T, 3), frames per second."""
    names = set(arrays.files)
    rate_name = next((name for name in ("mocap_framerate", "mocap_frame_rate") if name in names), None)
    missing = [name for name in ("trans",) if name not in names]
    if "poses" not in names and not {"root_orient", "pose_body"} <= names:
        missing.append("poses")
    if rate_name is None:
        missing.append("mocap_framerate")
    if missing or rate_name is None:
        raise BadInput(file, f"has no {', '.join(missing)}: not a motion of SMPL-H or SMPL-X")
    parts = ("poses",) if "poses" in names else ("root_orient", "pose_body")
    poses = np.concatenate([arrays[name] for name in parts], axis=-1)
    trans, rate = arrays["trans"], float(arrays[rate_name].item())
    if not 1 <= rate < 10_000:
        raise BadInput(file, f"has a frame rate of {rate:g}")
    if poses.ndim != 2 or poses.shape[1] < 66:
        raise BadInput(file, f"has poses of shape {poses.shape}, not (T, 66 or more)")
    poses = checked(file, poses[:, :66], (None, 66))
    return poses, checked(file, trans, (len(poses), 3)), rate

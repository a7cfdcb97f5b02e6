"""AMASS (Mahmood et al. 2019): DATASET/SUBJECT/NAME.npz of SMPL-H or SMPL-X, as SMPL's rotations of 22 body joints.

Read here are rotations, root and frame rate. Joints come from the neutral skeleton, not from a body model, and the root
stands where `trans` says: that differs from the pelvis by a constant of the subject's shape.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.origins import dataset_name, origin
from motionlang_pl.data.sources.raw import BadInput, Item, Source, checked, digest, reading, stamp
from motionlang_pl.data.writer import Entry, Kind
from motionlang_pl.motion.features import columns
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.resample import resample_positions, resample_rotations
from motionlang_pl.motion.rotations import matrix_from_axis_angle, matrix_from_rot6d, rot6d_from_matrix
from motionlang_pl.motion.skeleton import SMPL22

WINDOW = 5.0  # seconds; MoLang (Kim 2023): motions of at most 150 frames at 30 fps
STRIDE = 15  # frames; ours: about as many windows of AMASS as the 364 thousand samples that MoLang reports
SPLITS = ("train", "val", "test")
NOT_MOTION = ("shape.npz", "stagei.npz")  # a subject's body, beside its motions


@dataclass(frozen=True)
class AMASSItem(Item):
    """One motion, to be read at `fps`, in the split of its subject."""

    raw: Path
    fps: float
    split: str

    @property
    def file(self) -> Path:
        """The motion's .npz."""
        return self.files[0]


def source(raw: Path, fps: float, datasets: Sequence[str] | None) -> Source:
    """A folder of AMASS downloads; `datasets` (old names or new) narrows it down.

    Raises:
        FileNotFoundError, ValueError: no folder, no motion in it, or no such data set.
    """
    if not raw.is_dir():
        raise FileNotFoundError(f"{raw}: no such folder; --raw holds the unpacked downloads, DATASET/SUBJECT/NAME.npz")
    if fps <= 0:
        raise ValueError(f"--fps {fps}: frames per second must be more than 0")
    files = [file for file in sorted(raw.glob("*/**/*.npz")) if not file.name.endswith(NOT_MOTION)]
    if not files:
        raise FileNotFoundError(f"{raw}: no motion in it; unpack the downloads to DATASET/SUBJECT/NAME.npz")
    have = {dataset_name(file.relative_to(raw).parts[0]) for file in files}
    wanted = have if datasets is None else {dataset_name(name) for name in datasets}
    if not wanted <= have:
        raise ValueError(f"--datasets {sorted(wanted - have)}: not in {raw}, which has {', '.join(sorted(have))}")
    items = []
    for file in files:
        place = file.relative_to(raw)
        dataset = dataset_name(place.parts[0])
        if dataset in wanted:
            split = split_of(dataset, place.parts[-2])
            items.append(AMASSItem(place.with_suffix("").as_posix(), (file,), raw, fps, split))
    return Source(
        name="amass",
        raw=raw,
        fps=fps,
        skeleton=SMPL22.name,
        kinds={kind: Kind(columns(kind, SMPL22), 0) for kind in ("joints", "smpl_rot6d")},
        options={"fps": fps, "datasets": sorted(wanted), "window_seconds": WINDOW, "stride_frames": STRIDE},
        lists=(),
        splits=SPLITS,
        items=items,
        skips=(),
        read=read_motion,
    )


def split_of(dataset: str, subject: str) -> str:
    """train, val or test (80, 10 and 10 percent of subjects), by a hash: the same on every machine."""
    place = int.from_bytes(hashlib.sha256(f"{dataset}/{subject}".encode()).digest()[:8], "big") / 2**64
    return "train" if place < 0.8 else "val" if place < 0.9 else "test"


def read_motion(item: AMASSItem) -> Entry:
    """Reads one motion and resamples it; BadInput where it cannot be used."""
    poses, trans, rate = _load(item.file)
    local = matrix_from_axis_angle(torch.from_numpy(poses).double().reshape(-1, 22, 3))
    y_up = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
    local = torch.cat((y_up @ local[:, :1], local[:, 1:]), dim=1)
    root = torch.from_numpy(trans).double() @ y_up.T
    rot6d = resample_rotations(rot6d_from_matrix(local), rate, item.fps)
    root = resample_positions(root, rate, item.fps)
    if len(root) < 2:
        raise BadInput(item.file, f"is too short: {len(trans)} frames at {rate:g} fps")
    joints = forward_kinematics(matrix_from_rot6d(rot6d), root, SMPL22)
    frames = {"joints": _rows(joints), "smpl_rot6d": _rows(rot6d)}
    return Entry(
        name=item.name,
        stamp=stamp(item),
        digest=digest(item),
        spans=[Span(a / item.fps, b / item.fps, "", "", (), item.split) for a, b in windows(len(root), item.fps)],
        frames=frames,
        source=item.file.relative_to(item.raw).as_posix(),
        origin=origin(item.file.relative_to(item.raw).as_posix()),
        source_fps=rate,
    )


def windows(frames: int, fps: float) -> list[tuple[int, int]]:
    """First frame, and the frame after the last, of windows of 5 s, 15 frames apart; a short clip is one window."""
    length = round(WINDOW * fps)
    return [(first, min(first + length, frames)) for first in range(0, max(frames - length, 0) + 1, STRIDE)]


def _load(file: Path) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Axis-angles (T, 66) of root and body, root positions (T, 3), frames per second."""
    with reading(file), np.load(file, allow_pickle=False) as arrays:
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
        trans, rate = arrays["trans"], float(arrays[rate_name])
    if not np.isfinite(rate) or rate <= 0:
        raise BadInput(file, f"has a frame rate of {rate:g}")
    if poses.ndim != 2 or poses.shape[1] < 66:
        raise BadInput(file, f"has poses of shape {poses.shape}, not (T, 66 or more)")
    poses = checked(file, poses[:, :66], (None, 66))
    return poses, checked(file, trans, (len(poses), 3)), rate


def _rows(frames: Tensor) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = frames.flatten(1).float().numpy()
    return rows

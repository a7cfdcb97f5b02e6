"""Synthetic motion in the raw layouts of HumanAct12, NTU-13 and UESTC, as a camera sees it.

Classes go by the synthetic actions in turn, so that one action has one class, whatever the class is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from motionlang_pl.data.sources.actions import UPRIGHT
from motionlang_pl.data.sources.humanact12 import HUMANACT12
from motionlang_pl.data.sources.ntu13 import LIST, NTU13
from motionlang_pl.data.sources.synthetic.actions import ACTIONS
from motionlang_pl.data.sources.synthetic.clips import Clip, Take, perform, plan
from motionlang_pl.data.sources.uestc import FOCAL, UESTC, WIDTH
from motionlang_pl.motion.rotations import axis_angle_from_matrix

AWAY = (0.2, 0.3, 12.0)  # metres from the camera to where the first pelvis is; nobody walks as far as that


def write_humanact12(out: Path, clips: int, seed: int) -> None:
    """Write NAME.npy (T, 24, 3) and poses/NAME.npy (T, 72) of clips with one action, 20 fps."""
    (out / "poses").mkdir(parents=True, exist_ok=True)
    for clip, action in _clips(clips, seed, tuple(HUMANACT12.classes)):
        take = perform(clip, HUMANACT12.fps, seed)
        joints = torch.cat((take.joints, take.joints[:, 20:]), dim=1)  # a hand where its wrist is
        name = f"P{clip.actor % 12 + 1:02d}G01R01F{clip.number:04d}T{clip.number + len(joints) - 1:04d}A{action:02d}01"
        np.save(out / f"{name}.npy", _seen(joints.numpy() - take.joints[0, 0].numpy()))
        np.save(out / "poses" / f"{name}.npy", _poses(take))


def write_ntu13(out: Path, clips: int, seed: int) -> None:
    """Write ntu_vibe_list.txt and ntu_vibe/NAME.npz of clips with one action, 30 fps."""
    (out / "ntu_vibe").mkdir(parents=True, exist_ok=True)
    lines = []
    for clip, action in _clips(clips, seed, tuple(NTU13.classes)):
        name = f"S001C001P{clip.actor + 1:03d}R{clip.number:03d}A{action:03d}"
        np.savez(out / "ntu_vibe" / f"{name}.npz", pose=_poses(perform(clip, NTU13.fps, seed)))
        lines.append(f"ntu_vibe/{name}.pkl\n")
    (out / LIST).write_text("".join(sorted(lines)), encoding="utf-8")


def write_uestc(out: Path, clips: int, seed: int) -> None:
    """Write info/names.txt and vibe/NAME.npz of clips with one action, front view, 30 fps."""
    for folder in ("info", "vibe"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    lines = []
    for clip, action in _clips(clips, seed, tuple(UESTC.classes)):
        take = perform(clip, UESTC.fps, seed)
        across, down, away = _seen((take.root - take.root[0]).numpy()).T
        scale = 2 * FOCAL / (WIDTH * away)
        camera = np.column_stack((scale, scale * 16 / 9, across, down)).astype(np.float32)
        name = f"a{action}_d{clip.number % 8 + 1}_p{clip.actor + 1:03d}_c1"
        np.savez(out / "vibe" / f"{name}.npz", pose=_poses(take), orig_cam=camera)
        lines.append(f"{name}_color.avi\n")
    (out / "info" / "names.txt").write_text("".join(sorted(set(lines))), encoding="utf-8")


def _clips(clips: int, seed: int, codes: Sequence[int]) -> Iterator[tuple[Clip, int]]:
    numbers = {name: number for number, name in enumerate(ACTIONS)}
    for clip in plan(clips, seed):
        if len(clip.parts) == 1:
            yield clip, codes[numbers[clip.parts[0].action] % len(codes)]


def _poses(take: Take) -> NDArray[np.float32]:
    """Axis-angles (T, 72) as the camera sees them, hands at rest."""
    upright = torch.tensor(UPRIGHT, dtype=torch.float64)
    local = take.local.double()
    local = torch.cat((upright[:, None] * local[:, :1], local[:, 1:]), dim=1)
    poses = np.zeros((len(local), 72), dtype=np.float32)
    poses[:, :66] = axis_angle_from_matrix(local).flatten(1).numpy()
    return poses


def _seen(points: NDArray[np.float32]) -> NDArray[np.float32]:
    seen: NDArray[np.float32] = points * np.array(UPRIGHT, dtype=np.float32) + np.array(AWAY, dtype=np.float32)
    return seen

"""Small raw folders in HumanML3D's and AMASS's layout, written by the tests themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.rotations import matrix_from_axis_angle
from motionlang_pl.motion.skeleton import SMPL22


def joints(frames: int, seed: int) -> np.ndarray:
    """A body that sways, (T, 22, 3) float32."""
    generator = torch.Generator().manual_seed(seed)
    amplitude, phase = torch.rand(2, 22, 3, generator=generator)
    time = torch.arange(frames)[:, None, None] / 20
    local = matrix_from_axis_angle(0.3 * amplitude * torch.sin(3 * time + 6 * phase))
    root = torch.stack([torch.arange(frames) * 0.02, torch.full((frames,), 0.9), torch.zeros(frames)], dim=-1)
    return forward_kinematics(local, root, SMPL22).numpy().astype(np.float32)


def write_clip(raw: Path, name: str, frames: int, seed: int, *lines: str) -> None:
    for folder in ("new_joints", "texts"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    np.save(raw / "new_joints" / f"{name}.npy", joints(frames, seed))
    (raw / "texts" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def write_humanml3d(raw: Path) -> Path:
    """Six clips: four train (one mirrored, one with a sub-segment), one val, one test."""
    whole = "a person {0}.#a/DET person/NOUN {0}/VERB#0.0#0.0"
    write_clip(raw, "000001", 60, 1, whole.format("walks"), whole.format("strolls"))
    write_clip(raw, "000002", 80, 2, whole.format("turns"), "he jumps at the end.#he/PRON jump/VERB#2.0#3.5")
    write_clip(raw, "000003", 100, 3, whole.format("waves"), "a person sits.#a/DET person/NOUN sit/VERB#nan#nan")
    write_clip(raw, "M000001", 60, 4, whole.format("walks"))
    write_clip(raw, "000004", 50, 5, whole.format("kneels"))
    write_clip(raw, "000005", 40, 6, whole.format("crawls"))
    lists = {"train": ["000001", "000002", "000003", "M000001"], "val": ["000004"], "test": ["000005"]}
    for split, names in lists.items():
        (raw / f"{split}.txt").write_text("\n".join(names) + "\n")
    (raw / "all.txt").write_text("\n".join(name for names in lists.values() for name in names))
    return raw


def write_amass(file: Path, frames: int, fps: float = 120.0, **changes: object) -> None:
    """A body that turns about the vertical (AMASS's z) by a quarter turn a second and walks along its x."""
    file.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(frames) / fps
    poses = np.zeros((frames, 156))
    poses[:, 2] = time * np.pi / 2
    trans = np.stack([time, np.zeros(frames), np.full(frames, 0.9)], axis=1)
    arrays = {"poses": poses, "trans": trans, "mocap_framerate": np.array(fps), "gender": "neutral", **changes}
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})

"""A body that walks and sways, and BVH files of it, written by the tests themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.rotations import matrix_from_axis_angle
from motionlang_pl.motion.skeleton import SMPL22

OFFSETS = torch.tensor(SMPL22.offsets, dtype=torch.float64)


def pose(frames: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Local rotations (T, 22, 3, 3) and root positions (T, 3), float64, metres, y up, at 20 fps."""
    generator = torch.Generator().manual_seed(seed)
    amplitude, phase = torch.rand(2, 22, 3, generator=generator, dtype=torch.float64)
    time = torch.arange(frames, dtype=torch.float64)[:, None, None] / 20
    local = matrix_from_axis_angle(0.3 * amplitude * torch.sin(3 * time + 6 * phase))
    root = torch.stack((time[:, 0, 0], torch.full((frames,), 0.9, dtype=torch.float64), 0.3 * time[:, 0, 0]), dim=-1)
    return local, root


def body(frames: int, seed: int = 0) -> Tensor:
    """The joints (T, 22, 3) float64 of that body."""
    return forward_kinematics(*pose(frames, seed), SMPL22)


def z_up(joints: Tensor) -> Tensor:
    """The same in a world where z is up."""
    x, y, z = joints.unbind(dim=-1)
    return torch.stack((x, -z, y), dim=-1)


def write_bvh(
    file: Path,
    frames: int = 40,
    order: str = "ZXY",
    scale: float = 100.0,
    seconds: str = "0.05",
    moving: bool = False,
    seed: int = 0,
) -> None:
    """Writes the body. order: of the rotation channels.  moving: joints have position channels and no offset."""
    local, root = pose(frames, seed)
    names, parents = SMPL22.joints, SMPL22.parents
    place = " ".join(f"{axis}position" for axis in "XYZ")
    turn = " ".join(f"{axis}rotation" for axis in order)
    head: list[str] = ["HIERARCHY"]

    columns: list[Tensor] = []

    def write(joint: int, depth: int) -> None:
        indent = "\t" * depth
        own = joint == 0 or moving
        offset = torch.zeros(3) if own else OFFSETS[joint] * scale
        head.append(f"{indent}{'JOINT' if depth else 'ROOT'} {names[joint]}")
        head.append(f"{indent}{{")
        head.append(f"{indent}\tOFFSET " + " ".join(f"{value:.8f}" for value in offset.tolist()))
        head.append(f"{indent}\tCHANNELS {6 if own else 3} " + (f"{place} " if own else "") + turn)
        if own:
            columns.append((root if joint == 0 else OFFSETS[joint].expand(frames, 3)) * scale)
        columns.append(roma.rotmat_to_euler(order, local[:, joint], degrees=True))
        for child in (child for child, parent in enumerate(parents) if parent == joint):
            write(child, depth + 1)
        if joint not in parents:
            head.append(f"{indent}\tEnd Site\n{indent}\t{{\n{indent}\t\tOFFSET 0 1 0\n{indent}\t}}")
        head.append(f"{indent}}}")

    write(0, 0)
    values = torch.cat(columns, dim=1).numpy()
    lines = [" ".join(f"{value:.8f}" for value in row) for row in values]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([*head, "MOTION", f"Frames:\t{frames}", f"Frame Time:\t{seconds}", *lines]) + "\n")


def write_npy(file: Path, joints: Tensor) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, joints.numpy())

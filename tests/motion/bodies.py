"""Bodies that stand and bodies that wander, of both skeletons, for tests of what is computed from joints."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.rotations import matrix_from_axis_angle
from motionlang_pl.motion.skeleton import Skeleton


def standing(skeleton: Skeleton, frames: int) -> Tensor:
    """The neutral body on the floor, at the origin, facing +z: (T, J, 3)."""
    local = torch.eye(3).expand(frames, len(skeleton.joints), 3, 3)
    joints = forward_kinematics(local, torch.zeros(frames, 3), skeleton)
    joints[..., 1] -= joints[..., 1].min()
    return joints


def wandering(skeleton: Skeleton, frames: int, turn: float = 0.01, seed: int = 0) -> Tensor:
    """A body that swings all its limbs, walks and turns by `turn` radians a frame: (T, J, 3)."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(frames)[:, None, None]
    phase = torch.rand(1, len(skeleton.joints), 3, generator=generator) * 2 * math.pi
    size = torch.rand(1, len(skeleton.joints), 3, generator=generator) * 0.4
    swing = size * torch.sin(2 * math.pi * time / 30 + phase)
    swing[:, 0] = torch.stack((swing[:, 0, 0], time[:, 0, 0] * turn, swing[:, 0, 2]), dim=-1)
    heading = time[:, 0, 0] * turn
    step = 0.03 * torch.stack((heading.sin(), torch.zeros(frames), heading.cos()), dim=-1)
    return forward_kinematics(matrix_from_axis_angle(swing), step.cumsum(dim=0), skeleton)


def mirrored(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """The same motion in a mirror across x, (T, J, 3)."""
    return joints[:, list(skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0])

"""The two skeletons of the field as data: SMPL's 22 body joints (HumanML3D, AMASS) and MMM's 21 (KIT-ML)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints, parents before children.

    name: what stores and checkpoints call it.  joints: their names.  parents: index of each joint's parent, -1 for the
    root.  offsets: from the parent in the neutral T-pose (metres, y up, facing +z, left at +x).  mirror: index of each
    joint's left-right twin.  parts: torso, left_leg, right_leg, left_arm and right_arm, each joint in exactly one.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: tuple[tuple[float, float, float], ...] = field(repr=False)
    mirror: tuple[int, ...] = field(repr=False)
    parts: dict[str, tuple[int, ...]] = field(repr=False, hash=False)

    def children(self, joint: int) -> tuple[int, ...]:
        """Return the indices of the joints whose parent is `joint`."""
        return tuple(child for child, parent in enumerate(self.parents) if parent == joint)

    def sides(self) -> list[str]:
        """Return the side of the body of each joint: left, right or middle."""
        sides = ["middle"] * len(self.joints)
        for part, joints in self.parts.items():
            for joint in joints:
                sides[joint] = part.partition("_")[0] if part.startswith(("left_", "right_")) else "middle"
        return sides

    def adjacency(self) -> Tensor:
        """Return which joints a bone connects, (J, J) bool, symmetric, without self-loops."""
        bones = torch.zeros(len(self.joints), len(self.joints), dtype=torch.bool)
        for child, parent in enumerate(self.parents):
            if parent >= 0:
                bones[child, parent] = bones[parent, child] = True
        return bones


# Bone lengths are those of HumanML3D's canonical body, both sides averaged; directions are rounded.
SMPL22 = Skeleton(
    name="smpl22",
    joints=(
        *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
        *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    ),
    parents=(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19),
    offsets=(
        (0.0, 0.0, 0.0),
        (0.06, -0.086, -0.016),
        (-0.06, -0.086, -0.016),
        (0.0, 0.126, -0.038),
        (0.04, -0.39, 0.0),
        (-0.04, -0.39, 0.0),
        (0.0, 0.141, 0.025),
        (-0.015, -0.427, -0.036),
        (0.015, -0.427, -0.036),
        (0.0, 0.057, 0.003),
        (0.038, -0.06, 0.128),
        (-0.038, -0.06, 0.128),
        (0.0, 0.217, -0.033),
        (0.078, 0.115, -0.021),
        (-0.078, 0.115, -0.021),
        (0.0, 0.09, 0.05),
        (0.118, 0.046, -0.014),
        (-0.118, 0.046, -0.014),
        (0.258, -0.015, -0.027),
        (-0.258, -0.015, -0.027),
        (0.2675, 0.01, -0.007),
        (-0.2675, 0.01, -0.007),
    ),
    mirror=(0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20),
    parts={
        "torso": (0, 3, 6, 9, 12, 15),
        "left_leg": (1, 4, 7, 10),
        "right_leg": (2, 5, 8, 11),
        "left_arm": (13, 16, 18, 20),
        "right_arm": (14, 17, 19, 21),
    },
)

# KIT-ML as Guo et al. (2022) released it: they turn every clip to +z with joint 11 as the right hip and 5 as the right
# shoulder, so those are the right side of the released coordinates, whatever other lists of MMM joints call them.
# The neutral offsets are our own proportions in metres, not KIT-ML's.
MMM21 = Skeleton(
    name="mmm21",
    joints=(
        *("pelvis", "spine1", "spine2", "neck", "head"),
        *("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
        *("right_hip", "right_knee", "right_ankle", "right_heel", "right_foot"),
        *("left_hip", "left_knee", "left_ankle", "left_heel", "left_foot"),
    ),
    parents=(-1, 0, 1, 2, 3, 3, 5, 6, 3, 8, 9, 0, 11, 12, 13, 14, 0, 16, 17, 18, 19),
    offsets=(
        (0.0, 0.0, 0.0),
        (0.0, 0.1, 0.0),
        (0.0, 0.14, 0.0),
        (0.0, 0.26, 0.0),
        (0.0, 0.1, 0.0),
        (-0.19, -0.05, 0.0),
        (0.0, -0.26, 0.0),
        (0.0, -0.27, 0.0),
        (0.19, -0.05, 0.0),
        (0.0, -0.26, 0.0),
        (0.0, -0.27, 0.0),
        (-0.09, -0.05, 0.0),
        (0.0, -0.39, 0.0),
        (0.0, -0.42, 0.0),
        (0.0, -0.05, 0.03),
        (0.0, 0.0, 0.13),
        (0.09, -0.05, 0.0),
        (0.0, -0.39, 0.0),
        (0.0, -0.42, 0.0),
        (0.0, -0.05, 0.03),
        (0.0, 0.0, 0.13),
    ),
    mirror=(0, 1, 2, 3, 4, 8, 9, 10, 5, 6, 7, 16, 17, 18, 19, 20, 11, 12, 13, 14, 15),
    parts={
        "torso": (0, 1, 2, 3, 4),
        "left_leg": (16, 17, 18, 19, 20),
        "right_leg": (11, 12, 13, 14, 15),
        "left_arm": (8, 9, 10),
        "right_arm": (5, 6, 7),
    },
)


def skeleton(name: str) -> Skeleton:
    """Return the skeleton of that name; ValueError lists the known names."""
    known = {each.name: each for each in (SMPL22, MMM21)}
    if name not in known:
        raise ValueError(f"{name!r} is no known skeleton; choose one of {', '.join(known)}")
    return known[name]

"""Joint angles: 29 numbers a frame in 14 parts, which MotionColBert (arXiv 2603.09930) makes its motion images from.

All is seen along front, up and right, which are z, y and -x.  The body's frame has `right` from hip to hip, `up` from
between the hips to the pelvis and `front` across both; the chest's frame is the body's turned by the lumbar angles.
Hips are seen in the body's frame, shoulders and neck in the chest's.  One thing differs from the paper's: the lumbar
rotation is that of the line between the shoulders, not of the right one about the neck, so that mirroring is exact.

Angles jump in two ways, and the paper leaves both in.  (1) An angle is the same after a whole turn.  Only the pelvis
goes round and round, so `pelvis_rotation` counts on: it starts within (-pi, pi] and never jumps by a turn.  The others
depend on their frame alone, so that equal poses have equal numbers; those that come from a bearing lie within
(-3/4 pi, 5/4 pi], cut where limbs seldom get, and not at pi, where arms are overhead.  (2) A limb that points straight
to the side has no flexion (we say 0), and one that passes there changes it by up to pi at once.  Flexions that count on
would not know which way round: in real motion one arm in 17 would end a clip a whole turn away from where it is.
"""

from __future__ import annotations

import math

import roma
import torch
import torch.nn.functional as F
from torch import Tensor

from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton

# Part, angle, the joints it tells about (not those of the frame it is seen in), its sign in the mirror.
_TABLE = (
    ("position", "front", "pelvis", 1),
    ("position", "up", "pelvis", 1),
    ("position", "right", "pelvis", -1),
    ("pelvis", "tilt", "pelvis left_hip right_hip", 1),
    ("pelvis", "list", "pelvis left_hip right_hip", -1),
    ("pelvis", "rotation", "pelvis left_hip right_hip", -1),
    ("right_hip", "flexion", "right_hip right_knee", 1),
    ("right_hip", "adduction", "right_hip right_knee", 1),
    ("right_hip", "rotation", "right_hip right_knee right_ankle", 1),
    ("left_hip", "flexion", "left_hip left_knee", 1),
    ("left_hip", "adduction", "left_hip left_knee", 1),
    ("left_hip", "rotation", "left_hip left_knee left_ankle", 1),
    ("right_knee", "flexion", "right_hip right_knee right_ankle", 1),
    ("left_knee", "flexion", "left_hip left_knee left_ankle", 1),
    ("right_ankle", "flexion", "right_knee right_ankle right_foot", 1),
    ("left_ankle", "flexion", "left_knee left_ankle left_foot", 1),
    ("lumbar", "extension", "pelvis neck", 1),
    ("lumbar", "bending", "pelvis neck", -1),
    ("lumbar", "rotation", "left_shoulder right_shoulder", -1),
    ("neck", "flexion", "neck head", 1),
    ("neck", "adduction", "neck head", -1),
    ("right_shoulder", "flexion", "right_shoulder right_elbow", 1),
    ("right_shoulder", "adduction", "right_shoulder right_elbow", 1),
    ("right_shoulder", "rotation", "right_shoulder right_elbow right_wrist", -1),
    ("left_shoulder", "flexion", "left_shoulder left_elbow", 1),
    ("left_shoulder", "adduction", "left_shoulder left_elbow", 1),
    ("left_shoulder", "rotation", "left_shoulder left_elbow left_wrist", -1),
    ("right_elbow", "flexion", "right_shoulder right_elbow right_wrist", 1),
    ("left_elbow", "flexion", "left_shoulder left_elbow left_wrist", 1),
)
_PART = [part for part, *_ in _TABLE]
_OTHER_SIDE = {"left": "right", "right": "left"}


def _twin(angle: str) -> str:
    side, rest = angle.split("_", 1)
    return f"{_OTHER_SIDE.get(side, side)}_{rest}"


ANGLES = tuple(f"{part}_{angle}" for part, angle, *_ in _TABLE)
"""Name of each column; `position` is in metres, the rest in radians."""
PARTS = {part: slice(_PART.index(part), _PART.index(part) + _PART.count(part)) for part in dict.fromkeys(_PART)}
"""Columns of each of the 14 parts, in order."""
MIRROR = tuple(ANGLES.index(_twin(angle)) for angle in ANGLES)
"""For each column its left-right twin."""
MIRROR_SIGN = tuple(sign for *_, sign in _TABLE)
"""The sign that its twin takes in the mirror."""

_PELVIS = {SMPL22.name: "pelvis", MMM21.name: "spine1"}  # MMM's own pelvis is the joint above the root
_SMALL = 1e-5  # a direction or, in metres, a distance that float32 positions cannot tell from none


def angles(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the angles (..., T, 29) float32, columns as in `ANGLES`, of a motion (..., T, J, 3) in metres, y up.

    Always finite: a limb without length has no angle (0), a body frame that hips and pelvis do not give is taken from
    shoulders and trunk, or else from the world.
    """
    at = _places(joints, skeleton)
    body = _body_frame(at)
    flexion, bending, bent = _swing(at["neck"] - at["pelvis"], body, 1.0)
    turn = _asin(_seen(at["right_shoulder"] - at["left_shoulder"], bent)[..., 0])
    chest = bent @ roma.euler_to_rotmat("Y", [turn])
    head = _swing(at["head"] - at["neck"], chest, 1.0)
    found = {
        "position": at["pelvis"],
        "pelvis": _pelvis_angles(body),
        "lumbar": torch.stack((-flexion, bending, turn), dim=-1),
        "neck": torch.stack(head[:2], dim=-1),
    }
    for side, outward in (("right", 1.0), ("left", -1.0)):
        thigh, shank, foot, upper_arm, forearm = (
            at[f"{side}_{end}"] - at[f"{side}_{start}"]
            for start, end in (
                *(("hip", "knee"), ("knee", "ankle"), ("ankle", "foot")),
                *(("shoulder", "elbow"), ("elbow", "wrist")),
            )
        )
        found[f"{side}_hip"] = _limb(thigh, shank, body) * thigh.new_tensor((1, -outward, outward))
        found[f"{side}_shoulder"] = _limb(upper_arm, forearm, chest) * thigh.new_tensor((1, -outward, -1))
        found[f"{side}_knee"] = _between(thigh, shank)
        found[f"{side}_elbow"] = _between(upper_arm, forearm)
        square = F.normalize(shank, dim=-1) * F.normalize(foot, dim=-1)
        found[f"{side}_ankle"] = -_asin(square.sum(dim=-1, keepdim=True))
    return torch.cat([found[part] for part in PARTS], dim=-1).float()


def column_joints(skeleton: Skeleton) -> Tensor:
    """Return the joints (29, J) bool that each column tells about; spine, collars and heels are in none."""
    numbers = _numbers(skeleton)
    told = torch.zeros(len(ANGLES), len(skeleton.joints), dtype=torch.bool)
    for column, (_, _, joints, _) in enumerate(_TABLE):
        told[column, [numbers[joint] for joint in joints.split()]] = True
    return told


def _numbers(skeleton: Skeleton) -> dict[str, int]:
    numbers = {joint: number for number, joint in enumerate(skeleton.joints)}
    return {**numbers, "pelvis": numbers[_PELVIS[skeleton.name]]}


def _places(joints: Tensor, skeleton: Skeleton) -> dict[str, Tensor]:
    """Where each joint is, (..., T, 3) float64 along front, up and right."""
    x, y, z = joints.double().unbind(dim=-1)
    seen = torch.stack((z, y, -x), dim=-1)
    return {joint: seen[..., number, :] for joint, number in _numbers(skeleton).items()}


def _body_frame(at: dict[str, Tensor]) -> Tensor:
    """The body's front, up and right as the columns of (..., T, 3, 3)."""
    middle = (at["left_hip"] + at["right_hip"]) / 2
    front, up, right = (middle.new_tensor(axis).expand_as(middle) for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    across = _first(at["right_hip"] - at["left_hip"], at["right_shoulder"] - at["left_shoulder"], right)
    candidates = (at["pelvis"] - middle, at["neck"] - middle, up, front)
    upward = _first(*(each - (each * across).sum(dim=-1, keepdim=True) * across for each in candidates))
    return torch.stack((torch.linalg.cross(upward, across), upward, across), dim=-1)


def _first(*vectors: Tensor) -> Tensor:
    """The direction of the first vector that has a length."""
    found = vectors[-1]
    for vector in reversed(vectors[:-1]):
        found = torch.where(vector.norm(dim=-1, keepdim=True) > _SMALL, vector, found)
    return F.normalize(found, dim=-1)


def _pelvis_angles(body: Tensor) -> Tensor:
    """Tilt, list and rotation (..., T, 3): intrinsic Euler angles ZXY of the matrix whose rows are front, up, right."""
    front, up, right = body.unbind(dim=-1)
    tilt = _cut(_bearing(-front[..., 1], up[..., 1]))
    turn = _bearing(-right[..., 0], right[..., 2])
    turns = (turn.diff(dim=-1) / (2 * math.pi)).round().cumsum(dim=-1)
    return torch.stack((tilt, _asin(right[..., 1]), turn - 2 * math.pi * F.pad(turns, (1, 0))), dim=-1)


def _swing(bone: Tensor, frame: Tensor, rest: float) -> tuple[Tensor, Tensor, Tensor]:
    """How far a bone swings to the front and to the right, (..., T) each, and the frame that swings with it.

    rest: 1 for a bone that points up at rest, -1 for one that hangs.
    """
    front, up, right = _seen(bone, frame).unbind(dim=-1)
    flexion, lift = _cut(_bearing(front, rest * up)), _asin(right)
    return flexion, lift, frame @ roma.euler_to_rotmat("ZX", [-rest * flexion, rest * lift])


def _limb(upper: Tensor, lower: Tensor, frame: Tensor) -> Tensor:
    """Flexion, swing to the right and rotation (..., T, 3) of a limb that hangs at rest.

    The rotation is how far its lower bone leaves, to the right, the plane in which the upper one is flexed.
    """
    flexion, lift, turned = _swing(upper, frame, -1.0)
    return torch.stack((flexion, lift, _asin(_seen(lower, turned)[..., 2])), dim=-1)


def _seen(vector: Tensor, frame: Tensor) -> Tensor:
    """Direction (..., 3) of a vector along the columns of a frame; zero stays zero."""
    return (F.normalize(vector, dim=-1).unsqueeze(-2) @ frame).squeeze(-2)


def _between(one: Tensor, other: Tensor) -> Tensor:
    """The angle (..., 1) between two vectors, 0 to pi."""
    sine = torch.linalg.cross(one, other).norm(dim=-1, keepdim=True)
    return torch.atan2(sine, (one * other).sum(dim=-1, keepdim=True))


def _bearing(sine: Tensor, cosine: Tensor) -> Tensor:
    """The angle within (-pi, pi] of a point in the plane, 0 at the plane's origin."""
    return torch.where(torch.hypot(sine, cosine) > _SMALL, torch.atan2(sine, cosine), 0.0)


def _cut(angle: Tensor) -> Tensor:
    """The same angle within (-3/4 pi, 5/4 pi]."""
    return torch.where(angle <= -3 / 4 * math.pi, angle + 2 * math.pi, angle)


def _asin(sine: Tensor) -> Tensor:
    return sine.clamp(-1, 1).asin()

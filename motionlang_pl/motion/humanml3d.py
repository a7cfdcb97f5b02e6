"""The representation of motion of HumanML3D and KIT-ML, and the way back to joints.

Guo et al. 2022, sec. 4; where the paper is silent, what the released data shows.  T frames give T-1 rows of 12 J - 1
columns (263 for 22 joints, KIT-ML's 251 for 21): root yaw velocity 1, root velocity on the ground 2, root height 1,
local positions 3 (J-1), 6D bone rotations 6 (J-1), joint velocities 3 J, foot contacts 4.

Quirks that the published numbers contain and this module keeps: the heading of every frame but the first subtracts the
shoulders' direction from the hips' instead of adding it; it is smoothed over eighty frames to each side, except in the
first frame, which is +z by definition; an arm's first bone is relative to the heading, not to the spine; yaw velocity
is half the angle, and has the wrong sign in the one row in which the heading passes -z, so that the joints read back
from such a clip are turned by a few degrees from there on; root velocity is seen from the next frame's heading, joint
velocity from this frame's.  KIT-ML's columns are in millimetres of MMM's reference body, a metre high whoever moved;
its hips and shoulders point, at rest, to the side where they are not, so that their rotations are near half turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlang_pl.motion.rotations import matrix_from_axis_angle, rot6d_from_matrix, rotation_between

SMOOTHING = 20.0  # standard deviation of the heading's Gaussian, in frames
SPAN = 80  # the Gaussian is cut after four standard deviations

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_DOWN, _RIGHT = (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Body:
    """What the representation takes from the body that it describes.

    name: of the feature kind.  fps: frames per second.  metres: length of the unit of its columns.  contact: square of
    the way per frame below which a foot stands, in that unit.  hips, shoulders: left, right.  feet: in the order of the
    contact columns.  chains: joints from the root or the chest outwards.  axes: direction at rest of the bone that ends
    in each joint (the root's is not used).
    """

    name: str
    fps: float
    metres: float
    contact: float
    hips: tuple[int, int]
    shoulders: tuple[int, int]
    feet: tuple[int, int, int, int]
    chains: tuple[tuple[int, ...], ...]
    axes: tuple[tuple[float, float, float], ...]


HUMANML3D = Body(
    name="humanml3d",
    fps=20.0,
    metres=1.0,
    contact=0.002,
    hips=(1, 2),
    shoulders=(16, 17),
    feet=(7, 10, 8, 11),
    chains=((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20)),
    axes=(
        *(_Y, _X, _RIGHT, _Y, _DOWN, _DOWN, _Y, _DOWN, _DOWN, _Y, _Z, _Z),
        *(_Y, _X, _RIGHT, _Z, _DOWN, _DOWN, _DOWN, _DOWN, _DOWN, _DOWN),
    ),
)
KITML = Body(
    name="kitml",
    fps=12.5,
    metres=0.001,
    contact=0.05,
    hips=(16, 11),
    shoulders=(8, 5),
    feet=(19, 20, 14, 15),
    chains=((0, 11, 12, 13, 14, 15), (0, 16, 17, 18, 19, 20), (0, 1, 2, 3, 4), (3, 5, 6, 7), (3, 8, 9, 10)),
    axes=(
        *(_Y, _Y, _Y, _Y, _Y, _X, _DOWN, _DOWN, _RIGHT, _DOWN, _DOWN),
        *(_X, _DOWN, _DOWN, _Z, _Z, _RIGHT, _DOWN, _DOWN, _Z, _Z),
    ),
)


def canonical(joints: Tensor, body: Body = HUMANML3D) -> Tensor:
    """Return the motion (T, J, 3) stood on the floor, starting at the origin and facing +z in the first frame."""
    floor = joints[..., 1].amin()
    origin = torch.stack((joints[0, 0, 0], floor, joints[0, 0, 2]))
    (left, right), (left_shoulder, right_shoulder) = joints[0, list(body.hips)], joints[0, list(body.shoulders)]
    across = right - left + right_shoulder - left_shoulder
    return _turn(joints - origin, -torch.atan2(across[2], -across[0]))


def humanml3d(joints: Tensor, fps: float = HUMANML3D.fps) -> Tensor:
    """Return the 263 columns (T-1, 263) float32 of a motion (T, 22, 3) in metres, y up.

    Raises ValueError when the frame rate is not 20 (contacts and smoothing are defined per frame) or T < 2.
    """
    return _columns(joints, fps, HUMANML3D)


def kitml(joints: Tensor, fps: float = KITML.fps) -> Tensor:
    """Return the 251 columns (T-1, 251) float32 of a motion (T, 21, 3) in metres, y up; the columns are in millimetres.

    Released KIT-ML positions are in millimetres: `kitml(0.001 * new_joints)`.  A foot stands where it moves by less
    than sqrt(0.05) mm per frame.  Raises ValueError when the frame rate is not 12.5 or T < 2.
    """
    return _columns(joints, fps, KITML)


def joints_from_humanml3d(features: Tensor) -> Tensor:
    """Return the joints (..., T, J, 3), in the unit of the features (..., T, 12 J - 1): root path plus local positions.

    The rotations are not read: HumanML3D's are relative to raw bone axes and are no SMPL rotations.
    """
    count = (features.shape[-1] + 1) // 12
    yaw = -2 * _running_sum(features[..., 0])
    ground = F.pad(features[..., :-1, 1:3], (0, 0, 1, 0))
    steps = torch.stack((ground[..., 0], torch.zeros_like(ground[..., 0]), ground[..., 1]), dim=-1)
    path = _turn(steps, yaw).cumsum(dim=-2)
    local = features[..., 4 : 1 + 3 * count].reshape(*features.shape[:-1], count - 1, 3)
    others = _turn(local, yaw[..., None]) + path[..., None, :]
    root = torch.stack((path[..., 0], features[..., 3], path[..., 2]), dim=-1)
    return torch.cat((root[..., None, :], others), dim=-2)


def joints_from_kitml(features: Tensor) -> Tensor:
    """Return the joints (..., T, 21, 3) in metres of KIT-ML's columns (..., T, 251) in millimetres."""
    return joints_from_humanml3d(features) * KITML.metres


def motion_before(features: Tensor) -> Tensor:
    """Return the motion (T+1, J, 3) that released columns (T, 12 J - 1) were computed from, in their unit, as float64.

    `joints_from_humanml3d` without what it loses: the last frame, which only the last velocities tell, and the turn of
    all that follows a row in which the heading passes -z and the yaw velocity has the wrong sign.
    """
    features = features.double()
    velocity = features[:, 0]
    odd = (velocity * velocity.roll(1) < 0) & (velocity * velocity.roll(-1) < 0)  # the heading is smooth
    odd[:2] = odd[-1:] = False  # the first frame's heading is not smoothed, the last row turns nothing that is known
    turned = torch.where(odd, -velocity, velocity)
    rounds = ((F.pad(-2 * turned.cumsum(dim=0), (1, 0)) + torch.pi) / (2 * torch.pi)).floor()
    velocity = torch.where(odd & (rounds[1:] != rounds[:-1]), -velocity, velocity)
    joints = joints_from_humanml3d(torch.cat((velocity[:, None], features[:, 1:]), dim=1))
    count = joints.shape[-2]
    last = joints[-1] + _turn(features[-1, 9 * count - 5 : 12 * count - 5].view(count, 3), -2 * velocity[:-1].sum())
    return torch.cat((joints, last[None]))


def _columns(joints: Tensor, fps: float, body: Body) -> Tensor:
    if fps != body.fps:
        raise ValueError(f"{body.name} is defined at {body.fps:g} fps and this motion has {fps:g}; resample it first")
    if len(joints) < 2:
        raise ValueError(f"{body.name} needs two frames and this motion has {len(joints)}")
    joints = canonical(joints.double() / body.metres, body)
    yaw = _heading(joints, body)
    half_turn = _half_turn(yaw)

    steps = joints[1:] - joints[:-1]
    root_velocity = _turn(steps[:, 0], -yaw[1:])[:, [0, 2]]
    centre = joints[:, :1] * joints.new_tensor([1.0, 0.0, 1.0])
    local = _turn(joints - centre, -yaw[:, None])
    velocity = _turn(steps, -yaw[:-1, None])
    contacts = steps[:, list(body.feet)].square().sum(dim=-1) < body.contact
    blocks = (
        half_turn[:, None],
        root_velocity,
        joints[:-1, 0, 1:2],
        local[:-1, 1:].flatten(1),
        _bone_rotations(joints, yaw, body)[:-1].flatten(1),
        velocity.flatten(1),
        contacts,
    )
    return torch.cat([block.float() for block in blocks], dim=1)


def _turn(vectors: Tensor, yaw: Tensor) -> Tensor:
    """Turn vectors (..., 3) about the y axis by angles (...), from +z towards +x."""
    x, y, z = vectors.unbind(dim=-1)
    sine, cosine = yaw.sin(), yaw.cos()
    return torch.stack((x * cosine + z * sine, y, z * cosine - x * sine), dim=-1)


def _running_sum(velocity: Tensor) -> Tensor:
    return F.pad(velocity[..., :-1], (1, 0)).cumsum(dim=-1)


def _heading(joints: Tensor, body: Body) -> Tensor:
    """Angle (T,) from +z towards +x at which the body looks, smoothed."""
    hips = joints[:, body.hips[0]] - joints[:, body.hips[1]]
    shoulders = joints[:, body.shoulders[1]] - joints[:, body.shoulders[0]]
    across = F.normalize(hips + shoulders, dim=-1)
    forward = _smooth(torch.stack((across[:, 2], -across[:, 0])))
    yaw = torch.atan2(forward[0], forward[1])
    return torch.cat((torch.zeros_like(yaw[:1]), yaw[1:]))


def _smooth(curves: Tensor) -> Tensor:
    """Gaussian filter along the last dimension of (N, T); the end values go on beyond the ends."""
    places = torch.arange(-SPAN, SPAN + 1, dtype=curves.dtype, device=curves.device)
    kernel = (-0.5 * (places / SMOOTHING).square()).exp()
    padded = F.pad(curves[:, None], (SPAN, SPAN), mode="replicate")
    return F.conv1d(padded, (kernel / kernel.sum()).view(1, 1, -1))[:, 0]


def _half_turn(yaw: Tensor) -> Tensor:
    """Half the angle (T-1,) from the next frame's heading to this one's; the headings are in (-pi, pi]."""
    return torch.asin(torch.sin((yaw[:-1] - yaw[1:]) / 2))


def _bone_rotations(joints: Tensor, yaw: Tensor, body: Body) -> Tensor:
    """6D rotations (T, J-1, 6) of the bones that end in joints 1 to J-1, each relative to the bone before it."""
    ends = [(start, end, index == 0) for chain in body.chains for index, (start, end) in enumerate(pairwise(chain))]
    start, before = [0] * len(body.axes), [0] * len(body.axes)
    for joint, end, first in ends:
        start[end], before[end] = joint, 0 if first else joint
    bones = rotation_between(joints.new_tensor(body.axes), joints - joints[:, start])
    heading = matrix_from_axis_angle(-yaw[:, None] * joints.new_tensor(_Y))
    bones = torch.cat((heading[:, None], bones[:, 1:]), dim=1)  # a chain's first bone is relative to the heading
    return rot6d_from_matrix(bones[:, before].mT @ bones)[:, 1:]

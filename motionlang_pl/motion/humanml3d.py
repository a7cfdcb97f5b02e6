"""HumanML3D's representation of motion and the way back to joints.

Guo et al. 2022, sec. 4; where the paper is silent, what the released data shows.  T frames give T-1 rows of 12 J - 1
columns (263 for 22 joints, KIT-ML's 251 for 21): root yaw velocity 1, root velocity on the ground 2, root height 1,
local positions 3 (J-1), 6D bone rotations 6 (J-1), joint velocities 3 J, foot contacts 4.

Quirks that the published numbers contain and this module keeps: the heading of every frame but the first subtracts the
shoulders' direction from the hips' instead of adding it; it is smoothed over four seconds to each side, except in the
first frame, which is +z by definition; an arm's first bone is relative to the heading, not to the spine; yaw velocity
is half the angle, and has the wrong sign in the one row in which the heading passes -z, so that the joints read back
from such a clip are turned by a few degrees from there on; root velocity is seen from the next frame's heading, joint
velocity from this frame's.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlang_pl.motion.rotations import matrix_from_axis_angle, rot6d_from_matrix, rotation_between

FPS = 20.0
CONTACT = 0.002  # square of the way per frame below which a foot stands, in square metres
SMOOTHING = 20.0  # standard deviation of the heading's Gaussian, in frames
SPAN = 80  # the Gaussian is cut after four standard deviations

LEFT_HIP, RIGHT_HIP, LEFT_SHOULDER, RIGHT_SHOULDER = 1, 2, 16, 17
FEET = (7, 10, 8, 11)
CHAINS = ((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20))
# The bone that ends in a joint points along one axis at rest.
_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_DOWN, _RIGHT = (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0)
_AXES = (
    *(_Y, _X, _RIGHT, _Y, _DOWN, _DOWN, _Y, _DOWN, _DOWN, _Y, _Z, _Z),  # the root's is not used
    *(_Y, _X, _RIGHT, _Z, _DOWN, _DOWN, _DOWN, _DOWN, _DOWN, _DOWN),
)


def canonical(joints: Tensor) -> Tensor:
    """Return the motion (T, 22, 3) stood on the floor, starting at the origin and facing +z in the first frame."""
    floor = joints[..., 1].amin()
    origin = torch.stack((joints[0, 0, 0], floor, joints[0, 0, 2]))
    first = joints[0]
    across = first[RIGHT_HIP] - first[LEFT_HIP] + first[RIGHT_SHOULDER] - first[LEFT_SHOULDER]
    return _turn(joints - origin, -torch.atan2(across[2], -across[0]))


def humanml3d(joints: Tensor, fps: float = FPS) -> Tensor:
    """Return the 263 columns (T-1, 263) float32 of a motion (T, 22, 3) in metres, y up.

    Raises ValueError when the frame rate is not 20 (contacts and smoothing are defined per frame) or T < 2.
    """
    if fps != FPS:
        raise ValueError(f"humanml3d is defined at {FPS:g} fps and this motion has {fps:g}; resample it first")
    if len(joints) < 2:
        raise ValueError(f"humanml3d needs two frames and this motion has {len(joints)}")
    joints = canonical(joints.double())
    yaw = _heading(joints)
    half_turn = _half_turn(yaw)

    steps = joints[1:] - joints[:-1]
    root_velocity = _turn(steps[:, 0], -yaw[1:])[:, [0, 2]]
    centre = joints[:, :1] * joints.new_tensor([1.0, 0.0, 1.0])
    local = _turn(joints - centre, -yaw[:, None])
    velocity = _turn(steps, -yaw[:-1, None])
    contacts = steps[:, list(FEET)].square().sum(dim=-1) < CONTACT
    blocks = (
        half_turn[:, None],
        root_velocity,
        joints[:-1, 0, 1:2],
        local[:-1, 1:].flatten(1),
        _bone_rotations(joints, yaw)[:-1].flatten(1),
        velocity.flatten(1),
        contacts,
    )
    return torch.cat([block.float() for block in blocks], dim=1)


def joints_from_humanml3d(features: Tensor) -> Tensor:
    """Return the joints (..., T, J, 3) in metres of features (..., T, 12 J - 1): root path plus local positions.

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


def _turn(vectors: Tensor, yaw: Tensor) -> Tensor:
    """Turn vectors (..., 3) about the y axis by angles (...), from +z towards +x."""
    x, y, z = vectors.unbind(dim=-1)
    sine, cosine = yaw.sin(), yaw.cos()
    return torch.stack((x * cosine + z * sine, y, z * cosine - x * sine), dim=-1)


def _running_sum(velocity: Tensor) -> Tensor:
    return F.pad(velocity[..., :-1], (1, 0)).cumsum(dim=-1)


def _heading(joints: Tensor) -> Tensor:
    """Angle (T,) from +z towards +x at which the body looks, smoothed."""
    hips = joints[:, LEFT_HIP] - joints[:, RIGHT_HIP]
    shoulders = joints[:, RIGHT_SHOULDER] - joints[:, LEFT_SHOULDER]
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


def _bone_rotations(joints: Tensor, yaw: Tensor) -> Tensor:
    """6D rotations (T, 21, 6) of the bones that end in joints 1 to 21, each relative to the bone before it."""
    ends = [(start, end, index == 0) for chain in CHAINS for index, (start, end) in enumerate(pairwise(chain))]
    start, before = [0] * len(_AXES), [0] * len(_AXES)
    for joint, end, first in ends:
        start[end], before[end] = joint, 0 if first else joint
    bones = rotation_between(joints.new_tensor(_AXES), joints - joints[:, start])
    heading = matrix_from_axis_angle(-yaw[:, None] * joints.new_tensor(_Y))
    bones = torch.cat((heading[:, None], bones[:, 1:]), dim=1)  # a chain's first bone is relative to the heading
    return rot6d_from_matrix(bones[:, before].mT @ bones)[:, 1:]

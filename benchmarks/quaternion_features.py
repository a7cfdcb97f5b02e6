"""HumanML3D's 263 columns as its published procedure computes them: quaternion arrays in numpy, vectorised over frames.

Written from the procedure's description, as the reference of `benchmarks/data.py`; it gives the package's numbers.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from motionlang_pl.motion.humanml3d import SMOOTHING, SPAN

Array = NDArray[np.float64]

HIP_L, HIP_R, SHOULDER_L, SHOULDER_R = 1, 2, 16, 17
FEET = [7, 10, 8, 11]
CHAINS = ((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20))
UP, FRONT = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
AXES = np.zeros((22, 3))
AXES[[1, 16, 13], 0] = 1
AXES[[2, 17, 14], 0] = -1
AXES[[3, 6, 9, 12], 1] = 1
AXES[[4, 5, 7, 8, 18, 19, 20, 21], 1] = -1
AXES[[10, 11, 15], 2] = 1
AXES[[13, 14, 16, 17]] = [[1, 0, 0], [-1, 0, 0], [0, -1, 0], [0, -1, 0]]


def multiply(a: Array, b: Array) -> Array:
    """Product (..., 4) of quaternions (w, x, y, z)."""
    w = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(-1, keepdims=True)
    v = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate((w, v), axis=-1)


def inverse(q: Array) -> Array:
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def rotate(q: Array, v: Array) -> Array:
    turned = 2 * np.cross(q[..., 1:], v)
    return v + q[..., :1] * turned + np.cross(q[..., 1:], turned)


def between(u: Array, v: Array) -> Array:
    """Quaternions (..., 4) that turn directions u into v."""
    w = np.sqrt((u * u).sum(-1, keepdims=True) * (v * v).sum(-1, keepdims=True)) + (u * v).sum(-1, keepdims=True)
    q = np.concatenate((w, np.cross(u, v)), axis=-1)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def smooth(x: Array) -> Array:
    """Gaussian filter over the first dimension, the ends repeated."""
    kernel = np.exp(-0.5 * (np.arange(-SPAN, SPAN + 1) / SMOOTHING) ** 2)
    padded = np.pad(x, ((SPAN, SPAN), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)


def six(q: Array) -> Array:
    """The first two columns (..., 6) of the rotation matrices of quaternions."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    first = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    second = (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
    return np.stack((*first, *second), axis=-1)


def features(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """The columns (T-1, 263) of a motion (T, 22, 3) in metres, y up."""
    p = joints.astype(np.float64)
    p = p - np.array([p[0, 0, 0], p[..., 1].min(), p[0, 0, 2]])
    across = p[0, HIP_R] - p[0, HIP_L] + p[0, SHOULDER_R] - p[0, SHOULDER_L]
    p = rotate(between(np.cross(UP, across), FRONT)[None, None], p)

    across = p[:, HIP_L] - p[:, HIP_R] + p[:, SHOULDER_R] - p[:, SHOULDER_L]  # the published order of the hips
    forward = smooth(np.cross(UP, across / np.linalg.norm(across, axis=-1, keepdims=True)))
    heading = between(forward, np.broadcast_to(FRONT, forward.shape))
    heading[0] = [1.0, 0.0, 0.0, 0.0]
    local = np.zeros((*p.shape[:2], 4))
    local[:, 0] = heading
    for chain in CHAINS:
        outer = heading
        for start, end in pairwise(chain):
            turn = multiply(
                inverse(outer), between(np.broadcast_to(AXES[end], p[:, end].shape), p[:, end] - p[:, start])
            )
            local[:, end] = turn
            outer = multiply(outer, turn)

    steps = p[1:] - p[:-1]
    turned = multiply(heading[1:], inverse(heading[:-1]))
    ground = rotate(heading[1:], steps[:, 0])[:, [0, 2]]
    centred = p - p[:, :1] * np.array([1.0, 0.0, 1.0])
    blocks = (
        np.arcsin(turned[:, 2:3]),
        ground,
        p[:-1, 0, 1:2],
        rotate(heading[:, None], centred)[:-1, 1:].reshape(len(steps), -1),
        six(local)[:-1, 1:].reshape(len(steps), -1),
        rotate(heading[:-1, None], steps).reshape(len(steps), -1),
        (steps[:, FEET] ** 2).sum(-1) < 0.002,
    )
    return np.concatenate(blocks, axis=1).astype(np.float32)

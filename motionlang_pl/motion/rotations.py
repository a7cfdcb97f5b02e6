"""Rotations as 3x3 matrices and as the continuous 6D form (Zhou et al. 2019), on top of `roma`."""

from __future__ import annotations

import roma
import torch
import torch.nn.functional as F
from torch import Tensor


def matrix_from_rot6d(rot6d: Tensor) -> Tensor:
    """Return the rotations (..., 3, 3) of 6D forms (..., 6), by Gram-Schmidt (Zhou 2019, eq. 15).

    The 6 numbers are the matrix's first column, then its second.  They need not be orthonormal, only independent.
    """
    matrix: Tensor = roma.special_gramschmidt(rot6d.reshape(*rot6d.shape[:-1], 2, 3).mT, epsilon=1e-12)
    return matrix


def rot6d_from_matrix(matrix: Tensor) -> Tensor:
    """Return the 6D form (..., 6) of rotations (..., 3, 3): the first column, then the second."""
    return matrix[..., :2].mT.flatten(-2)


def orthonormalise(rot6d: Tensor) -> Tensor:
    """Return the nearest valid 6D form (..., 6) in Gram-Schmidt's sense, as needed after any interpolation."""
    return rot6d_from_matrix(matrix_from_rot6d(rot6d))


def matrix_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Return the rotations (..., 3, 3) of axis-angle vectors (..., 3) in radians, SMPL's own form."""
    matrix: Tensor = roma.rotvec_to_rotmat(axis_angle)
    return matrix


def axis_angle_from_matrix(matrix: Tensor) -> Tensor:
    """Return the axis-angle vectors (..., 3) in radians of rotations (..., 3, 3)."""
    axis_angle: Tensor = roma.rotmat_to_rotvec(matrix)
    return axis_angle


def matrix_from_euler(axes: str, degrees: Tensor) -> Tensor:
    """Return the rotations (..., 3, 3) of angles (..., N) in degrees about the N axes of e.g. "ZXY".

    As in BVH: each turn is about an axis that the turns before it have moved; the last one acts first on a vector.
    """
    matrix: Tensor = roma.euler_to_rotmat(axes.upper(), degrees, degrees=True)
    return matrix


def rotation_between(start: Tensor, end: Tensor) -> Tensor:
    """Return the smallest rotations (..., 3, 3) that turn the directions `start` into `end`, both (..., 3).

    Opposite directions turn by pi about an axis across them; a zero vector gives no rotation.
    """
    start = F.normalize(start, dim=-1) + torch.zeros_like(end)
    end = F.normalize(end, dim=-1) + torch.zeros_like(start)
    imaginary = torch.linalg.cross(start, end)
    real = start.square().sum(-1).sqrt() * end.square().sum(-1).sqrt() + (start * end).sum(-1)
    quaternion = torch.cat((imaginary, real.unsqueeze(-1)), dim=-1)

    least = F.one_hot(start.abs().argmin(-1), 3).to(start.dtype)
    half_turn = F.pad(torch.linalg.cross(start, least), (0, 1))
    still = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=start.dtype, device=start.device)
    empty = (start.abs().sum(-1, keepdim=True) == 0) | (end.abs().sum(-1, keepdim=True) == 0)
    opposite = quaternion.norm(dim=-1, keepdim=True) < 16 * torch.finfo(start.dtype).eps
    quaternion = torch.where(empty, still, torch.where(opposite, half_turn, quaternion))
    matrix: Tensor = roma.unitquat_to_rotmat(F.normalize(quaternion, dim=-1))
    return matrix

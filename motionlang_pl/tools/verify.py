"""Verification of a folder of HumanML3D or KIT-ML: are the columns in new_joint_vecs those that we compute?

Released positions lack the last frame that the columns were computed from, and smoothing carries it four seconds back,
so that plain recomputing is off by up to 0.1; the last velocities tell where it was, and it is put back first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from motionlang_pl.data.build import in_order
from motionlang_pl.data.sources.raw import BadInput, frame_shape, load_array
from motionlang_pl.motion.humanml3d import (
    HUMANML3D,
    KITML,
    Body,
    humanml3d,
    joints_from_humanml3d,
    kitml,
    motion_before,
)

JOINTS, VECS = "new_joints", "new_joint_vecs"
SHOWN = 10  # unreadable clips that are printed
NEAR = 0.05  # a foot whose squared way is nearer than this, relatively, to the threshold may stand or not


class Block(NamedTuple):
    """Some columns that are judged together.

    tolerance: of lengths in metres.  length: whether it is one.  share: of a clip's values that have to keep to it.
    """

    name: str
    tolerance: float
    length: bool
    share: float = 1.0


# The largest errors measured are 5e-7, of rotations 6e-5 (docs/data.md).  Rounding grows without bound in the rotation
# of a bone that points against its rest direction, therefore a hundredth of a clip's may be off.
BLOCKS = (
    Block("root yaw velocity", 1e-4, False),
    Block("root velocity", 1e-4, True),
    Block("root height", 1e-4, True),
    Block("local positions", 1e-4, True),
    Block("6D rotations", 1e-2, False, 0.99),
    Block("joint velocities", 1e-4, True),
    Block("foot contacts", 0.0, False),
    Block("joints back", 1e-4, True),
)


class Errors(NamedTuple):
    """What was found in a clip: per block its largest error and the one it is judged by, and whether it was turned."""

    largest: NDArray[np.float64]
    judged: NDArray[np.float64]
    turned: bool


def verify(folder: Path, limit: int | None, workers: int) -> None:
    """Prints how far a raw folder's columns are from ours, block by block; exit status 1 where a tolerance is exceeded.

    Raises:
        FileNotFoundError, ValueError: there is nothing to compare, or it is neither of the two data sets.
    """
    names = sorted(file.name for file in (folder / VECS).glob("*.npy"))
    if not names:
        raise FileNotFoundError(f"{folder / VECS}: no clips ID.npy to verify")
    if not (folder / JOINTS).is_dir():
        raise FileNotFoundError(f"{folder / JOINTS}: no such folder; the columns are verified against its positions")
    if limit is not None:
        if limit < 1:
            raise ValueError(f"--limit {limit}: at least one clip has to be verified")
        names = [names[place] for place in np.unique(np.linspace(0, len(names) - 1, limit).astype(int))]
    body, compute = _body([folder / VECS / name for name in names])
    work = in_order(partial(_verified, folder, body, compute), names, workers)
    results = dict(zip(names, tqdm(work, folder.name, len(names), unit="clip", disable=None), strict=True))
    errors = {name: found for name, found in results.items() if isinstance(found, Errors)}
    unreadable = [found for found in results.values() if isinstance(found, str)]
    turned = sum(found.turned for found in errors.values())
    print(f"{folder}: {body.name}, {len(errors)} clips; lengths in metres")
    good = _table(errors, body) if errors else False
    if turned:
        print(f"{turned} clips have a yaw velocity of wrong sign, as the heading passes -z; compared without the kink")
    for line in unreadable[:SHOWN]:
        print(f"unreadable: {line}")
    if unreadable:
        print(f"{len(unreadable)} clips could not be read")
    good = good and not unreadable
    print(f"{folder}: {'pass' if good else 'FAIL'}")
    if not good:
        raise SystemExit(1)


def _body(files: Sequence[Path]) -> tuple[Body, Callable[[Tensor], Tensor]]:
    """Which data set it is, as the first file tells that can be read, and its columns of a motion in its own unit."""
    file, shape = next(((file, shape) for file in files if (shape := frame_shape(file))), (files[0], (0,)))
    if shape == (263,):
        return HUMANML3D, humanml3d
    if shape == (251,):
        return KITML, _kitml
    raise ValueError(f"{file}: has rows of {shape[0]} columns, not HumanML3D's 263 or KIT-ML's 251")


def _kitml(motion: Tensor) -> Tensor:
    return kitml(motion * KITML.metres)


def _verified(folder: Path, body: Body, compute: Callable[[Tensor], Tensor], name: str) -> Errors | str:
    try:
        return _errors(folder, body, compute, name)
    except BadInput as problem:
        return f"{problem.file.relative_to(folder)}: {problem.reason}"


def _errors(folder: Path, body: Body, compute: Callable[[Tensor], Tensor], name: str) -> Errors:
    count = len(body.axes)
    vecs = torch.from_numpy(load_array(folder / VECS / name, (None, 12 * count - 1)))
    joints = torch.from_numpy(load_array(folder / JOINTS / name, (None, count, 3)))
    if len(joints) not in (len(vecs), len(vecs) + 1):
        raise BadInput(folder / VECS / name, f"has {len(vecs)} rows, but {JOINTS}/{name} has {len(joints)} frames")
    back = joints_from_humanml3d(vecs)
    motion = motion_before(vecs)
    turned = bool((motion[:-1] - back).abs().max() * body.metres > BLOCKS[-1].tolerance)
    if len(joints) > len(vecs):  # as computed by others than the release, with the last frame
        motion = joints.double()
    elif not turned:
        motion = torch.cat((joints.double(), motion[-1:]))
    ours = compute(motion)
    way = vecs[:, 9 * count - 5 : 12 * count - 5].view(-1, count, 3)[:, list(body.feet)].square().sum(dim=-1)
    clear = (way - body.contact).abs() > NEAR * body.contact
    sizes = (1, 2, 1, 3 * (count - 1), 6 * (count - 1), 3 * count, 4)
    found = [*(ours - vecs).abs().split_with_sizes(sizes, dim=1), (joints[: len(vecs)] - back).abs()]
    found[6] = found[6] * clear
    scaled = [each * (body.metres if block.length else 1.0) for block, each in zip(BLOCKS, found, strict=True)]
    judged = [_largest_of(each, block.share) for block, each in zip(BLOCKS, scaled, strict=True)]
    return Errors(np.array([float(each.max()) for each in scaled]), np.array(judged), turned)


def _largest_of(values: Tensor, share: float) -> float:
    """The largest of all but the greatest values, of which there are less than 1 - share."""
    return float(values.flatten().kthvalue(max(1, int(np.ceil(share * values.numel())))).values)


def _table(errors: dict[str, Errors], body: Body) -> bool:
    """Prints a line per block; returns whether all pass."""
    names = list(errors)
    largest = np.stack([found.largest for found in errors.values()])
    judged = np.stack([found.judged for found in errors.values()])
    good = True
    print(f"{'block':<18} {'max error':>10} {'99.9% of clips':>15} {'tolerance':>10}  result  worst clip")
    for place, block in enumerate(BLOCKS):
        passes = bool(judged[:, place].max() <= block.tolerance)
        good = good and passes
        worst = Path(names[largest[:, place].argmax()]).stem if largest[:, place].any() else "-"
        if not passes:
            beyond = int((judged[:, place] > block.tolerance).sum())
            worst = f"{Path(names[judged[:, place].argmax()]).stem}, {beyond} clips beyond"
        print(
            f"{block.name:<18} {largest[:, place].max():>10.1e} {np.quantile(largest[:, place], 0.999):>15.1e} "
            f"{block.tolerance:>10.0e}  {'pass' if passes else 'FAIL':<6}  {worst}"
        )
    return good

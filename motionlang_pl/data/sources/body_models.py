"""Body models, SMPL-H (Romero et al. 2017) and SMPL-X (Pavlakos et al. 2019): the joints of a person's own body.

Pose moves joints along the tree of bones and shape moves them at rest, so no vertex is posed. Four arrays of a model's
.npz are read, none of them pickled; `smplx` computes on them and opens no file. (Its classes load .npz files with
pickles allowed, need hand components that AMASS's own SMPL-H lacks, and use 10 of AMASS's 16 shape components.)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from smplx.lbs import batch_rigid_transform, blend_shapes, vertices2joints
from torch import Tensor

from motionlang_pl.data.sources.raw import BadInput, checked, open_arrays
from motionlang_pl.motion.skeleton import SMPL22

JOINTS = len(SMPL22.joints)  # the body comes first in both models
BETAS = 16  # as many as AMASS gives
FRAMES = 4096  # posed together

_NAMES = {"smplh": "SMPL-H", "smplx": "SMPL-X"}
_GENDERS = ("female", "male", "neutral")
_ARRAYS = ("v_template", "shapedirs", "J_regressor", "kintree_table")


class Body(NamedTuple):
    """Which body model a motion was fitted with. model: smplh or smplx.  gender: female, male or neutral."""

    model: str
    gender: str

    def __str__(self) -> str:
        return f"{_NAMES[self.model]} {self.gender}"

    @property
    def places(self) -> tuple[str, str]:
        """Where a folder may hold it: as `smplx` names it, or as the archive of AMASS's own SMPL-H does."""
        return f"{self.model}/{self.model.upper()}_{self.gender.upper()}.npz", f"{self.model}/{self.gender}/model.npz"


class BodyModel(NamedTuple):
    """template: (V, 3) metres.  shapes: (V, 3, S) metres per unit of a shape component.  regressor: (22, V)."""

    template: Tensor
    shapes: Tensor
    regressor: Tensor


def body_of(file: Path) -> Body:
    """The body model that a motion of AMASS was fitted with; BadInput where it does not say."""
    with open_arrays(file) as arrays:
        if "gender" not in arrays.files:
            raise BadInput(file, "has no gender, so no body model can be chosen")
        gender = _word(arrays["gender"])
        if "surface_model_type" in arrays.files:
            said = _word(arrays["surface_model_type"])
        else:
            said = "smplx" if "pose_jaw" in arrays.files else "smplh"
    model = next((name for name in _NAMES if said.startswith(name)), None)
    if model is None or gender not in _GENDERS:
        raise BadInput(file, f"was fitted with {said!r}, {gender!r}: not SMPL-H or SMPL-X, {', '.join(_GENDERS)}")
    return Body(model, gender)


def read_betas(file: Path, arrays: NpzFile) -> Tensor:
    """The shape components (S,) of a motion's person; BadInput where it has none."""
    if "betas" not in arrays.files:
        raise BadInput(file, "has no betas, so its person's body is not known")
    return torch.from_numpy(checked(file, arrays["betas"], (None,)))


def find(folder: Path, bodies: Iterable[Body]) -> dict[Body, Path]:
    """The files of some body models; FileNotFoundError lists all that a folder lacks."""
    found, missing = {}, []
    for body in sorted(set(bodies)):
        file = next((folder / place for place in body.places if (folder / place).is_file()), None)
        if file is None:
            missing.append(f"  {body}: no {' and no '.join(body.places)}")
        else:
            found[body] = file
    if missing:
        raise FileNotFoundError(
            f"{folder}: {len(missing)} of the body models that the motions were fitted with are not there (a .pkl is a "
            "pickle, which is never loaded):\n" + "\n".join(missing)
        )
    return found


@cache
def load(file: Path) -> BodyModel:
    """Reads a body model; BadInput where it is none of the 22 joints, or has pickled objects for what is needed."""
    found: dict[str, NDArray[Any]] = {}
    pickled = []
    with open_arrays(file) as archive:
        missing = [name for name in _ARRAYS if name not in archive.files]
        if missing:
            raise BadInput(file, f"has no {', '.join(missing)}: not a body model of SMPL-H or SMPL-X")
        for name in _ARRAYS:
            try:
                found[name] = archive[name]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                pickled.append(name)
    if pickled:
        raise BadInput(
            file,
            f"{', '.join(pickled)} are pickled objects, which are never loaded; if you trust the file, load it "
            "yourself and save plain arrays with np.savez (a sparse J_regressor as its toarray()): see docs/data.md",
        )
    template = _checked(file, found, "v_template", (None, 3))
    shapes = _checked(file, found, "shapedirs", (len(template), 3, None))
    regressor = _checked(file, found, "J_regressor", (None, len(template)))
    tree = found["kintree_table"]
    if tree.ndim != 2 or tree[0, 1:JOINTS].tolist() != list(SMPL22.parents[1:]) or len(regressor) < JOINTS:
        raise BadInput(file, "its kintree_table and J_regressor are not of the 22 body joints of SMPL-H and SMPL-X")
    return BodyModel(template, shapes[..., :BETAS].clone(), regressor[:JOINTS].clone())


def _checked(file: Path, found: dict[str, NDArray[Any]], name: str, shape: tuple[int | None, ...]) -> Tensor:
    try:
        return torch.from_numpy(checked(file, found[name], shape))
    except BadInput as problem:
        raise BadInput(file, f"{name} {problem.reason}") from problem


def rest_joints(model: BodyModel, betas: Tensor) -> Tensor:
    """Joints (22, 3) in metres of a person at rest, in the model's axes; betas: (S,), those the model lacks count 0."""
    count = min(len(betas), model.shapes.shape[-1])
    vertices = model.template + blend_shapes(betas[None, :count], model.shapes[..., :count])
    joints: Tensor = vertices2joints(model.regressor, vertices)
    return joints[0]


def posed_joints(rest: Tensor, local: Tensor, root: Tensor) -> Tensor:
    """Joints (T, 22, 3) in metres, float32.

    rest: (22, 3), see `rest_joints`.  local: (T, 22, 3, 3) rotations.  root: (T, 3), where the pelvis is.
    """
    parents = torch.tensor(SMPL22.parents)
    parts = torch.split(local.float(), FRAMES)
    joints = torch.cat([batch_rigid_transform(part, rest.expand(len(part), -1, -1), parents)[0] for part in parts])
    return joints - joints[:, :1] + root[:, None].float()


def _word(array: NDArray[Any]) -> str:
    word = array.item()
    return (word.decode() if isinstance(word, bytes) else str(word)).strip().lower()

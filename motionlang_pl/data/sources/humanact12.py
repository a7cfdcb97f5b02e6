"""HumanAct12 (Guo et al. 2020, Action2Motion): a folder of PxxGxxRxxFxxxxTxxxxAxxxx.npy, joints (T, 24, 3) in metres.

P is the subject, F and T the first and last frame in the recording (PHSPD, Zou et al. 2020), A the action: two digits
of the class, two of the variant. The joints are SMPL's as a camera sees them; the hands (the last two) are left out.
SMPL's rotations are read from poses/NAME.npy, (T, 72) axis-angles in the same camera's frame: the arrays that ACTOR
(Petrovich et al. 2021) has released in the pickle humanact12poses.pkl, one file for each clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from motionlang_pl.data.sources.actions import (
    UPRIGHT,
    ActionItem,
    ActionSet,
    Listed,
    action_source,
    clip_entry,
    never_loaded,
    posed,
)
from motionlang_pl.data.sources.raw import BadInput, Source, load_array
from motionlang_pl.data.writer import Entry
from motionlang_pl.motion.features import canonical
from motionlang_pl.motion.resample import resample_positions

HUMANACT12 = ActionSet(
    name="humanact12",
    form="PxxGxxRxxFxxxxTxxxxAxxxx",
    pattern=r"P(?P<subject>\d\d)G\d\dR\d\dF\d{4}T\d{4}A(?P<action>\d\d)\d\d",
    classes=dict(
        enumerate(
            (
                *("warm up", "walk", "run", "jump", "drink", "lift dumbbell", "sit", "eat"),
                *("turn steering wheel", "phone", "boxing", "throw"),
            ),
            start=1,
        )
    ),
    # There is no official split; this one is ours. All twelve classes are in each of its three parts.
    subjects={"train": tuple(range(1, 10)), "val": (10,), "test": (11, 12)},
    fps=20.0,  # as HumanML3D takes it; PHSPD states about 13, and no file says
)
POSES = "poses/NAME.npy, (T, 72), beside each NAME.npy"
HIPS, ANKLES, TOES, HEAD = (1, 2), (7, 8), (10, 11), 15
HEIGHTS = (0.4, 3.0)  # metres from toes to head, of anybody who sits, stands or jumps


def source(raw: Path, fps: float, source_fps: float, features: Sequence[str]) -> Source:
    """The folder of .npy files. source_fps: frames per second to take them as.

    Raises:
        FileNotFoundError, ValueError: nothing to read, or something asked for cannot be.
    """
    if not raw.is_dir():
        raise FileNotFoundError(f"{raw}: no such folder; --raw is the one that holds {HUMANACT12.form}.npy")
    files = sorted(raw.glob("*.npy"))
    rotations, pickle = "smpl_rot6d" in features, raw / "humanact12poses.pkl"
    if pickle.is_file() and (not files or (rotations and not (raw / "poses").is_dir())):
        joints = "" if files else f"HumanAct12's own {HUMANACT12.form}.npy, and "
        raise ValueError(f"{raw}: {never_loaded(pickle, joints + POSES)}")
    if rotations and not (raw / "poses").is_dir():
        raise FileNotFoundError(f"{raw}/poses: no such folder; smpl_rot6d is read from {POSES}")
    clips = [
        Listed(file.stem, file.name, (file, raw / "poses" / file.name) if rotations else (file,)) for file in files
    ]
    recorded = replace(HUMANACT12, fps=source_fps)
    return action_source(recorded, raw, clips, fps, features, read_clip, HUMANACT12.name)


def read_clip(item: ActionItem) -> Entry:
    """Reads a clip's joints, and its rotations where they are asked for; BadInput where it cannot be used."""
    file = item.files[0]
    array = load_array(file, (None, 24, 3))
    joints = _upright(torch.from_numpy(array[:, :22]).double(), file)
    rot6d = None
    if len(item.files) > 1:
        poses = load_array(item.files[1], (None, 72))
        if len(poses) != len(array):
            raise BadInput(item.files[1], f"has {len(poses)} frames, but {file.name} has {len(array)}")
        _, rot6d = posed(item, poses, array[:, 0])
    return clip_entry(item, canonical(resample_positions(joints, item.recorded, item.fps)), rot6d)


def _upright(joints: Tensor, file: Path) -> Tensor:
    """Joints (T, 22, 3) with y up and left where left is.

    Action2Motion's files have y down. The copy that comes with HumanML3D has y up and is a mirror image (HumanML3D's
    issue 147); toes that point backwards tell.
    """
    lift = (joints[:, HEAD, 1] - joints[:, TOES, 1].mean(dim=1)).mean()
    if not HEIGHTS[0] < abs(lift) < HEIGHTS[1]:
        raise BadInput(file, f"the head is {abs(lift):.3g} m above the toes; are these SMPL joints in metres, y down?")
    if lift < 0:
        joints = joints * joints.new_tensor(UPRIGHT)
    across = joints[:, HIPS[0]] - joints[:, HIPS[1]]
    ahead = torch.linalg.cross(across, torch.tensor([0.0, 1.0, 0.0], dtype=joints.dtype).expand_as(across))
    feet = (joints[:, TOES] - joints[:, ANKLES]).mean(dim=1)
    backwards = (ahead * feet).sum() < 0
    return joints * joints.new_tensor((-1.0, 1.0, 1.0)) if backwards else joints

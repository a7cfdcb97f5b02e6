"""The synthetic data set in KIT-ML's released layout: 21 joints in millimetres, 12.5 fps, and mirrored clips."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlang_pl.data.sources.synthetic.clips import SPLITS, Take, describe, perform, plan, recording
from motionlang_pl.data.words import mirror_words
from motionlang_pl.motion.humanml3d import KITML, canonical, joints_from_kitml, kitml
from motionlang_pl.motion.skeleton import MMM21, SMPL22

LEG = 0.491  # metres from hip to ankle of MMM's reference body, which all of KIT-ML has


def write_kitml(out: Path, clips: int, seed: int) -> None:
    """Write `clips` clips and their mirrored twins (M and the id) in KIT-ML's layout.

    new_joints/ID.npy (T, 21, 3), new_joint_vecs/ID.npy (T, 251), texts/ID.txt, train, val, test and all.txt, and
    annotations.json in TMR's form, which names the recordings of the synthetic AMASS folder.
    """
    for folder in ("new_joints", "new_joint_vecs", "texts"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    index = {}
    for clip in plan(clips, seed):
        take = perform(clip, KITML.fps, seed)
        joints = body(take)
        lines = describe(clip, take, seed)
        twin = joints[:, list(MMM21.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
        for prefix, motion, said in (("", joints, lines), ("M", twin, [mirror_words(line) for line in lines])):
            name = f"{prefix}{clip.number:05d}"
            names[clip.split].append(name)
            columns = kitml(motion)
            released = joints_from_kitml(columns) / KITML.metres  # as the released positions, read back from columns
            np.save(out / "new_joints" / f"{name}.npy", released.numpy())
            np.save(out / "new_joint_vecs" / f"{name}.npy", columns.numpy())
            (out / "texts" / f"{name}.txt").write_text("".join(f"{line}\n" for line in said), encoding="utf-8")
            path = recording(clip).removesuffix(".npz")
            index[name] = {"path": f"{prefix}/{path}" if prefix else path, "duration": len(columns) / KITML.fps}
    (out / "annotations.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    names["all"] = sorted(itertools.chain.from_iterable(names.values()))
    for split, members in names.items():
        (out / f"{split}.txt").write_text("".join(f"{name}\n" for name in members), encoding="utf-8")


def body(take: Take) -> Tensor:
    """The joints (T, 21, 3) in metres of a take by MMM's reference body, with heels between ankles and feet."""
    place = {name: take.joints[:, joint] for joint, name in enumerate(SMPL22.joints)}
    for side in ("left", "right"):
        place[f"{side}_heel"] = place[f"{side}_ankle"].lerp(place[f"{side}_foot"], 0.4)
    joints = torch.stack([place[name] for name in MMM21.joints], dim=1)
    _, knee, ankle, *_ = MMM21.parts["left_leg"]
    hip = MMM21.parents[knee]
    leg = (joints[0, knee] - joints[0, hip]).norm() + (joints[0, ankle] - joints[0, knee]).norm()
    return canonical(joints * (LEG / leg), KITML)

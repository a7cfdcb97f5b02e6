"""The synthetic data set: procedural motion with compositional captions, in the raw layouts of HumanML3D and AMASS.

Every value of an attribute is seen in training; the actors of `val` and `test`, their combinations of attributes and
their pairs of actions are not.  The same numbers and the same seed give the same files.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.data.sources.synthetic.actions import (
    ACTIONS,
    CURVES,
    SPEEDS,
    Action,
    Beat,
    Curve,
    Curves,
    curves_of,
    path,
    rotations,
)
from motionlang_pl.data.sources.synthetic.captions import sentence
from motionlang_pl.motion.features import canonical
from motionlang_pl.motion.kinematics import forward_kinematics
from motionlang_pl.motion.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from motionlang_pl.motion.skeleton import SMPL22, Skeleton

FPS = 20.0
SPLITS = ("train", "val", "test")
ACTORS = {"train": range(0, 14), "val": range(14, 17), "test": range(17, 22)}
WORDINGS = 3
HOLD = 1.2  # seconds of a pause
SHORTEST = 2.1  # seconds of a clip
LONGEST_PART = 3.6  # seconds of one of two actions in sequence

_Item = TypeVar("_Item")


class Part(NamedTuple):
    """An action and the values of its attributes, in the action's order."""

    action: str
    values: tuple[str, ...]

    @property
    def traits(self) -> dict[str, str]:
        """The values by attribute."""
        return dict(zip((name for name, _ in ACTIONS[self.action].traits), self.values, strict=True))


class Clip(NamedTuple):
    """What one clip shows: one part, or two in sequence.  number: unique in the data set."""

    number: int
    split: str
    actor: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Actor:
    """body: own bone lengths.  tempo, vigour: factors on speed and size.  ease: angles at rest.  noise: radians."""

    body: Skeleton
    tempo: float
    vigour: float
    ease: dict[str, float]
    noise: float


class Take(NamedTuple):
    """local: (T, 22, 3, 3) rotations.  root: (T, 3) metres.  joints: (T, 22, 3) metres.  spans: each part's seconds."""

    local: Tensor
    root: Tensor
    joints: Tensor
    spans: tuple[tuple[float, float], ...]


def write_humanml3d(out: Path, clips: int, seed: int) -> None:
    """Write `clips` clips in HumanML3D's layout: new_joints/ID.npy, texts/ID.txt and train, val, test and all.txt.

    Joints are (T, 22, 3) float32, 20 fps.  Raises ValueError below ten clips, which would leave a split empty.
    """
    for folder in ("new_joints", "texts"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    for clip in plan(clips, seed):
        name = f"{clip.number:06d}"
        names[clip.split].append(name)
        take = perform(clip, FPS, seed)
        np.save(out / "new_joints" / f"{name}.npy", take.joints.numpy())
        lines = "".join(f"{line}\n" for line in describe(clip, take, seed))
        (out / "texts" / f"{name}.txt").write_text(lines, encoding="utf-8")
    names["all"] = sorted(itertools.chain.from_iterable(names.values()))
    for split, members in names.items():
        (out / f"{split}.txt").write_text("".join(f"{name}\n" for name in members), encoding="utf-8")


def write_amass(out: Path, clips: int, seed: int) -> None:
    """Write `clips` clips in AMASS's layout, z up: DATASET/SUBJECT/NAME_poses.npz of SMPL-H, _stageii.npz of SMPL-X.

    `poses` (T, 156 or 165) are axis-angle with hands, jaw and eyes at rest.  `trans` is where the pelvis is: the body
    has its pelvis at the origin at rest, which no real `betas` has.  splits/NAME.txt list the actors of the plan.
    """
    subjects: dict[str, set[str]] = {split: set() for split in SPLITS}
    for clip in plan(clips, seed):
        place = recording(clip)
        smplx = place.endswith("_stageii.npz")
        fps = {"SyntheticA": 120.0, "SyntheticB": 60.0, "Synthetic_C": 100.0}[place.split("/")[0]]
        take = perform(clip, fps, seed)
        upright = matrix_from_axis_angle(torch.tensor([torch.pi / 2, 0.0, 0.0]))  # y up to z up
        local = torch.cat((upright @ take.local[:, :1], take.local[:, 1:]), dim=1)
        frames = len(local)
        poses = np.zeros((frames, 165 if smplx else 156))
        poses[:, :66] = axis_angle_from_matrix(local.double()).flatten(1).numpy()
        betas = np.random.default_rng((seed, 3, clip.actor)).normal(size=16)
        body: dict[str, Any] = {"gender": np.array("neutral"), "betas": betas}
        motion: dict[str, Any] = {"poses": poses, "trans": (take.root @ upright.mT).double().numpy()}
        if smplx:
            motion |= {"surface_model_type": np.array("smplx"), "mocap_frame_rate": np.array(fps)}
        else:
            motion |= {"dmpls": np.zeros((frames, 8)), "mocap_framerate": np.array(fps)}
        file = out / place
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **body, **motion)
        np.savez(file.parent / ("neutral_stagei.npz" if smplx else "shape.npz"), **body)
        subjects[clip.split].add("/".join(place.replace("Synthetic_C", "SyntheticC").split("/")[:2]))
    (out / "splits").mkdir(exist_ok=True)
    for split, members in subjects.items():
        (out / "splits" / f"{split}.txt").write_text("".join(f"{name}\n" for name in sorted(members)), encoding="utf-8")


def recording(clip: Clip) -> str:
    """Return a clip's file in the synthetic AMASS folder; data set C stands in a folder of its old name."""
    dataset, ending = (("SyntheticA", "poses"), ("SyntheticB", "stageii"), ("Synthetic_C", "poses"))[clip.actor % 3]
    actions = "_".join(part.action for part in clip.parts)
    return f"{dataset}/actor{clip.actor:02d}/{actions}_{clip.number:06d}_{ending}.npz"


def plan(clips: int, seed: int) -> list[Clip]:
    """Return what each clip shows: 7 in 10 for training, 1 for validation, 2 for test; one in four has two actions."""
    if clips < 10:
        raise ValueError(f"the synthetic data set needs at least 10 clips to fill its splits and was asked for {clips}")
    rng = np.random.default_rng((seed, 0))
    order = iter(rng.permutation(clips).tolist())
    sizes = {"val": clips // 10, "test": clips // 5}
    sizes["train"] = clips - sum(sizes.values())
    planned: list[Clip] = []
    for split in SPLITS:
        singles = _singles(split)
        short: dict[str, list[Part]] = defaultdict(list)
        for part in singles:
            if _seconds(part, 1.0) <= LONGEST_PART:
                short[part.action].append(part)
        pairs = [pair for pair in _pairs(split) if short.keys() >= set(pair)]
        single, double = itertools.cycle(_shuffled(singles, rng)), itertools.cycle(_shuffled(pairs, rng))
        for index in range(sizes[split]):
            actions = next(double) if index % 4 == 3 else ()
            parts = tuple(short[action][int(rng.integers(len(short[action])))] for action in actions)
            actor = int(rng.choice(ACTORS[split]))
            planned.append(Clip(next(order), split, actor, parts or (next(single),)))
    return sorted(planned)


def perform(clip: Clip, fps: float, seed: int) -> Take:
    """Return the motion of a clip, float32, y up, on the floor and facing +z in the first frame."""
    rng = np.random.default_rng((seed, 1, clip.number))
    actor = _actor(clip.actor, seed)
    tempo = actor.tempo * rng.uniform(0.94, 1.06)
    starts, clock = [], rng.uniform(0.2, 0.5)
    for part in clip.parts:
        starts.append(clock)
        clock += _seconds(part, tempo) + rng.uniform(0.2, 0.4)
    times = np.arange(0, max(clock, SHORTEST), 1 / fps)

    curves = {name: np.full(len(times), actor.ease.get(name, 0.0)) for name in CURVES}
    for part, start in zip(clip.parts, starts, strict=True):
        moved = curves_of(ACTIONS[part.action], _beat(part, start, tempo, times), part.traits, actor.vigour)
        curves = {name: curve + moved[name] if name in moved else curve for name, curve in curves.items()}
    _tremble(curves, times, actor.noise, rng)

    local, root = rotations(curves).float(), path(curves).float()
    body = forward_kinematics(local, torch.zeros_like(root), actor.body)
    root[:, 1] += -body[..., 1].amin(dim=-1)  # the lowest joint stands on the floor unless lifted
    joints = canonical(body + root[:, None])
    spans = tuple((start, start + _seconds(part, tempo)) for part, start in zip(clip.parts, starts, strict=True))
    return Take(local, root, joints, spans)


def describe(clip: Clip, take: Take, seed: int) -> list[str]:
    """Return the lines of a clip's text file: three wordings of the whole, then one of each of two parts."""
    rng = np.random.default_rng((seed, 2, clip.number))
    parts = [(part.action, part.traits) for part in clip.parts]
    order = rng.permutation(WORDINGS).tolist()
    lines = [(sentence(parts, wording, rng), (0.0, 0.0)) for wording in order]
    if len(parts) > 1:
        wordings = rng.integers(WORDINGS, size=len(parts)).tolist()
        lines += [
            (sentence([part], wording, rng), span)
            for part, wording, span in zip(parts, wordings, take.spans, strict=True)
        ]
    return [f"{said.caption}#{said.tokens}#{start:.2f}#{end:.2f}" for said, (start, end) in lines]


def _singles(split: str) -> list[Part]:
    """Combinations of attribute values of one action; each value of each attribute is left to training."""
    return [
        Part(name, tuple(values[place] for (_, values), place in zip(action.traits, places, strict=True)))
        for number, (name, action) in enumerate(ACTIONS.items())
        for places in itertools.product(*(range(len(values)) for _, values in action.traits))
        if _split(number + sum(weight * place for weight, place in enumerate(places, start=1))) == split
    ]


def _pairs(split: str) -> list[tuple[str, str]]:
    numbers = range(len(ACTIONS))
    names = list(ACTIONS)
    return [
        (names[first], names[second])
        for first, second in itertools.permutations(numbers, 2)
        if _split(first + 2 * second) == split
    ]


def _split(number: int) -> str:
    return {0: "test", 1: "val"}.get(number % 5, "train")


def _knots(part: Part, tempo: float) -> tuple[list[float], list[float]]:
    """Seconds since the part's start and the phase reached then; the phase runs evenly in between."""
    action, traits = ACTIONS[part.action], part.traits
    speed = SPEEDS[traits.get("speed", "normal")]
    beats = float(traits.get("repetitions", action.repeats)) * (speed if action.steady else 1)
    each = action.seconds / (speed * tempo)
    if traits.get("pause") != "yes":
        return [0.0, beats * each], [0.0, beats]
    stop = _stop(action, beats)
    return [0.0, stop * each, stop * each + HOLD, beats * each + HOLD], [0.0, stop, stop, beats]


def _stop(action: Action, beats: float) -> float:
    return action.stop if action.stop >= 0 else beats / 2


def _seconds(part: Part, tempo: float) -> float:
    return _knots(part, tempo)[0][-1]


def _beat(part: Part, start: float, tempo: float, times: Curve) -> Beat:
    seconds, phases = _knots(part, tempo)
    phase = np.interp(times - start, seconds, phases)
    on = (times >= start) & (times <= start + seconds[-1])
    go = np.diff(phase, prepend=0.0) > 0
    return Beat(phase, _soften(on, times), _soften(go, times))


def _soften(flag: NDArray[np.bool_], times: Curve) -> Curve:
    """Running mean over 0.35 s."""
    width = 2 * round(0.175 / (times[1] - times[0])) + 1
    softened: Curve = np.convolve(flag.astype(float), np.full(width, 1 / width), mode="same")
    return softened


def _tremble(curves: Curves, times: Curve, noise: float, rng: np.random.Generator) -> None:
    """Add slow random movement to every angle."""
    angles = [name for name in CURVES if name not in ("forward", "aside", "ahead", "beside", "lift")]
    hertz = rng.uniform(0.15, 1.2, size=(len(angles), 3, 1))
    shift = rng.uniform(0, 2 * np.pi, size=hertz.shape)
    share = rng.normal(size=hertz.shape) * noise
    movement = (share * np.sin(2 * np.pi * hertz * times + shift)).sum(axis=1)
    for name, wave in zip(angles, movement, strict=True):
        curves[name] = curves[name] + wave


def _actor(number: int, seed: int) -> Actor:
    rng = np.random.default_rng((seed, 4, number))
    height, legs, arms = rng.uniform(0.86, 1.12), rng.uniform(0.95, 1.05), rng.uniform(0.94, 1.06)
    factors = {"left_leg": legs, "right_leg": legs, "left_arm": arms, "right_arm": arms, "torso": 1.0}
    of_joint = {joint: height * factors[part] for part, joints in SMPL22.parts.items() for joint in joints}
    offsets = tuple(
        (x * of_joint[joint], y * of_joint[joint], z * of_joint[joint])
        for joint, (x, y, z) in enumerate(SMPL22.offsets)
    )
    hang, elbow, knee = rng.uniform(0.08, 0.22), rng.uniform(0.1, 0.4), rng.uniform(0.03, 0.12)
    ease = {"bend": rng.uniform(-0.04, 0.1)}
    for side in ("left", "right"):
        ease |= {f"{side}_raise": hang, f"{side}_elbow": elbow, f"{side}_knee": knee, f"{side}_hip": knee / 2}
    return Actor(
        body=replace(SMPL22, offsets=offsets),
        tempo=rng.uniform(0.88, 1.14),
        vigour=rng.uniform(0.88, 1.12),
        ease=ease,
        noise=rng.uniform(0.005, 0.025),
    )


def _shuffled(items: list[_Item], rng: np.random.Generator) -> list[_Item]:
    return [items[index] for index in rng.permutation(len(items))]

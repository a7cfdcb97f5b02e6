"""The twenty actions of the synthetic data set as joint-angle curves, and the body that turns curves into rotations.

An action writes curves for a `near` and a `far` side; the side or direction asked for says which of them is the left.
Angles are in radians and 0 when the body stands at ease, so that actions in sequence simply add up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.motion.skeleton import SMPL22

Curve = NDArray[np.float64]
Curves = dict[str, Curve]
Traits = Mapping[str, str]

SPEEDS = {"slow": 0.6, "normal": 1.0, "fast": 1.65}
SIZES = {"small": 0.5, "normal": 1.0, "large": 1.5}
TURNS = {"quarter": np.pi / 2, "half": np.pi, "full": 2 * np.pi}
LEG = 0.82  # hip to ankle, metres
ARM = ("flex", "raise", "twist", "elbow")  # forward, outward, about its own axis; radians
LIMBS = (*ARM, "hip", "spread", "knee")
TRUNK = ("bend", "lean", "turn")  # forward, to the near side, to the near side
PATH = ("forward", "aside")  # metres walked since the clip's start
SWAY = ("ahead", "beside", "lift", "yaw")  # metres away from the path and off the floor; heading in radians
CURVES = (*(f"{side}_{limb}" for side in ("left", "right") for limb in LIMBS), *TRUNK, *PATH, *SWAY)
SIDED = ("lean", "turn", "aside", "beside", "yaw")  # change sign when near is the right


class Beat(NamedTuple):
    """Time as an action sees it, (T,) each.

    phase: repetitions (or strides) done so far.  on: 1 while the action lasts, with soft ends.  go: 1 while its phase
    runs, 0 also in pauses.
    """

    phase: Curve
    on: Curve
    go: Curve

    @property
    def bump(self) -> Curve:
        """Once up and down per repetition."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * self.phase)

    def peak(self, centre: float, width: float) -> Curve:
        """Once up and down per repetition, within `width` of `centre`; both as shares of the repetition."""
        away = np.clip(np.abs(self.phase % 1 - centre) / width, 0, 1)
        return 0.5 + 0.5 * np.cos(np.pi * away)

    def swing(self, shift: float = 0.0) -> Curve:
        """A sine wave, one period per stride, still in pauses."""
        return self.go * np.sin(2 * np.pi * (self.phase + shift))


@dataclass(frozen=True)
class Action:
    """An action and how it may vary.

    move: curves of a beat, the size of the movement and the traits.  seconds: of one repetition at normal speed.
    repeats: repetitions where the traits name none.  steady: lasts as long at every speed, with more repetitions.
    stop: phase at which it pauses (-1: half-way).  traits: name and values of each attribute.
    """

    move: Callable[[Beat, float, Traits], Curves]
    seconds: float
    traits: tuple[tuple[str, tuple[str, ...]], ...]
    repeats: float = 1
    steady: bool = False
    stop: float = -1


def near_is_left(traits: Traits) -> bool:
    """Return whether the action's near side is the left, from its side or its direction."""
    return "right" not in (traits.get("side"), traits.get("direction"))


def curves_of(action: Action, beat: Beat, traits: Traits, vigour: float) -> Curves:
    """Return the curves of an action for the left and right sides; `vigour` scales the size of the movement."""
    size = SIZES[traits.get("amplitude", "normal")] * vigour
    curves = action.move(beat, size, traits)
    near, far, sign = ("left", "right", 1.0) if near_is_left(traits) else ("right", "left", -1.0)
    both = traits.get("side") == "both"
    placed: Curves = {}
    for name, curve in curves.items():
        if name.startswith("near_"):
            placed[name.replace("near", near)] = curve
            if both:
                placed[name.replace("near", far)] = curve
        elif name.startswith("far_"):
            placed.setdefault(name.replace("far", far), curve)
        else:
            placed[name] = sign * curve if name in SIDED else curve
    return placed


def rotations(curves: Curves) -> Tensor:
    """Return local rotations (T, 22, 3, 3) float64 of curves (T,) for every name in CURVES."""
    frames = len(curves["yaw"])
    angles = np.zeros(
        (4, frames, len(SMPL22.joints))
    )  # about x, then z, then y, then x again, each in the turned frame
    place = {name: index for index, name in enumerate(SMPL22.joints)}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        limb = {name: curves[f"{side}_{name}"] for name in LIMBS}
        shoulder, elbow = place[f"{side}_shoulder"], place[f"{side}_elbow"]
        angles[0, :, shoulder] = -limb["flex"]
        angles[1, :, shoulder] = -sign * (np.pi / 2 - limb["raise"])
        angles[3, :, shoulder] = limb["twist"]
        angles[2, :, elbow] = -sign * limb["elbow"]
        angles[0, :, place[f"{side}_hip"]] = -limb["hip"]
        angles[1, :, place[f"{side}_hip"]] = sign * limb["spread"]
        angles[0, :, place[f"{side}_knee"]] = limb["knee"]
        angles[0, :, place[f"{side}_ankle"]] = limb["hip"] - limb["knee"]  # the sole stays level
        angles[1, :, place[f"{side}_ankle"]] = -sign * limb["spread"]
    angles[2, :, 0] = curves["yaw"]
    for joint in ("spine1", "spine2", "spine3"):
        angles[0, :, place[joint]] = curves["bend"] / 3
        angles[1, :, place[joint]] = -curves["lean"] / 3
        angles[2, :, place[joint]] = curves["turn"] / 3
    matrix: Tensor = roma.euler_to_rotmat("XZYX", [torch.from_numpy(each) for each in angles])
    return matrix


def path(curves: Curves) -> Tensor:
    """Return the root's place on the ground and the lift off it, (T, 3) float64 metres, x, lift, z."""
    sine, cosine = np.sin(curves["yaw"]), np.cos(curves["yaw"])
    ahead, beside = (np.diff(curves[name], prepend=curves[name][:1]) for name in PATH)
    x = np.cumsum(ahead * sine + beside * cosine) + curves["ahead"] * sine + curves["beside"] * cosine
    z = np.cumsum(ahead * cosine - beside * sine) + curves["ahead"] * cosine - curves["beside"] * sine
    return torch.from_numpy(np.stack((x, curves["lift"], z), axis=-1))


def _gait(beat: Beat, hip: float, knee: float, arm: float, elbow: float) -> Curves:
    stride = 4 * LEG * np.sin(hip) * np.cumsum(beat.go * np.diff(beat.phase, prepend=beat.phase[:1]))
    return {
        "near_hip": hip * beat.swing(),
        "far_hip": -hip * beat.swing(),
        "near_knee": knee * np.maximum(beat.swing(0.25), 0),
        "far_knee": knee * np.maximum(-beat.swing(0.25), 0),
        "near_flex": -arm * beat.swing(),
        "far_flex": arm * beat.swing(),
        "near_elbow": elbow * beat.go,
        "far_elbow": elbow * beat.go,
        "forward": stride,
    }


def _walk(beat: Beat, size: float, traits: Traits) -> Curves:
    if traits["direction"] == "backward":
        curves = _gait(beat._replace(phase=-beat.phase), 0.3 * size, 0.7, 0.2, 0.2)
        return curves | {"bend": -0.08 * beat.on}
    return _gait(beat, 0.42 * size, 0.9, 0.4, 0.25)


def _run(beat: Beat, size: float, traits: Traits) -> Curves:
    curves = _gait(beat, 0.65 * size, 1.7, 0.7, 1.4)
    return curves | {"bend": 0.25 * beat.go, "lift": 0.07 * np.abs(beat.swing())}


def _sidestep(beat: Beat, size: float, traits: Traits) -> Curves:
    away = beat.phase - np.sin(2 * np.pi * beat.phase) / (2 * np.pi)
    return {
        "near_spread": 0.32 * beat.bump,
        "far_spread": 0.32 * beat.bump,
        "near_knee": 0.5 * beat.peak(0.3, 0.25),
        "near_hip": 0.3 * beat.peak(0.3, 0.25),
        "far_knee": 0.5 * beat.peak(0.75, 0.25),
        "far_hip": 0.3 * beat.peak(0.75, 0.25),
        "aside": 0.5 * away,
    }


def _turn(beat: Beat, size: float, traits: Traits) -> Curves:
    whole = max(beat.phase[-1], 1e-6)
    done = beat.phase / whole
    steps = np.sin(4 * np.pi * beat.phase)
    return {
        "yaw": TURNS[traits["amount"]] * (done - np.sin(2 * np.pi * done) / (2 * np.pi)),
        "near_hip": 0.4 * np.maximum(steps, 0),
        "near_knee": 0.8 * np.maximum(steps, 0),
        "far_hip": 0.4 * np.maximum(-steps, 0),
        "far_knee": 0.8 * np.maximum(-steps, 0),
        "turn": 0.3 * beat.go,
    }


def _jump(beat: Beat, size: float, traits: Traits) -> Curves:
    crouch = 0.5 * (0.5 + 0.5 * size) * (beat.peak(0.2, 0.2) + 0.7 * beat.peak(0.85, 0.15))
    flight = np.clip((beat.phase % 1 - 0.35) / 0.4, 0, 1)
    way = {"up": 0.0, "forward": 0.5, "backward": -0.4}[traits["direction"]]
    arms = 1.8 * size * beat.peak(0.5, 0.3) - 0.7 * beat.peak(0.2, 0.2)
    return {
        **_both("hip", crouch),
        **_both("knee", 2 * crouch),
        **_both("flex", arms),
        "bend": 0.6 * crouch,
        "lift": 0.3 * size * 4 * flight * (1 - flight),
        "forward": way * (np.floor(beat.phase) + flight),
    }


def _squat(beat: Beat, size: float, traits: Traits) -> Curves:
    depth = 0.9 * size * beat.bump
    return {
        **_both("hip", depth),
        **_both("knee", 1.9 * depth),
        **_both("flex", 1.3 * beat.bump),
        "bend": 0.4 * depth,
    }


def _kick(beat: Beat, size: float, traits: Traits) -> Curves:
    return {
        "near_hip": 1.05 * size * beat.peak(0.55, 0.3) - 0.35 * beat.peak(0.2, 0.2),
        "near_knee": 1.3 * beat.peak(0.33, 0.24),
        "far_knee": 0.2 * beat.bump,
        "far_hip": 0.1 * beat.bump,
        "near_flex": -0.5 * beat.bump,
        "far_flex": 0.6 * beat.bump,
        "bend": -0.2 * beat.bump,
    }


def _punch(beat: Beat, size: float, traits: Traits) -> Curves:
    hit = beat.peak(0.5, 0.35)
    return {
        "near_flex": 0.5 * beat.on + 0.95 * hit,
        "near_elbow": 2.1 * beat.on - 2.0 * hit,
        "far_flex": 0.5 * beat.on,
        "far_elbow": 2.1 * beat.on,
        "turn": -0.6 * hit,
        "far_hip": 0.2 * beat.on,
        **_both("knee", 0.25 * beat.on),
    }


def _wave(beat: Beat, size: float, traits: Traits) -> Curves:
    return {
        "near_raise": 1.6 * beat.on,
        "near_twist": -1.5 * beat.on,
        "near_elbow": 1.3 * beat.on + 0.5 * size * beat.swing(),
    }


def _raise(beat: Beat, size: float, traits: Traits) -> Curves:
    if traits["direction"] == "sideways":
        return {"near_raise": 2.6 * beat.bump}
    return {"near_flex": 2.7 * beat.bump}


def _clap(beat: Beat, size: float, traits: Traits) -> Curves:
    return {
        **_both("flex", 1.25 * beat.on),
        **_both("elbow", 0.15 * beat.on),
        **_both("raise", 0.65 * beat.on - 1.0 * beat.peak(0.5, 0.4)),
    }


def _bow(beat: Beat, size: float, traits: Traits) -> Curves:
    return {"bend": 0.85 * size * beat.bump, **_both("hip", 0.15 * size * beat.bump), "ahead": -0.1 * size * beat.bump}


def _throw(beat: Beat, size: float, traits: Traits) -> Curves:
    back, release = beat.peak(0.3, 0.3), beat.peak(0.65, 0.25)
    return {
        "near_raise": 1.3 * beat.peak(0.4, 0.35),
        "near_flex": 1.7 * release - 0.6 * back,
        "near_elbow": 1.8 * beat.peak(0.35, 0.3),
        "near_twist": -1.4 * back,
        "turn": 0.6 * back - 0.6 * release,
        "bend": 0.35 * release,
        "far_hip": 0.45 * release,
        "far_knee": 0.4 * release,
    }


def _lunge(beat: Beat, size: float, traits: Traits) -> Curves:
    deep = beat.bump
    if traits["direction"] == "sideways":
        return {
            "near_spread": 0.75 * deep,
            "near_hip": 0.8 * deep,
            "near_knee": 1.3 * deep,
            "far_spread": 0.55 * deep,
            "beside": 0.35 * deep,
        }
    return {
        "near_hip": 1.15 * deep,
        "near_knee": 1.3 * deep,
        "far_hip": -0.5 * deep,
        "far_knee": 0.6 * deep,
        "ahead": 0.45 * deep,
    }


def _jack(beat: Beat, size: float, traits: Traits) -> Curves:
    hops = beat.peak(0.25, 0.2) + beat.peak(0.75, 0.2)
    return {**_both("raise", 2.5 * beat.bump), **_both("spread", 0.4 * beat.bump), "lift": 0.1 * hops}


def _march(beat: Beat, size: float, traits: Traits) -> Curves:
    near, far = np.maximum(beat.swing(), 0), np.maximum(-beat.swing(), 0)
    return {
        "near_hip": 0.95 * size * near,
        "near_knee": 1.2 * size * near,
        "far_hip": 0.95 * size * far,
        "far_knee": 1.2 * size * far,
        "near_flex": 0.5 * (far - near),
        "far_flex": 0.5 * (near - far),
        **_both("elbow", 0.9 * beat.on),
    }


def _lean(beat: Beat, size: float, traits: Traits) -> Curves:
    return {"lean": 0.55 * size * beat.bump, "far_raise": 0.6 * size * beat.bump, "beside": -0.08 * size * beat.bump}


def _circle(beat: Beat, size: float, traits: Traits) -> Curves:
    way = -1 if traits["direction"] == "forward" else 1
    return {"near_flex": way * 2 * np.pi * beat.phase, "near_raise": 0.25 * beat.on}


def _sit(beat: Beat, size: float, traits: Traits) -> Curves:
    down = beat.bump
    return {
        **_both("hip", 1.45 * down),
        **_both("knee", 1.45 * down),
        **_both("elbow", 0.8 * down),
        **_both("flex", 0.3 * down),
        "bend": 0.5 * (beat.peak(0.25, 0.25) + beat.peak(0.75, 0.25)),
        "ahead": -0.36 * down,
    }


def _kneel(beat: Beat, size: float, traits: Traits) -> Curves:
    down = beat.bump
    return {"near_knee": 1.6 * down, "far_hip": 1.5 * down, "far_knee": 1.5 * down, "bend": 0.2 * down}


def _both(limb: str, curve: Curve) -> Curves:
    return {f"near_{limb}": curve, f"far_{limb}": curve}


_SPEED = ("speed", ("slow", "normal", "fast"))
_SIZE = ("amplitude", ("small", "normal", "large"))
_TIMES = ("repetitions", ("1", "2", "3"))
_PAUSE = ("pause", ("no", "yes"))
_SIDE = ("side", ("left", "right"))
_SIDES = ("side", ("left", "right", "both"))
_LEFT_RIGHT = ("direction", ("left", "right"))
_FORTH_BACK = ("direction", ("forward", "backward"))
_FRONT_SIDE = ("direction", ("forward", "sideways"))

ACTIONS: dict[str, Action] = {
    "walk": Action(_walk, 1.1, (_FORTH_BACK, _SPEED, _PAUSE), repeats=3, steady=True),
    "run": Action(_run, 0.7, (_SIZE, _PAUSE), repeats=4, steady=True),
    "sidestep": Action(_sidestep, 0.9, (_LEFT_RIGHT, _SPEED, _PAUSE), repeats=3, stop=2),
    "turn": Action(_turn, 1.6, (_LEFT_RIGHT, ("amount", ("quarter", "half", "full")), _SPEED)),
    "jump": Action(_jump, 1.2, (("direction", ("up", "forward", "backward")), _SIZE, _TIMES)),
    "squat": Action(_squat, 1.3, (_SIZE, _TIMES, _SPEED)),
    "kick": Action(_kick, 1.2, (_SIDE, _SIZE, _TIMES)),
    "punch": Action(_punch, 0.8, (_SIDE, _TIMES, _SPEED)),
    "wave": Action(_wave, 0.6, (_SIDES, _SPEED, _SIZE), repeats=5, steady=True),
    "raise": Action(_raise, 1.8, (_SIDES, _FRONT_SIDE, _PAUSE), stop=0.5),
    "clap": Action(_clap, 0.7, (_TIMES, _SPEED)),
    "bow": Action(_bow, 1.8, (_SIZE, _SPEED, _PAUSE), stop=0.5),
    "throw": Action(_throw, 1.2, (_SIDE, _TIMES, _SPEED)),
    "lunge": Action(_lunge, 1.6, (_SIDE, _FRONT_SIDE, _TIMES)),
    "jack": Action(_jack, 1.0, (_TIMES, _SPEED)),
    "march": Action(_march, 1.0, (_SPEED, _SIZE, _PAUSE), repeats=3, steady=True),
    "lean": Action(_lean, 1.5, (_LEFT_RIGHT, _SIZE, _TIMES)),
    "circle": Action(_circle, 1.0, (_SIDES, _FORTH_BACK, _SPEED), repeats=3),
    "sit": Action(_sit, 2.2, (_SPEED, _PAUSE), stop=0.5),
    "kneel": Action(_kneel, 2.2, (_SIDE, _SPEED, _PAUSE), stop=0.5),
}

"""UESTC (Ji et al. 2018): 40 exercises, 118 subjects, 8 views, as ACTOR (Petrovich et al. 2021) released VIBE's bodies.

info/names.txt names the videos, aA_dVIEW_pSUBJECT_cSIDE_color.avi a line; vibe_cache_refined.pkl is a pickle of lists
with an array for each video. We read vibe/NAME.npz, the same arrays one file for each video: `pose` (T, 72), SMPL's
axis-angles as the camera sees them, and `orig_cam` (T, 4), scale and shift of the body in the image, across and down.
Joints are those of the neutral skeleton, on the path that the camera's numbers give.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from motionlang_pl.data.sources.actions import (
    ActionItem,
    ActionSet,
    Listed,
    action_source,
    by_official,
    clip_entry,
    load_arrays,
    never_loaded,
    posed,
)
from motionlang_pl.data.sources.raw import BadInput, Source, read_lines
from motionlang_pl.data.writer import Entry

OFFICIAL = (  # training subjects of the cross-subject protocol
    *(1, 2, 6, 12, 13, 16, 21, 24, 28, 29, 30, 31, 33, 35, 39, 41, 42, 45, 47, 50, 52, 54, 55, 57, 59, 61, 63, 64),
    *(67, 69, 70, 71, 73, 77, 81, 84, 86, 87, 88, 90, 91, 93, 96, 99, 102, 103, 104, 107, 108, 112, 113),
)
UESTC = ActionSet(
    name="uestc",
    form="aA_dVIEW_pSUBJECT_cSIDE",
    pattern=r"a(?P<action>\d+)_d\d+_p(?P<subject>\d+)_c\d+",
    classes=dict(
        enumerate(
            (
                *("punching and knee lifting", "marking time and knee lifting", "jumping jack", "squatting"),
                *("forward lunging", "left lunging", "left stretching", "raising hand and jumping", "left kicking"),
                *("rotation clapping", "front raising", "pulling chest expanders", "punching", "wrist circling"),
                *("single dumbbell raising", "shoulder raising", "elbow circling"),
                *("dumbbell one arm shoulder pressing", "arm circling", "dumbbell shrugging", "pinching back"),
                *("head anticlockwise circling", "shoulder abduction", "deltoid muscle stretching"),
                *("straight forward flexion", "spinal stretching", "dumbbell side bend"),
                *("standing opposite elbow to knee crunch", "standing rotation", "overhead stretching"),
                *("upper back stretching", "knee to chest", "knee circling", "alternate knee lifting"),
                *("bent over twist", "rope skipping", "standing toe touches", "standing gastrocnemius calf"),
                *("single leg lateral hopping", "high knees running"),
            )
        )
    ),
    subjects=by_official(OFFICIAL, 118),
    fps=30.0,
)
LAYOUT = "vibe/NAME.npz with that video's pose (T, 72) and orig_cam (T, 4)"
AROUND = ("_d8_", "_c2")  # the view that goes around the subject, which ACTOR leaves out and so do we
FOCAL, WIDTH = 540.0, 960.0  # pixels: the colour camera of a Kinect v2 at the videos' 960 x 540


def source(raw: Path, fps: float, features: Sequence[str]) -> Source:
    """The folder that holds info/names.txt and vibe/.

    Raises:
        FileNotFoundError, ValueError: nothing to read, or something asked for cannot be.
    """
    names, pickle, vibe = raw / "info" / "names.txt", raw / "vibe_cache_refined.pkl", raw / "vibe"
    if not names.is_file():
        raise FileNotFoundError(f"{names}: no such file; --raw is the folder that holds info/names.txt, a video a line")
    if not vibe.is_dir():
        if pickle.is_file():
            raise ValueError(f"{raw}: {never_loaded(pickle, LAYOUT)}")
        raise FileNotFoundError(f"{vibe}: no such folder; read is {LAYOUT}")
    clips = []
    for number, line in enumerate(read_lines(names), start=1):
        name = line.removesuffix("_color.avi")
        if line and not (AROUND[0] in name and name.endswith(AROUND[1])):
            clips.append(Listed(name, f"info/names.txt:{number}", (vibe / f"{name}.npz",)))
    return action_source(UESTC, raw, clips, fps, features, read_clip, UESTC.name, (names,))


def read_clip(item: ActionItem) -> Entry:
    """Reads a clip; BadInput where it cannot be used."""
    arrays = load_arrays(item.files[0], {"pose": 72, "orig_cam": 4})
    camera = arrays["orig_cam"]
    scale = camera[:, 0]
    if (scale <= 0).any():
        raise BadInput(item.files[0], f"orig_cam has the scale {scale.min():g}; it must be more than 0")
    away = 2 * FOCAL / (WIDTH * scale)  # a body of `scale` half widths a metre, by a pinhole of that focal length
    return clip_entry(item, *posed(item, arrays["pose"], np.column_stack((camera[:, 2:], away))))

"""NTU-13, "refined NTU RGB+D" (Guo et al. 2020, Action2Motion): 13 actions of NTU RGB+D 120, bodies estimated by VIBE.

ntu_vibe_list.txt names the clips, SsssCcccPpppRrrrAaaa.pkl a line: pickles of one dictionary for each person. We read a
.npz beside each, with that of person 1: `pose` (T, 72), SMPL's axis-angles as the camera sees them. It says nothing of
where the person stands, so the root stays in place; joints are those of the neutral skeleton. (The published 18 joints
are OpenPose's, which are not SMPL's and are not read.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

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

OFFICIAL = (  # training subjects of NTU RGB+D 120's cross-subject protocol (Liu et al. 2020)
    *(1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56),
    *(57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103),
)
NTU13 = ActionSet(
    name="ntu13",
    form="SsssCcccPpppRrrrAaaa",
    pattern=r"S\d{3}C\d{3}P(?P<subject>\d{3})R\d{3}A(?P<action>\d{3})",
    classes={
        6: "pick up",
        7: "throw",
        8: "sit down",
        9: "stand up",
        22: "cheer up",
        23: "hand waving",
        24: "kick something",
        38: "salute",
        80: "squat down",
        93: "shake fist",
        99: "run on the spot",
        100: "butt kicks",
        102: "side kick",
    },
    subjects=by_official(OFFICIAL, 106),
    fps=30.0,
)
LIST = "ntu_vibe_list.txt"
LAYOUT = "NAME.npz beside NAME.pkl, with person 1's pose (T, 72)"


def source(raw: Path, fps: float, features: Sequence[str]) -> Source:
    """The folder that holds the list.

    Raises:
        FileNotFoundError, ValueError: nothing to read, or something asked for cannot be.
    """
    listing = raw / LIST
    if not listing.is_file():
        raise FileNotFoundError(f"{listing}: no such file; --raw is the folder that holds {LIST}, a clip a line")
    clips = []
    for number, line in enumerate(read_lines(listing), start=1):
        path = PurePosixPath(line.replace("\\", "/"))
        inside = not path.is_absolute() and ".." not in path.parts and "\0" not in line
        if line:
            name = path.stem if inside else line
            clips.append(Listed(name, f"{LIST}:{number}", (raw / path.with_suffix(".npz"),) if path.name else ()))
    return action_source(NTU13, raw, clips, fps, features, read_clip, "nturgbd", (listing,))


def read_clip(item: ActionItem) -> Entry:
    """Reads a clip; BadInput where it cannot be used."""
    file = item.files[0]
    pickle = file.with_suffix(".pkl")
    if pickle.is_file() and not file.is_file():
        raise BadInput(pickle, never_loaded(pickle, LAYOUT))
    poses = load_arrays(file, {"pose": 72})["pose"]
    return clip_entry(item, *posed(item, poses, np.zeros((len(poses), 3), dtype=np.float32)))

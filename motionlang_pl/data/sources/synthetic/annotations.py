"""What annotation sets over AMASS say of the synthetic recordings: BABEL, TMR's unified files, HumanML3D's index.

Each writer takes the numbers that `write_amass` took, and describes its recordings in the layout of the real set.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

from motionlang_pl.data.origins import dataset_name
from motionlang_pl.data.sources.synthetic.clips import SPLITS, Clip, Take, describe, perform, plan, recording
from motionlang_pl.data.words import mirror_words

FPS = 20.0


def write_babel(out: Path, clips: int, seed: int) -> None:
    """Write train, val, test, extra_train and extra_val .json in BABEL's layout, and a ranked list of the actions.

    Clips of two actions have `frame_ann` with the transition between them, others `seq_ann`; `test` has no labels; the
    extra files have two people's labels of every fourth clip.
    """
    files: dict[str, dict[str, Any]] = {name: {} for name in (*SPLITS, "extra_train", "extra_val")}
    ranked: Counter[str] = Counter()
    for clip in plan(clips, seed):
        take = perform(clip, FPS, seed)
        ranked.update(part.action for part in clip.parts)
        whole, parts = _babel_labels(clip, take, seed)
        if clip.split == "test":
            for label in (*whole, *parts):
                label.update(raw_label=None, proc_label=None, act_cat=None)
        record = {"babel_sid": clip.number, "url": "", "feat_p": _babel_path(clip), "dur": len(take.joints) / FPS}
        frame_ann = {"labels": parts, "mul_act": True} if parts else None
        files[clip.split][str(clip.number)] = {
            **record,
            "seq_ann": {"labels": whole, "mul_act": bool(parts)},
            "frame_ann": frame_ann,
        }
        if clip.number % 4 == 0 and clip.split != "test":
            files[f"extra_{clip.split}"][str(clip.number)] = {
                **record,
                "seq_anns": [{"labels": whole}, {"labels": whole}],
                "frame_anns": [frame_ann, frame_ann] if parts else None,
            }
    out.mkdir(parents=True, exist_ok=True)
    for name, records in files.items():
        (out / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
    order = {action: place for place, (action, _) in enumerate(ranked.most_common())}
    (out / "action_label_2_idx.json").write_text(json.dumps(order), encoding="utf-8")


def write_unified(out: Path, clips: int, seed: int) -> None:
    """Write annotations.json as TMR unified it, with mirrored ids M..., and the folder splits."""
    annotations: dict[str, Any] = {}
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    for clip in plan(clips, seed):
        take = perform(clip, FPS, seed)
        seconds = round(len(take.joints) / FPS, 3)
        path = _babel_path(clip).split("/", 1)[1].removesuffix(".npz")
        for mark in ("", "M"):
            name = f"{mark}{clip.number:05d}"
            names[clip.split].append(name)
            said = []
            for number, (caption, start, end) in enumerate(_lines(clip, take, seed)):
                text = mirror_words(caption) if mark else caption
                span = {"start": start, "end": end} if end else {"start": 0.0, "end": seconds}
                said.append({"seg_id": f"{name}_{number}", "text": text, **span})
            annotations[name] = {"path": f"{mark and 'M/'}{path}", "duration": seconds, "annotations": said}
    out.mkdir(parents=True, exist_ok=True)
    (out / "annotations.json").write_text(json.dumps(annotations), encoding="utf-8")
    _write_lists(out / "splits", names)


def write_index(out: Path, clips: int, seed: int) -> None:
    """Write index.csv, texts with mirrored twins and the folder splits as HumanML3D has them; whole recordings."""
    (out / "texts").mkdir(parents=True, exist_ok=True)
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    rows = []
    for clip in plan(clips, seed):
        take = perform(clip, FPS, seed)
        rows.append((index_path(clip), 0, len(take.joints), f"{clip.number:06d}.npy"))
        for mark in ("", "M"):
            name = f"{mark}{clip.number:06d}"
            names[clip.split].append(name)
            lines = describe(clip, take, seed)
            text = "".join(f"{mirror_words(line) if mark else line}\n" for line in lines)
            (out / "texts" / f"{name}.txt").write_text(text, encoding="utf-8")
    with (out / "index.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("source_path", "start_frame", "end_frame", "new_name"), *rows])
    _write_lists(out / "splits", names)


def index_path(clip: Clip) -> str:
    """Return how index.csv writes a clip's recording: as SMPL-H's, turned into positions."""
    path = recording(clip).replace("_stageii.npz", "_poses.npz").removesuffix(".npz")
    return f"./pose_data/{path}.npy"


def _lines(clip: Clip, take: Take, seed: int) -> list[tuple[str, float, float]]:
    """Captions with start and end in seconds, 0 and 0 for the whole clip."""
    fields = (line.split("#") for line in describe(clip, take, seed))
    return [(caption, float(start), float(end)) for caption, _, start, end in fields]


def _babel_labels(clip: Clip, take: Take, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The labels of the whole recording, and its segments where it shows two actions."""
    lines = _lines(clip, take, seed)
    actions = [part.action for part in clip.parts]
    whole = [_babel_label(clip, "0", lines[0][0], actions)]
    if len(actions) == 1:
        return whole, []
    segments = [
        _babel_label(clip, str(number), caption, [action]) | {"start_t": start, "end_t": end}
        for number, (action, (caption, start, end)) in enumerate(zip(actions, lines[-len(actions) :], strict=True), 1)
    ]
    between = {"start_t": segments[0]["end_t"], "end_t": segments[1]["start_t"]}
    return whole, [*segments, _babel_label(clip, "3", "transition", ["transition"]) | between]


def _babel_label(clip: Clip, number: str, text: str, actions: list[str]) -> dict[str, Any]:
    return {"raw_label": text, "proc_label": " ".join(actions), "seg_id": f"{clip.number}-{number}", "act_cat": actions}


def _babel_path(clip: Clip) -> str:
    """As BABEL writes it: the archive's name, its folder, and SMPL-H's file name."""
    path = recording(clip).replace("_stageii.npz", "_poses.npz")
    return f"{dataset_name(path.split('/')[0])}/{path}"


def _write_lists(folder: Path, names: dict[str, list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, members in names.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in sorted(members)), encoding="utf-8")

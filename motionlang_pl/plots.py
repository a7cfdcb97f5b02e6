"""Pictures of results: the heat map of a score matrix, strips of skeletons, both as files and as arrays of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionlang_pl.motion.skeleton import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LETTERS, _LINE = 64, 112  # a label of the heat map, a line above a strip: cut there
_POSES = 10
_SPACING = 0.9  # metres between two poses
_COLOURS = {"left": "#1f6fd0", "right": "#d1601f", "middle": "#3a4454"}
Pixels = NDArray[np.uint8]


class Strip(NamedTuple):
    """A motion to draw.

    joints: (T, J, 3) metres, y up.  title, note: lines above.  shaded: (T,) bool, frames to mark, such as hidden ones.
    """

    joints: Tensor
    title: str = ""
    note: str = ""
    shaded: Tensor | None = None


def heat_map(
    scores: Tensor, captions: Sequence[str], path: Path, title: str = "Scores of sentences and motions"
) -> None:
    """Write the picture of `draw_heat_map` as a PNG."""
    draw_heat_map(scores, captions, title).savefig(path, format="png")


def draw_heat_map(scores: Tensor, captions: Sequence[str], title: str = "Scores of sentences and motions") -> Figure:
    """Draw the scores between sentences (rows) and the motions they describe (columns, in the same order).

    A good model's diagonal stands out. Equal rows mean that sentences are not told apart, equal columns that motions
    are not.

    scores: (N, N).  captions: of the N rows; long ones are cut.
    """
    n = len(captions)
    if tuple(scores.shape) != (n, n):
        raise ValueError(f"scores are {tuple(scores.shape)} for {n} captions; give one row and one column per caption")
    side = 0.28 * n + 1.5
    figure = _figure(side + 6.0, side + 1.0)
    axes = figure.add_subplot()
    image = axes.imshow(scores.detach().float().cpu().numpy(), cmap="viridis", interpolation="nearest")
    axes.set_yticks(range(n), [f"{_cut(caption)}  {row}" for row, caption in enumerate(captions, start=1)], fontsize=8)
    axes.set_xticks(range(n), [str(column) for column in range(1, n + 1)], fontsize=8)
    axes.set_xlabel("motion (number of its sentence)")
    axes.set_ylabel("sentence")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="score", shrink=0.8)
    return figure


def draw_strips(strips: Sequence[Strip], skeleton: Skeleton) -> Figure:
    """Draw motions below each other, each as poses side by side, time running to the right; left is blue.

    A pose is seen from the front left; only its height above the motion's lowest point is true, not where it stands.
    """
    figure = _figure(7.2, sum(1.15 + 0.22 * bool(strip.title) + 0.2 * bool(strip.note) for strip in strips))
    for row, strip in enumerate(strips, start=1):
        axes = figure.add_subplot(len(strips), 1, row)
        _draw_poses(axes, strip, skeleton)
        lines = [_cut(line, _LINE) for line in (strip.title, strip.note) if line]
        axes.set_title("\n".join(lines), fontsize=8, loc="left", pad=2)
    return figure


def pixels(figure: Figure) -> Pixels:
    """The picture as (height, width, 3)."""
    canvas = figure.canvas
    canvas.draw()
    rgba: Pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[attr-defined]
    return rgba[..., :3].copy()


def _draw_poses(axes: Axes, strip: Strip, skeleton: Skeleton) -> None:
    from matplotlib.collections import LineCollection

    joints = strip.joints.detach().float().cpu().nan_to_num(0.0, 0.0, 0.0)  # a model may diverge
    frames = torch.linspace(0, len(joints) - 1, min(_POSES, len(joints))).round().long()
    poses = joints[frames]
    x = 0.8 * (poses[..., 0] - poses[:, :1, 0]) + 0.6 * (poses[..., 2] - poses[:, :1, 2])
    x = x + _SPACING * torch.arange(len(frames))[:, None]
    points = torch.stack((x, poses[..., 1] - joints[..., 1].min()), dim=-1)
    bones = [(child, parent) for child, parent in enumerate(skeleton.parents) if parent >= 0]
    lines = points[:, torch.tensor(bones)].flatten(0, 1).numpy()
    sides = skeleton.sides()
    colours = [_COLOURS[sides[child]] for child, _ in bones] * len(frames)
    axes.add_collection(LineCollection(list(lines), colors=colours, linewidths=1.3, capstyle="round"))
    if strip.shaded is not None:
        for place, frame in enumerate(frames.tolist()):
            if strip.shaded[frame]:
                axes.axvspan(_SPACING * (place - 0.5), _SPACING * (place + 0.5), color="#f3e3c3", linewidth=0)
    axes.set_xlim(-0.7 * _SPACING, _SPACING * (_POSES - 0.3))
    axes.set_ylim(-0.05, max(1.9, float(points[..., 1].max()) + 0.05))
    axes.set_aspect("equal", adjustable="box", anchor="W")
    axes.axhline(0, color="#c9ced6", linewidth=0.8)
    axes.axis("off")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _cut(caption: str, letters: int = _LETTERS) -> str:
    caption = " ".join(caption.split())
    shown = caption if len(caption) <= letters else caption[: letters - 1].rstrip() + "…"
    return shown.replace("$", r"\$")  # matplotlib would read dollars as mathematics

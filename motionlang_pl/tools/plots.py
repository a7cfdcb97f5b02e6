"""Pictures of results: the heat map of a score matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

_LETTERS = 64  # a caption's label is cut there


def heat_map(
    scores: Tensor, captions: Sequence[str], path: Path, title: str = "Scores of sentences and motions"
) -> None:
    """Write a PNG of the scores between sentences (rows) and the motions they describe (columns, in the same order).

    A good model's diagonal stands out. Equal rows mean that sentences are not told apart, equal columns that motions
    are not.

    scores: (N, N).  captions: of the N rows; long ones are cut.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n = len(captions)
    if tuple(scores.shape) != (n, n):
        raise ValueError(f"scores are {tuple(scores.shape)} for {n} captions; give one row and one column per caption")
    side = 0.28 * n + 1.5
    figure = Figure(figsize=(side + 5.5, side + 1.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(scores.detach().float().cpu().numpy(), cmap="viridis", interpolation="nearest")
    axes.set_yticks(range(n), [f"{_cut(caption)}  {row}" for row, caption in enumerate(captions, start=1)], fontsize=8)
    axes.set_xticks(range(n), [str(column) for column in range(1, n + 1)], fontsize=8)
    axes.set_xlabel("motion (number of its sentence)")
    axes.set_ylabel("sentence")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="score", shrink=0.8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def _cut(caption: str) -> str:
    # matplotlib would read dollars as mathematics
    caption = " ".join(caption.split()).replace("$", r"\$")
    return caption if len(caption) <= _LETTERS else caption[: _LETTERS - 1].rstrip() + "…"

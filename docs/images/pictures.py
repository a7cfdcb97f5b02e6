"""Makes the pictures of docs/dashboards.md from a run's TensorBoard event files: `python pictures.py RUN`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PANELS = {
    "loss": ("train/loss", "train/contrast"),
    "validation, %": ("val/t2m/R@1", "val/t2m/R@10", "val/m2t/R@1", "val/m2t/R@10"),
    "active terms": ("val/lexical/active_terms_text", "val/lexical/active_terms_motion"),
    "signs of collapse, %": ("lexical/hub_share", "lexical/dead_share", "lexical/dense_share"),
    "temperature": ("train/temperature",),
    "gradient norm": ("grad_norm/total",),
    "speed": ("train/samples_per_s", "train/gflop_per_s"),
    "cost, s": ("cost/cpu_seconds", "cost/cpu_seconds_with_parents"),
}


def main(run: Path) -> None:
    """Writes curves.png, motions.png and heat_map.png beside this file."""
    folder = Path(__file__).parent
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "scalars": 0}).Reload()
    figure = Figure(figsize=(13, 6), dpi=80, layout="constrained")
    for axes, (title, names) in zip(figure.subplots(2, 4).flat, PANELS.items(), strict=True):
        for name in names:
            points = events.Scalars(name)
            axes.plot([point.step for point in points], [point.value for point in points], label=name, linewidth=1)
        axes.set_title(title, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=7, frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    save(picture.getvalue(), folder / "curves.png")
    for name in ("motions", "heat_map"):
        save(events.Images(f"val/{name}")[-1].encoded_image_string, folder / f"{name}.png")


def save(png: bytes, path: Path) -> None:
    """In 64 colours, which is enough and a third of the size."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""`motionlang explain`: the strongest terms of some motions beside their captions; the motions themselves as a page."""

from __future__ import annotations

from pathlib import Path

import torch

from motionlang_pl.data.dataset import PairSamples, joints
from motionlang_pl.metrics.term_use import strongest
from motionlang_pl.motion.skeleton import skeleton
from motionlang_pl.stages.retrieval import LexicalRetrievalStage
from motionlang_pl.tools.animation import SkeletonClip, skeleton_html
from motionlang_pl.tools.vectors import at_least_one, open_data, pairs, read, retrieval_stage


def explain(
    checkpoint: Path,
    store: Path,
    split: str = "test",
    clips: int = 5,
    terms: int = 10,
    html: Path | None = None,
    seed: int = 0,
) -> None:
    """Print the strongest terms of motions drawn from a split, each with its weight.

    Args:
        checkpoint: A checkpoint of a lexical stage (lexcmlp).
        store: Where the motions are.
        split: One of the store's splits.
        clips: How many motions.
        terms: How many terms of each.
        html: Where to write a page that plays the motions.
        seed: Which motions.
    """
    at_least_one(clips=clips, terms=terms)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
    stage = retrieval_stage(checkpoint, "cpu")
    if not isinstance(stage, LexicalRetrievalStage):
        raise ValueError(f"{checkpoint}: {type(stage).__name__} has no weights of terms; give a checkpoint of LexCMLP")
    data = open_data(stage, store, seed=seed)
    samples = pairs(data, split)
    drawn = _draw(samples, clips, seed)
    motion, captions = read(samples, drawn)
    with torch.inference_mode():
        notes = strongest(stage.motion_vectors(motion), stage.terms, terms)
    shown = []
    for number, caption, note in zip(drawn, captions, notes, strict=True):
        print(f"{samples.sample_id(number)}  {caption}\n    {note}")
        if html is not None:
            shown.append(SkeletonClip(caption, joints(data.store, data.features, samples, number), note))
    if html is not None:
        skeleton_html(shown, skeleton(data.store.skeleton), data.store.fps, html)
        print(f"animated skeletons: {html}")


def _draw(samples: PairSamples, clips: int, seed: int) -> list[int]:
    """Samples at random, of different first captions as long as there are some."""
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed)).tolist()
    first = {samples.captions[number][0]: number for number in reversed(order)}
    different = [number for number in order if first[samples.captions[number][0]] == number]
    rest = [number for number in order if first[samples.captions[number][0]] != number]
    return (different + rest)[:clips]

"""Encodes motions and sentences of a store with a trained stage: each motion once, each distinct caption once."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from motionlang_pl.data.batch import Batch, Motion
from motionlang_pl.data.dataset import PairSamples, collate
from motionlang_pl.data.loaders import Loader
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.metrics.retrieval import owners
from motionlang_pl.stages import RetrievalStage, Stage


class Vectors(NamedTuple):
    """Some samples of a split, encoded.

    ids: of the N motions, see `PairSamples.sample_id`.  captions: theirs.  sentences: the S distinct ones of them.
    owner: (N,) int64, which each motion has.  text: (S, D).  motion: (N, D).  Stages with a vector per
    token have (S, L, D) and (N, P, D).  All on the CPU.
    """

    ids: list[str]
    captions: list[str]
    sentences: list[str]
    owner: Tensor
    text: Tensor
    motion: Tensor


def at_least_one(**counts: int | None) -> None:
    """Raise ValueError, by the option's name, for a count below 1; None is none."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"--{name} {count}: give a number of at least 1")


def retrieval_stage(checkpoint: Path, device: str = "auto") -> RetrievalStage:
    """Load a stage that has a vector per motion and per sentence.

    device: `auto` is `cuda` where there is one.  ValueError for a stage without such vectors, or no such device.
    """
    stage = Stage.load(checkpoint)
    if not isinstance(stage, RetrievalStage):
        raise ValueError(
            f"{checkpoint}: {type(stage).__name__} is a pretraining stage and cannot retrieve; give a checkpoint of "
            "LexCMLP, Codebook, CstAR, MaxSim, Dense or TMR (`make lexcmlp` builds one)"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return stage.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {device}: {str(error).splitlines()[0]}; give auto, cpu or cuda") from error


def open_data(
    stage: RetrievalStage,
    store: Path,
    batch_size: int = 64,
    seed: int = 0,
    mirrored: bool = True,
    loader: Loader | None = None,
) -> MotionLanguageData:
    """Open a store in the feature kind of the stage; ValueError where kinds, skeleton or fps are others."""
    motion = stage.corpus.motion
    assert motion is not None
    data = MotionLanguageData(
        str(store), motion.kind, batch_size=batch_size, seed=seed, mirrored=mirrored, loader=loader
    )
    if motion.kind not in data.store.kinds:
        raise ValueError(
            f"{store}: has the feature kinds {', '.join(data.store.kinds) or '(none)'}, the checkpoint reads "
            f"{motion.kind}; prepare the store again with --features {motion.kind}"
        )
    if data.store.skeleton != motion.skeleton:
        raise ValueError(
            f"{store}: has the skeleton {data.store.skeleton}, the checkpoint was trained on {motion.skeleton}; "
            "evaluate on a store of that skeleton, or train on this one"
        )
    if data.store.fps != motion.fps:
        raise ValueError(
            f"{store}: has {data.store.fps:g} frames per second, the checkpoint was trained at {motion.fps:g}; "
            "evaluate on a store of that rate, or train on this one"
        )
    return data


def pairs(data: MotionLanguageData, split: str) -> PairSamples:
    """Return a split's motions with their captions; ValueError where there are none."""
    if split not in data.store.splits:
        raise ValueError(f"{data.store.path}: no split {split!r}; it has {', '.join(data.store.splits)}")
    samples = data.samples("pairs", split)
    assert isinstance(samples, PairSamples)
    if not len(samples):
        raise ValueError(
            f"{data.store.path}: split {split!r} has no motion with a caption; choose another with --split"
        )
    return samples


def read(samples: PairSamples, numbers: list[int]) -> tuple[Motion, list[str]]:
    """Read whole motions and their first captions as one padded batch."""
    batch: Batch = collate([samples[number, 0] for number in numbers])
    assert batch.motion is not None and batch.captions is not None
    return batch.motion, batch.captions


@torch.inference_mode()
def encode(stage: RetrievalStage, samples: PairSamples, batch_size: int, limit: int | None = None) -> Vectors:
    """Encode all samples, or the first `limit`, in batches of similar length; progress goes to stderr."""
    n = len(samples) if limit is None else min(limit, len(samples))
    order = torch.from_numpy(samples.lengths[:n].copy()).argsort(stable=True)
    captions = [""] * n
    rows: list[Tensor] = []
    batches = [order[start : start + batch_size].tolist() for start in range(0, n, batch_size)]
    for numbers in tqdm(batches, desc="motions", unit="batch"):
        motion, said = read(samples, numbers)
        rows.append(stage.motion_vectors(Motion(*(x.to(stage.device) for x in motion))).cpu())
        for number, caption in zip(numbers, said, strict=True):
            captions[number] = caption
    sentences = list(dict.fromkeys(captions))
    chunks = [sentences[start : start + batch_size] for start in range(0, len(sentences), batch_size)]
    text = [stage.text_vectors(chunk).cpu() for chunk in tqdm(chunks, desc="sentences", unit="batch")]
    ids = [samples.sample_id(number) for number in range(n)]
    return Vectors(ids, captions, sentences, owners(captions), torch.cat(text), torch.cat(rows)[order.argsort()])

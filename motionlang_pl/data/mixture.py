"""Mixtures: the training samples of one store or several as one data set, in proportions of one's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from motionlang_pl.data.dataset import PairSamples, Sample, Samples, TextSamples
from motionlang_pl.data.keys import key
from motionlang_pl.data.sampler import Item, Share
from motionlang_pl.data.store import Store


class Part(NamedTuple):
    """What one store adds to a mixture. weight: None where every sample counts alike."""

    store: Store
    samples: Samples
    weight: float | None


class Mixture(Dataset[Sample]):
    """Samples of several stores, numbered through: those of the first, then those of the second, and so on.

    Numbers from `len(self)` on are the same samples again, with keys of their own: see `BucketBatchSampler`.
    """

    def __init__(self, parts: Sequence[Part], seed: int) -> None:
        self.parts, self.seed = parts, seed
        self.lengths = np.concatenate([part.samples.lengths for part in parts])
        self._first = np.cumsum([0, *(len(part.samples) for part in parts)])

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, item: Item) -> Sample:
        drawn, epoch = item
        return self.at(drawn % len(self), key(self.seed, epoch, drawn))

    def at(self, sample: int, sample_key: int) -> Sample:
        """A sample by its number in the mixture."""
        place = int(np.searchsorted(self._first, sample, side="right")) - 1
        found = self.parts[place].samples.at(sample - int(self._first[place]), sample_key)
        return found._replace(sample=sample, sentence=sample if found.caption is None else found.sentence)

    @property
    def shares(self) -> list[Share] | None:
        """An epoch of as many samples as all parts have, divided by weight; None where every sample is drawn once."""
        weights = [part.weight or 0.0 if len(part.samples) else 0.0 for part in self.parts]
        if not any(weights):
            return None
        return [
            Share(len(part.samples), round(len(self) * weight / sum(weights)))
            for part, weight in zip(self.parts, weights, strict=True)
        ]

    def sentences(self) -> dict[str, float]:
        """How often an epoch draws each sentence; what is said of one sample has its draws in equal parts."""
        often: dict[str, float] = {}
        shares = self.shares or [Share(len(part.samples), len(part.samples)) for part in self.parts]
        for part, share in zip(self.parts, shares, strict=True):
            assert isinstance(part.samples, TextSamples | PairSamples)
            for captions in part.samples.captions:
                for caption in captions:
                    often[caption] = often.get(caption, 0.0) + share.draws / share.samples / len(captions)
        return often

    def describe(self) -> str:
        """The stores and what an epoch reads of each."""
        if len(self.parts) == 1:
            return str(self.parts[0].store.path)
        counts = [f"{len(part.samples)}" for part in self.parts]
        if self.shares is not None:
            counts = [f"{share.draws} an epoch of {share.samples}" for share in self.shares]
        return ", ".join(f"{part.store.path} ({n})" for part, n in zip(self.parts, counts, strict=True))


def no_split(stores: Sequence[Store], name: str) -> ValueError:
    """The error that none of these stores has a split of that name."""
    have = [
        f"{store.path}: no split {name!r}; it has "
        + (
            ", ".join(f"{s} ({n['clips']} clips, {n['captions']} sentences)" for s, n in store.meta["splits"].items())
            or "none"
        )
        for store in stores
    ]
    return ValueError(
        f"{'; '.join(have)}. Choose one with --data.train_split (train+motion joins two), --data.val_split (null: no "
        "validation) or --data.test_split"
    )


def own_splits(stores: Sequence[Store], split: str) -> list[str]:
    """What each store reads of a split such as `train+motion`: those of its parts that it has.

    Raises:
        ValueError: a part that no store has, or a store that has none of them.
    """
    names = split.split("+")
    for name in names:
        if not any(name in store.splits for store in stores):
            raise no_split(stores, name)
    own = ["+".join(name for name in names if name in store.splits) for store in stores]
    for store, found in zip(stores, own, strict=True):
        if not found:
            raise no_split([store], split)
    return own


def require_alike(lead: Store, others: Sequence[Store], kind: str) -> None:
    """Raises ValueError where a store lacks the feature kind or has another skeleton or frame rate than the first."""
    lead.require(kind)
    for other in others:
        if kind not in other.kinds:
            raise ValueError(
                f"{other.path}: no feature kind {kind!r} (it has {', '.join(other.kinds)}), in which {lead.path} is "
                f"read; prepare it with --features {kind}, or choose a kind that both have with --data.features"
            )
        if (other.skeleton, other.fps) != (lead.skeleton, lead.fps):
            raise ValueError(
                f"{other.path} has the skeleton {other.skeleton} at {other.fps:g} fps, {lead.path} has {lead.skeleton} "
                f"at {lead.fps:g} fps; a mixture has one of each: leave a store out of --data.store, or prepare it anew"
            )


def fingerprint(stores: Sequence[Store], weights: Sequence[float] | None, excluded: Sequence[Store]) -> str:
    """What is trained on, as a hash; a single store's own where nothing else is chosen."""
    if len(stores) == 1 and not excluded:
        return stores[0].fingerprint
    names = [[store.fingerprint for store in group] for group in (stores, excluded)]
    return hashlib.sha256(json.dumps([*names, weights]).encode()).hexdigest()

"""The data module: loaders of a store, or several, for whatever a stage reads."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Literal

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from motionlang_pl.data.augmentation import OFF, Augmentation
from motionlang_pl.data.batch import Batch, MotionSpec, TextSpec
from motionlang_pl.data.dataset import MotionSamples, PairSamples, Reading, Samples, TextSamples, collate
from motionlang_pl.data.loaders import Every, Loader
from motionlang_pl.data.mixture import Mixture, Part, fingerprint, own_splits, require_alike
from motionlang_pl.data.overlap import held_out, overlap
from motionlang_pl.data.sampler import BucketBatchSampler, EvaluationBatchSampler, Item
from motionlang_pl.data.store import Store

Reads = Literal["motion", "text", "pairs"]
DATASETS: dict[Reads, Callable[[Store, str, Reading], Samples]] = {
    "motion": MotionSamples,
    "text": TextSamples,
    "pairs": PairSamples,
}
NEEDS: dict[Reads, str] = {"motion": "motion", "text": "sentences", "pairs": "motion with sentences"}


class MotionLanguageData(LightningDataModule):
    """Batches of motions, sentences or pairs, as the stage at hand reads them.

    Of several stores the first leads: it gives statistics, tokenizer and frame rate, and is validated and tested on.
    Training reads all; a store without motion adds to the stages that read sentences alone.

    Args:
        store: Folder of a prepared store, or a list of them: [A, B].
        features: Feature kind of the motions.
        batch_size: Samples of a global batch, over all processes.
        max_frames: Longer training motions are cropped at random; evaluation reads them whole.
        num_workers: Loader processes.
        seed: Of the order of samples, crops and the choice of captions.
        train_split: Name of the split to train on; train+motion joins two.
        val_split: Name of the split to validate on; null trains without validation.
        test_split: Name of the split that is tested on, which `exclude_overlap_with` keeps out of training.
        mirrored: Whether mirrored clips (HumanML3D's M ids) are read; the store's statistics know them all the same.
        weights: How often each store of a list is drawn from: with [3, 1] three samples of the first to one of the
            second, in an epoch of as many samples as both have. null: every sample once.
        exclude_overlap_with: Folders of stores; no training sample is of a recording that their val or test holds.
        augmentation: Left-right twins, speed and noise of training samples.
        loader: What a sample of a motion with a sentence is: Every (null), or a paper's rules: Guo, TMR, MoPatch.
    """

    def __init__(
        self,
        store: list[str] | str,
        features: str = "humanml3d",
        batch_size: int = 64,
        max_frames: int = 256,
        num_workers: int = 0,
        seed: int = 0,
        train_split: str = "train",
        val_split: str | None = "val",
        test_split: str = "test",
        mirrored: bool = True,
        weights: list[float] | None = None,
        exclude_overlap_with: list[str] | str | None = None,
        augmentation: Augmentation = OFF,
        loader: Loader | None = None,
    ) -> None:
        super().__init__()
        self.paths = _listed(store)
        self.weights = weights
        if not self.paths or (weights is not None and (len(weights) != len(self.paths) or min(weights) <= 0)):
            raise ValueError(
                f"--data.weights {weights}: give each of the {len(self.paths)} stores of --data.store a positive number"
            )
        self.excluded_paths = _listed(exclude_overlap_with)
        self.augmentation = augmentation
        self.features = features
        self.batch_size = batch_size
        self.max_frames = max_frames
        self.num_workers = num_workers
        self.seed = seed
        self.train_split = train_split
        self.val_split = val_split
        self.test_split = test_split
        self.mirrored = mirrored
        self.loader = loader or Every()
        self._goes_on = (0, 0)

    @cached_property
    def stores(self) -> list[Store]:
        """The stores, opened when they are first asked for."""
        return [Store.open(path) for path in self.paths]

    @property
    def store(self) -> Store:
        """The store that leads."""
        return self.stores[0]

    @cached_property
    def excluded(self) -> list[Store]:
        """The stores whose val and test are kept out of training."""
        return [Store.open(path) for path in self.excluded_paths]

    @property
    def fingerprint(self) -> str:
        """What is trained on: the stores in their order, weights, and what is kept out."""
        return fingerprint(self.stores, self.weights, self.excluded)

    @cached_property
    def held_out(self) -> frozenset[str]:
        """The origins of the recordings that are kept out of training."""
        names = ["val", "test", *(self.val_split or "val").split("+"), *self.test_split.split("+")]
        return held_out(self.excluded, list(dict.fromkeys(names)))

    def motion_spec(self) -> MotionSpec:
        """What a motion adapter is built from."""
        mean, std = (torch.from_numpy(values.copy()) for values in self.store.statistics(self.features))
        return MotionSpec(self.features, self.store.skeleton, self.store.fps, mean, std)

    def text_spec(self) -> TextSpec:
        """The store's tokenizer; ValueError where it has none."""
        if self.store.tokenizer is None:
            raise ValueError(f"{self.store.path}: no tokenizer: the store has no sentence in a split named train")
        return TextSpec(self.store.tokenizer, "")

    def samples(self, reads: Reads, split: str, training: bool = False) -> Samples:
        """The samples of a split, of the first store for evaluation; ValueError lists the splits there are."""
        if training:
            return self.mixture(reads, split)
        own_splits([self.store], split)
        if reads != "text":
            self.store.require(self.features)
        return DATASETS[reads](self.store, split, self._reading(training=False))

    def mixture(self, reads: Reads, split: str, training: bool = True) -> Mixture:
        """The samples of all stores that are trained on; without `training`, as evaluation reads them.

        Raises:
            ValueError: no store has the split, or stores differ in feature kind, skeleton or frame rate.
        """
        weights: Sequence[float | None] = self.weights or [None] * len(self.stores)
        pairs = zip(self.stores, weights, strict=True)
        chosen = [(store, weight) for store, weight in pairs if reads == "text" or store.kinds or store is self.store]
        stores = [store for store, _ in chosen]
        if reads != "text":
            require_alike(self.store, stores[1:], self.features)
        reading = self._reading(training)._replace(held_out=self.held_out)
        if training:
            deviation = self.store.statistics(self.features)[1] if reads != "text" and self.augmentation.noise else None
            reading = reading._replace(augmentation=self.augmentation, deviation=deviation)
        parts = [
            Part(store, DATASETS[reads](store, own, reading), weight)
            for (store, weight), own in zip(chosen, own_splits(stores, split), strict=True)
        ]
        return Mixture(parts, self.seed)

    def describe(self) -> str:
        """One line on what is trained on."""
        reads = self._reads()
        mixture = self.mixture(reads, self.train_split)
        counts = f"{len(mixture)} {self.train_split}"
        if self.val_split is not None:
            counts += f" and {len(self.samples(reads, self.val_split))} {self.val_split}"
        kind = "" if reads == "text" else f" of {self.features} at {self.store.fps:g} fps"
        line = f"{counts} samples ({NEEDS[reads]}{kind}) from {mixture.describe()}, global batch {self.batch_size}"
        if self.augmentation != OFF:
            line += f"; {self.augmentation}"
        if self.excluded:
            stores = [part.store for part in mixture.parts]
            line += f"; {overlap(stores, own_splits(stores, self.train_split), self.held_out)}"
        return line

    def example(self, size: int = 64) -> Batch:
        """Samples spread evenly over the training split, as evaluation reads them; the same for every process.

        Its first samples would be of a kind: stores are in the order of their clips' names.
        """
        samples = self.mixture(self._reads(), self.train_split, training=False)
        number = min(size, len(samples))
        return collate([samples[(place * len(samples) // number, 0)] for place in range(number)])

    def sentences(self) -> dict[str, float]:
        """The sentences that are trained on, and how often an epoch draws each."""
        return self.mixture(self._reads(), self.train_split, training=False).sentences()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, cropped, remainder left out; goes on within the epoch where a run resumes."""
        samples = self.mixture(self._reads(), self.train_split)
        if not len(samples):
            stores = ", ".join(self.paths)
            raise ValueError(
                f"{stores}: split {self.train_split!r} has no {NEEDS[self._reads()]}, which this stage reads"
            )
        sampler = BucketBatchSampler(samples.lengths, self.batch_size, self.seed, *self._place(), samples.shares)
        epoch, batches = self._goes_on
        sampler.set_epoch(epoch)
        sampler.start = batches
        if self.trainer.overfit_batches:  # type: ignore[union-attr]
            return self._loader(samples, list(sampler))  # the same in each epoch
        return self._loader(samples, sampler)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """Whole motions, first captions; no loader where there is nothing to validate on."""
        if self.val_split is None:
            return []
        samples = self.samples(self._reads(), self.val_split)
        if not len(samples):
            return []
        return [self._loader(samples, EvaluationBatchSampler(samples.lengths, self.batch_size, *self._place()))]

    def _reading(self, training: bool) -> Reading:
        return Reading(self.features, self.seed, self.max_frames, training, self.mirrored, self.loader)

    def _loader(self, samples: Samples, sampler: Iterable[list[Item]]) -> DataLoader[Batch]:
        return DataLoader(
            samples,  # type: ignore[arg-type]
            batch_sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=collate,
            worker_init_fn=_ignore_stop_signals,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def _reads(self) -> Reads:
        if self.trainer is None:
            raise RuntimeError(
                "loaders depend on what the stage reads: attach a trainer, or call samples(reads, split)"
            )
        reads: Reads = self.trainer.lightning_module.reads  # type: ignore[assignment]
        return reads

    def _place(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def state_dict(self) -> dict[str, int]:
        """The epoch and the batch with which a run that resumes from now goes on, and what both depend on."""
        if self.trainer is None:
            return {}
        loop = self.trainer.fit_loop
        started, batches = loop.epoch_progress.current.ready, loop.epoch_loop.batch_progress
        alike = {"batch_size": self.batch_size, "seed": self.seed}
        if batches.is_last_batch:
            return {"epoch": started, "batches": 0, **alike}
        return {"epoch": started - 1, "batches": batches.current.processed, **alike}  # type: ignore[attr-defined]

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Keeps where to go on: Lightning asks for the loader before it restores its own counters.

        Raises:
            ValueError: another batch size or seed, which would read other samples.
        """
        for name, option in (("batch_size", "data.batch_size"), ("seed", "seed_everything")):
            mine = getattr(self, name)
            began = state_dict.get(name, mine)
            if began != mine:
                raise ValueError(
                    f"--ckpt_path began with --{option} {began}, this run has {mine}: give that, or start afresh with "
                    "init_from"
                )
        self._goes_on = (state_dict["epoch"], state_dict["batches"])


def _listed(paths: list[str] | str | None) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths or [])


def _ignore_stop_signals(worker: int) -> None:
    """Leave it to the fit when to stop: a scheduler signals to its workers too, and without them it fails at once."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)

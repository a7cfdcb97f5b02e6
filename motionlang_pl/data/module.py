"""The data module: loaders of a store for whatever a stage reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from motionlang_pl.data.batch import Batch, MotionSpec, TextSpec
from motionlang_pl.data.dataset import MotionSamples, PairSamples, Reading, Samples, TextSamples, collate
from motionlang_pl.data.sampler import BucketBatchSampler, EvaluationBatchSampler
from motionlang_pl.data.store import Store

Reads = Literal["motion", "text", "pairs"]
DATASETS: dict[Reads, Callable[[Store, str, Reading], Samples]] = {
    "motion": MotionSamples,
    "text": TextSamples,
    "pairs": PairSamples,
}
NEEDS: dict[Reads, str] = {"motion": "motion", "text": "sentences", "pairs": "motion with sentences"}


class MotionLanguageData(LightningDataModule):
    """Batches of a store's motions, sentences or pairs, as the stage at hand reads them.

    Args:
        store: Folder of a prepared store.
        features: Feature kind of the motions.
        batch_size: Samples of a global batch, over all processes.
        max_frames: Longer training motions are cropped at random; evaluation reads them whole.
        num_workers: Loader processes.
        seed: Of the order of samples, crops and the choice of captions.
        train_split: Name of the split to train on.
        val_split: Name of the split to validate on; null trains without validation.
        test_split: Name of the split to test on and to predict.
    """

    def __init__(
        self,
        store: str,
        features: str = "humanml3d",
        batch_size: int = 64,
        max_frames: int = 256,
        num_workers: int = 0,
        seed: int = 0,
        train_split: str = "train",
        val_split: str | None = "val",
        test_split: str = "test",
    ) -> None:
        super().__init__()
        self.store_path = store
        self.features = features
        self.batch_size = batch_size
        self.max_frames = max_frames
        self.num_workers = num_workers
        self.seed = seed
        self.train_split = train_split
        self.val_split = val_split
        self.test_split = test_split
        self._goes_on = (0, 0)

    @cached_property
    def store(self) -> Store:
        """The store, opened when it is first asked for."""
        return Store.open(self.store_path)

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
        """The samples of a split; ValueError lists the splits where there is none of that name."""
        if split not in self.store.splits:
            have = ", ".join(
                f"{name} ({n['clips']} clips, {n['captions']} sentences)"
                for name, n in self.store.meta["splits"].items()
            )
            raise ValueError(
                f"{self.store.path}: no split {split!r}; it has {have or 'none'}. Choose one with --data.train_split, "
                "--data.val_split (null: no validation) or --data.test_split"
            )
        if reads != "text":
            self.store.require(self.features)
        reading = Reading(self.features, self.seed, self.max_frames, training)
        return DATASETS[reads](self.store, split, reading)

    def describe(self) -> str:
        """One line on what is trained on."""
        reads = self._reads()
        counts = f"{len(self.samples(reads, self.train_split, training=True))} {self.train_split}"
        if self.val_split is not None:
            counts += f" and {len(self.samples(reads, self.val_split))} {self.val_split}"
        kind = "" if reads == "text" else f" of {self.features} at {self.store.fps:g} fps"
        return f"{counts} samples ({NEEDS[reads]}{kind}) from {self.store.path}, global batch {self.batch_size}"

    def example(self, size: int = 64) -> Batch:
        """The training split's first samples as evaluation reads them, the same for every process."""
        samples = self.samples(self._reads(), self.train_split)
        return collate([samples[(sample, 0)] for sample in range(min(size, len(samples)))])

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, cropped, remainder left out; goes on within the epoch where a run resumes."""
        samples = self._some(self.train_split, training=True)
        rank, world = self._place()
        sampler = BucketBatchSampler(samples.lengths, self.batch_size, self.seed, rank, world)
        epoch, batches = self._goes_on
        sampler.set_epoch(epoch)
        sampler.start = batches
        return self._loader(samples, sampler)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """Whole motions, first captions; no loader where there is nothing to validate on."""
        if self.val_split is None or not len(self.samples(self._reads(), self.val_split)):
            return []
        return [self._evaluation_loader(self.val_split)]

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test split, read as validation is."""
        return self._evaluation_loader(self.test_split)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The test split, read as validation is."""
        return self._evaluation_loader(self.test_split)

    def _evaluation_loader(self, split: str) -> DataLoader[Batch]:
        samples = self._some(split, training=False)
        return self._loader(samples, EvaluationBatchSampler(samples.lengths, self.batch_size, *self._place()))

    def _some(self, split: str, training: bool) -> Samples:
        reads = self._reads()
        samples = self.samples(reads, split, training)
        if not len(samples):
            raise ValueError(f"{self.store.path}: split {split!r} has no {NEEDS[reads]}, which this stage reads")
        return samples

    def _loader(self, samples: Samples, sampler: BucketBatchSampler | EvaluationBatchSampler) -> DataLoader[Batch]:
        return DataLoader(
            samples,  # type: ignore[arg-type]
            batch_sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=collate,
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
        """The epoch and the batch with which a run that resumes from now goes on."""
        if self.trainer is None:
            return {}
        loop = self.trainer.fit_loop
        started, batches = loop.epoch_progress.current.ready, loop.epoch_loop.batch_progress
        if batches.is_last_batch:
            return {"epoch": started, "batches": 0}
        return {"epoch": started - 1, "batches": batches.current.processed}  # type: ignore[attr-defined]

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Keeps where to go on: Lightning asks for the loader before it restores its own counters."""
        self._goes_on = (state_dict["epoch"], state_dict["batches"])

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import column
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from raw_folder import write_clip
from torch import Tensor

from motionlang_pl.cli import main
from motionlang_pl.data.augmentation import Augmentation
from motionlang_pl.data.batch import Batch
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.data.sampler import BucketBatchSampler, Share
from motionlang_pl.tools import prepare


def write(raw: Path, name: str, train: int, frames: int, motion: int = 0) -> None:
    """`train` captioned clips, `motion` clips without a sentence, one of each of val and test."""
    splits = {
        "train": range(train),
        "motion": range(100, 100 + motion),
        "val": range(200, 201),
        "test": range(300, 301),
    }
    for split, numbers in splits.items():
        if not numbers:
            continue
        ids = [f"{number:06d}" for number in numbers]
        for number, clip in zip(numbers, ids, strict=True):
            said = [] if split == "motion" else [f"{name} {split} {number}.#x/NOUN#0.0#0.0"]
            write_clip(raw, clip, frames + number % 100, number, *said)
            if not said:
                (raw / "texts" / f"{clip}.txt").unlink()
        (raw / "splits").mkdir(exist_ok=True)
        (raw / "splits" / f"{split}.txt").write_text("\n".join(ids) + "\n")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """big: 12 clips and 5 without a sentence.  small: 4 longer clips.  text: 3 sentences.  vectors: another kind."""
    folder = tmp_path_factory.mktemp("stores")
    for name, settings in {"big": (12, 40, 5), "small": (4, 80)}.items():
        write(folder / f"{name}_raw", name, *settings)
        raw = folder / f"{name}_raw"
        prepare.humanml3d(raw, folder / name, splits=raw / "splits", features=["joints"], allow_skips=True)
    prepare.humanml3d(raw, folder / "vectors", splits=raw / "splits", features=["humanml3d"])
    (folder / "sentences.txt").write_text("text one.\ntext two.\ntext three.\n")
    prepare.text(folder / "sentences.txt", folder / "text")
    return {name: str(folder / name) for name in ("big", "small", "text", "vectors")}


def attached(reads: str, store: str | list[str], batch_size: int = 4, **settings: Any) -> MotionLanguageData:
    data = MotionLanguageData(store, "joints", batch_size=batch_size, **settings)
    module = SimpleNamespace(reads=reads)
    trainer = SimpleNamespace(lightning_module=module, global_rank=0, world_size=1, overfit_batches=0)
    data.trainer = trainer  # type: ignore[assignment]
    return data


def epoch_of(data: MotionLanguageData, epoch: int) -> Iterator[Batch]:
    loader = data.train_dataloader()
    loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
    return iter(loader)


def said(data: MotionLanguageData, epoch: int = 0) -> list[str]:
    return [caption for batch in epoch_of(data, epoch) for caption in batch.captions or []]


def test_a_list_of_one_store_is_that_store(stores: dict[str, str]) -> None:
    one, listed = attached("pairs", stores["big"]), attached("pairs", [stores["big"]], weights=[2.0])
    assert one.fingerprint == listed.fingerprint == one.store.fingerprint
    for a, b in zip(epoch_of(one, 1), epoch_of(listed, 1), strict=True):
        assert a.captions == b.captions and torch.equal(a.key, b.key) and torch.equal(a.motion[0], b.motion[0])  # type: ignore[index]


def test_without_weights_every_sample_of_all_stores_is_read_once(stores: dict[str, str]) -> None:
    captions = said(attached("pairs", [stores["big"], stores["small"]]))
    assert len(captions) == 16 == len(set(captions))
    assert Counter(caption.split()[0] for caption in captions) == {"big": 12, "small": 4}


def test_weights_divide_an_epoch_and_a_small_store_goes_round_again(stores: dict[str, str]) -> None:
    """16 samples at 1 to 3: 4 of 12 without repeating, and 12 of 4, each three times."""
    data = attached("pairs", [stores["big"], stores["small"]], weights=[1, 3])
    for epoch in range(3):
        counts = Counter(said(data, epoch))
        assert sorted(counts.values()) == [1, 1, 1, 1, 3, 3, 3, 3]
        assert all(caption.startswith("small") == (n == 3) for caption, n in counts.items())
    assert len({tuple(sorted(set(said(data, epoch)))) for epoch in range(4)}) > 1  # another quarter each time


def test_sentences_count_as_often_as_an_epoch_draws_them(stores: dict[str, str]) -> None:
    both = [stores["big"], stores["text"]]  # 12 sentences and 3
    assert set(attached("text", both).sentences().values()) == {1.0}
    weighted = attached("text", both, weights=[1.0, 2.0]).sentences()  # 5 of 15 draws from 12, 10 from 3
    assert weighted["big train 0."] == pytest.approx(5 / 12) and weighted["text one."] == pytest.approx(10 / 3)
    assert set(attached("pairs", both).sentences()) == {f"big train {number}." for number in range(12)}


def test_what_a_stage_starts_from_is_spread_over_the_split(stores: dict[str, str]) -> None:
    data = attached("pairs", stores["big"])  # 12 samples
    assert data.example(4).sample.tolist() == [0, 3, 6, 9] and data.example(64).sample.tolist() == list(range(12))


def test_keys_differ_within_an_epoch_and_sample_numbers_are_the_mixtures_own(stores: dict[str, str]) -> None:
    data = attached("motion", [stores["big"], stores["small"]], weights=[1, 3], max_frames=30)
    batches = list(epoch_of(data, 2))
    keys = [key for batch in batches for key in batch.key.tolist()]
    assert len(set(keys)) == len(keys) == 16
    numbers = [number for batch in batches for number in batch.sample.tolist()]
    assert set(numbers) <= set(range(16)) and {12, 13, 14, 15} <= set(numbers)
    assert all(torch.equal(batch.sentence, batch.sample) for batch in batches)
    crops = [
        batch.motion.features[row].sum().item() for batch in batches for row in range(4) if batch.sample[row] == 15
    ]  # type: ignore[union-attr]
    assert len(set(crops)) == 3  # the same clip three times, and each time another stretch


def test_a_mixture_is_bucketed_by_length() -> None:
    lengths = np.concatenate([np.arange(500), np.arange(0, 500, 5)])
    sampler = BucketBatchSampler(lengths, 10, 0, shares=[Share(500, 300), Share(100, 300)])
    spread = [np.ptp(lengths[batch % 600]) for batch in sampler.batches(0)]
    assert sampler.batches(0).max() >= 600 and np.median(spread) < 20


@pytest.mark.parametrize("world", [2, 4])
def test_batches_of_a_weighted_mixture_do_not_depend_on_the_number_of_processes(world: int) -> None:
    settings = (np.arange(60), 8, 3)
    shares = [Share(40, 20), Share(20, 41)]
    alone = list(BucketBatchSampler(*settings, shares=shares))
    ranks = [list(BucketBatchSampler(*settings, rank, world, shares)) for rank in range(world)]
    merged = [list(itertools.chain(*zip(*parts, strict=True))) for parts in zip(*ranks, strict=True)]
    assert merged == alone and len(alone) == 61 // 8
    np.testing.assert_array_equal(
        BucketBatchSampler(*settings, shares=shares).batches(5), BucketBatchSampler(*settings, shares=shares).batches(5)
    )


def test_sentences_alone_join_where_text_is_read_and_nowhere_else(stores: dict[str, str]) -> None:
    both = [stores["big"], stores["text"]]
    assert len(said(attached("text", both, batch_size=5))) == 15
    assert len(said(attached("pairs", both))) == 12
    assert len(attached("motion", both, weights=[1, 5]).mixture("motion", "train")) == 12
    weighted = attached("pairs", both, weights=[1, 5])
    assert len(said(weighted)) == 12  # its weight counts for nothing where it has nothing


def test_a_mixture_with_nothing_to_read_is_an_error(stores: dict[str, str]) -> None:
    data = attached("pairs", [stores["big"], stores["text"]], train_split="motion")
    with pytest.raises(ValueError, match=r"big, .*text: split 'motion' has no motion with sentences"):
        data.train_dataloader()


def test_validation_statistics_and_words_are_the_first_stores(stores: dict[str, str]) -> None:
    data = attached("pairs", [stores["small"], stores["big"]], val_split="val")
    (loader,) = data.val_dataloader()
    assert [batch.captions for batch in loader] == [["small val 200."]]
    assert data.text_spec().tokenizer == MotionLanguageData(stores["small"]).text_spec().tokenizer
    mean, _ = data.store.statistics("joints")
    np.testing.assert_array_equal(data.motion_spec().mean.numpy(), mean)


def test_stores_of_another_kind_or_frame_rate_are_refused_by_name(stores: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"vectors: no feature kind 'joints' \(it has .*\), in which .*big is read"):
        attached("pairs", [stores["big"], stores["vectors"]]).train_dataloader()
    main(["prepare", "synthetic", "--out", str(tmp_path), "--clips", "10"])
    amass = str(tmp_path / "amass")
    with pytest.raises(ValueError, match=r"amass has the skeleton smpl22 at 30 fps, .*big has smpl22 at 20 fps"):
        attached("motion", [stores["big"], amass]).train_dataloader()


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, 1.0, 1.0]])
def test_weights_that_do_not_fit_the_stores_are_refused(stores: dict[str, str], weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"give each of the 2 stores of --data.store a positive number"):
        MotionLanguageData([stores["big"], stores["small"]], weights=weights)


def test_the_fingerprint_knows_all_stores_their_order_and_weights(stores: dict[str, str]) -> None:
    big, small = stores["big"], stores["small"]
    several = [
        MotionLanguageData(big),
        MotionLanguageData([big, small]),
        MotionLanguageData([small, big]),
        MotionLanguageData([big, small], weights=[1, 2]),
        MotionLanguageData([big, small], weights=[2, 1]),
    ]
    assert len({data.fingerprint for data in several}) == 5
    assert MotionLanguageData([big, small]).fingerprint == several[1].fingerprint


# ---- joined splits ---------------------------------------------------------------------------------------------------


def test_joined_splits_read_the_clips_of_both(stores: dict[str, str]) -> None:
    """Twelve captioned clips, five without a sentence: 17 to pretrain on, 12 pairs."""
    data = MotionLanguageData(stores["big"], "joints")
    assert [len(data.samples(reads, "train+motion")) for reads in ("motion", "pairs", "text")] == [17, 12, 12]
    assert [len(data.samples(reads, "motion")) for reads in ("motion", "pairs")] == [5, 0]


def test_a_store_reads_those_parts_of_joined_splits_that_it_has(stores: dict[str, str]) -> None:
    data = MotionLanguageData([stores["big"], stores["small"]], "joints")
    assert len(data.mixture("motion", "train+motion")) == 17 + 4


def test_an_unknown_part_of_joined_splits_is_named(stores: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"big: no split 'moton'; it has train \(12 clips"):
        MotionLanguageData(stores["big"], "joints").samples("motion", "train+moton")
    with pytest.raises(ValueError, match=r"big: no split 'moton'.*small: no split 'moton'"):
        MotionLanguageData([stores["big"], stores["small"]], "joints").mixture("motion", "train+moton")
    with pytest.raises(ValueError, match=r"small: no split 'motion'; it has train"):
        MotionLanguageData([stores["big"], stores["small"]], "joints").mixture("motion", "motion")


def test_an_empty_validation_split_gives_no_loader(stores: dict[str, str]) -> None:
    assert attached("pairs", stores["big"], val_split="motion").val_dataloader() == []


# ---- resume and workers ----------------------------------------------------------------------------------------------


class Recorder(LightningModule):
    """Learns nothing, but writes down what it sees."""

    reads = "pairs"

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int], list[str], float]] = []

    def training_step(self, batch: Batch) -> Tensor:
        assert batch.motion is not None and batch.captions is not None
        self.seen.append((self.current_epoch, batch.key.tolist(), batch.captions, batch.motion.features.sum().item()))
        return self.weight.square()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def record(stores: list[str], folder: Path, workers: int = 0, resume: Path | None = None) -> list[Any]:
    """What three epochs of four batches see."""
    recorder = Recorder()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        callbacks=[ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    augmentation = Augmentation(mirror=0.5, speed=0.2, noise=0.1)
    data = MotionLanguageData(
        stores, "joints", batch_size=4, max_frames=30, num_workers=workers, val_split=None, weights=[1, 3],
        augmentation=augmentation,
    )  # fmt: skip
    trainer.fit(recorder, datamodule=data, ckpt_path=resume, weights_only=True)
    return recorder.seen


@pytest.mark.filterwarnings("ignore")
def test_workers_and_a_resume_see_what_one_process_saw(stores: dict[str, str], tmp_path: Path) -> None:
    """Step 6 is in the middle of epoch 1. Workers that live on from epoch to epoch read the epoch at hand."""
    both = [stores["big"], stores["small"]]
    whole = record(both, tmp_path / "whole")
    assert [epoch for epoch, *_ in whole] == [0] * 4 + [1] * 4 + [2] * 4
    assert record(both, tmp_path / "workers", workers=2) == whole
    assert record(both, tmp_path / "resumed", workers=2, resume=tmp_path / "whole" / "step=6.ckpt") == whole[6:]


# ---- through the CLI -------------------------------------------------------------------------------------------------


def test_a_stage_trains_on_two_stores_through_the_cli(
    synthetic: Path, fit: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["prepare", "synthetic", "--out", str(tmp_path / "other"), "--clips", "24", "--seed", "1"])
    other = tmp_path / "other" / "humanml3d"
    arguments = [
        "--model.init_args.init_from=[]",
        f"--data.store=[{synthetic},{other}]",
        "--data.weights=[1,3]",
        "--data.augmentation.mirror=0.5",
        "--data.augmentation.speed=0.1",
        "--data.augmentation.noise=0.01",
        "--trainer.log_every_n_steps=1",
    ]
    run = fit("lexcmlp", synthetic, tmp_path / "runs", *arguments, "--trainer.max_steps=2")
    printed = capsys.readouterr().out
    assert "an epoch of" in printed and "Augmentation(mirror=0.5, speed=0.1, noise=0.01)" in printed
    assert np.isfinite(column(run, "train/loss")).all()
    resume = [f"--ckpt_path={run}/last.ckpt", "--trainer.max_steps=3"]
    fit("lexcmlp", synthetic, tmp_path / "runs", *arguments, *resume)
    assert len(column(run, "train/loss")) == 3
    with pytest.raises(SystemExit, match=r"was trained on the store .* resume on the same store"):
        fit("lexcmlp", synthetic, tmp_path / "runs", *arguments, "--data.weights=[3,1]", *resume)
    with pytest.raises(SystemExit, match=r"--data.weights \[1.0\]: give each of the 2 stores"):
        fit("lexcmlp", synthetic, tmp_path / "runs", *arguments, "--data.weights=[1]")
    with pytest.raises(SystemExit, match=r"--data.augmentation.mirror 2: it must be at least 0 and at most 1"):
        fit("lexcmlp", synthetic, tmp_path / "runs", *arguments, "--data.augmentation.mirror=2")

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from raw_folder import write_amass, write_humanml3d
from torch import Tensor

from motionlang_pl.data.batch import Batch
from motionlang_pl.data.dataset import collate
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.data.sampler import EMPTY
from motionlang_pl.tools import prepare


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    prepare.humanml3d(write_humanml3d(folder / "raw"), folder / "store", features=["joints", "humanml3d"])
    return str(folder / "store")


def ids(data: MotionLanguageData, samples: object) -> list[str]:
    return [data.store.clips.ids[int(clip)] for clip in samples.clip]  # type: ignore[attr-defined]


def test_motion_samples_are_every_clip_once(store: str) -> None:
    data = MotionLanguageData(store)
    samples = data.samples("motion", "train")
    assert ids(data, samples) == ["000001", "000002", "000003", "M000001"]
    assert samples[1, 0].caption is None


def test_the_repeated_last_row_of_computed_features_is_not_read(store: str) -> None:
    assert MotionLanguageData(store, "joints").samples("motion", "train").lengths.tolist() == [60, 80, 100, 60]
    assert MotionLanguageData(store, "humanml3d").samples("motion", "train").lengths.tolist() == [59, 79, 99, 59]


def test_pair_samples_are_distinct_spans_with_their_captions(store: str) -> None:
    data = MotionLanguageData(store, "joints")
    samples = data.samples("pairs", "train")
    assert ids(data, samples) == ["000001", "000002", "000002", "000003", "M000001"]
    assert samples.captions[0] == ["a person walks.", "a person strolls."]
    assert samples.captions[3] == ["a person waves.", "a person sits."]  # nan means the whole clip
    assert (samples.start[2], samples.stop[2]) == (40, 70)  # 2.0 to 3.5 s at 20 fps
    np.testing.assert_array_equal(samples[2, 0].features, data.store.read("joints", 1, 40, 70))


def test_text_samples_are_distinct_sentences(store: str) -> None:
    samples = MotionLanguageData(store).samples("text", "train")
    assert len(samples) == 6 and samples[0, 0].features is None
    assert [samples[i, 0].caption for i in (0, 1)] == ["a person walks.", "a person strolls."]


def test_samples_share_a_sentence_number_where_their_first_captions_are_equal(store: str) -> None:
    samples = MotionLanguageData(store).samples("pairs", "train")
    first, mirrored, other = (samples[i, 0].sentence for i in (0, 4, 1))
    assert first == mirrored != other


def test_training_crops_and_captions_are_drawn_anew_each_epoch_and_the_same_again(store: str) -> None:
    data = MotionLanguageData(store, "joints", max_frames=40)
    samples = data.samples("pairs", "train", training=True)
    assert samples.lengths.tolist() == [40, 40, 30, 40, 40]
    epochs = [samples[3, epoch] for epoch in range(20)]
    assert {len(sample.features) for sample in epochs} == {40}
    assert len({sample.features[0, 0].item() for sample in epochs}) > 5 and len({s.caption for s in epochs}) == 2
    again = samples[3, 7]
    assert (again.caption, again.key) == (epochs[7].caption, epochs[7].key)
    np.testing.assert_array_equal(again.features, epochs[7].features)


def test_evaluation_reads_whole_spans_and_first_captions(store: str) -> None:
    samples = MotionLanguageData(store, "joints", max_frames=40).samples("pairs", "train")
    assert {(len(samples[3, epoch].features), samples[3, epoch].caption) for epoch in range(9)} == {
        (100, "a person waves.")
    }


def test_windows_of_amass_are_samples_of_their_own(tmp_path: Path) -> None:
    write_amass(tmp_path / "raw" / "CMU" / "01" / "walk_poses.npz", frames=800)
    prepare.amass(tmp_path / "raw", tmp_path / "store")
    data = MotionLanguageData(str(tmp_path / "store"), "smpl_rot6d")
    split = next(name for name, counts in data.store.meta["splits"].items() if counts["clips"])
    samples = data.samples("motion", split)
    assert list(zip(samples.start.tolist(), samples.stop.tolist(), strict=True)) == [
        (0, 150),
        (15, 165),
        (30, 180),
        (45, 195),
        (50, 200),  # the last ends with the clip
    ]


def test_a_batch_of_fillers_alone_has_a_frame_that_is_padding(store: str) -> None:
    """A process may get no other batch: models need one to reduce over."""
    batch = collate([MotionLanguageData(store).samples("pairs", "val")[EMPTY, 0]] * 2)
    assert batch.motion is not None and batch.motion.features.shape == (2, 1, 263) and not batch.motion.mask.any()


def test_collate_pads_with_zeros_and_masks(store: str) -> None:
    samples = MotionLanguageData(store, "joints").samples("pairs", "train")
    batch = collate([samples[0, 0], samples[2, 0]])
    assert batch.motion is not None and batch.motion.features.shape == (2, 60, 66)
    assert batch.motion.mask.sum(1).tolist() == [60, 30] and not batch.motion.features[1, 30:].any()
    assert batch.captions == ["a person walks.", "he jumps at the end."] and batch.sample.tolist() == [0, 2]
    texts = collate([MotionLanguageData(store).samples("text", "val")[0, 0]])
    assert texts.motion is None and texts.captions == ["a person kneels."]


def test_a_split_that_is_not_there_is_named_with_those_that_are(store: str) -> None:
    with pytest.raises(ValueError, match=r"no split 'dev'; it has train \(4 clips, 6 sentences\), val \(1 clips"):
        MotionLanguageData(store).samples("pairs", "dev")


def test_a_split_without_what_the_stage_reads_is_named(tmp_path: Path) -> None:
    (tmp_path / "sentences.txt").write_text("a person walks.\n\nsomeone sits.\n")
    prepare.text(tmp_path / "sentences.txt", tmp_path / "store")
    data = MotionLanguageData(str(tmp_path / "store"), val_split=None)
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(reads="pairs"))  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"no feature kind 'humanml3d'.*sentences only"):
        data.train_dataloader()
    assert data.val_dataloader() == []
    assert len(data.samples("text", "train")) == 2


class Recorder(LightningModule):
    """Learns nothing, but writes down which samples and crops it sees."""

    reads = "pairs"

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int], list[int], float]] = []

    def training_step(self, batch: Batch) -> Tensor:
        assert batch.motion is not None
        total = batch.motion.features.sum().item()
        self.seen.append((self.current_epoch, batch.sample.tolist(), batch.key.tolist(), total))
        return self.weight.square()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def record(store: str, folder: Path, workers: int = 0, resume: Path | None = None) -> list[Any]:
    """What four epochs of two batches see; a checkpoint is written after every step."""
    recorder = Recorder()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=4,
        logger=False,
        callbacks=[ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    data = MotionLanguageData(store, "joints", batch_size=2, max_frames=30, num_workers=workers, val_split=None)
    trainer.fit(recorder, datamodule=data, ckpt_path=resume, weights_only=True)
    return recorder.seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_sees_what_the_uninterrupted_one_saw(store: str, tmp_path: Path, workers: int) -> None:
    """Step 3 is in the middle of epoch 1, step 4 its end."""
    whole = record(store, tmp_path / "whole")
    assert [epoch for epoch, *_ in whole] == [0, 0, 1, 1, 2, 2, 3, 3]
    for step in (1, 3, 4):
        resumed = record(store, tmp_path / "resumed", workers, tmp_path / "whole" / f"step={step}.ckpt")
        assert resumed == whole[step:]

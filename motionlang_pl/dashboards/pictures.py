"""Pictures of a few validation samples: the motions with captions and terms, the scores between them, predictions."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from motionlang_pl.dashboards.board import Board
from motionlang_pl.data.batch import Batch
from motionlang_pl.data.dataset import MotionSamples, PairSamples, collate, joints
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.metrics.term_use import strongest
from motionlang_pl.motion.features import joints_from
from motionlang_pl.motion.skeleton import skeleton
from motionlang_pl.plots import Strip, draw_heat_map, pixels
from motionlang_pl.stages import MMP, LexMMM, RetrievalStage, Stage
from motionlang_pl.stages.retrieval import LexicalRetrievalStage

PAIRS = 16  # in the heat map
MOTIONS = 6
TERMS = 8
SHARE = 0.02  # of the fit's time


class Pictures(Callback):
    """Shows the same few samples at validations, on the first process, where a logger is a `Board`.

    The first validation and the last are always pictured; of those between so many that encoding and drawing take at
    most 2% of the fit's time.
    """

    def __init__(self) -> None:
        self._began, self._spent = 0.0, 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._began, self._spent = time.perf_counter(), 0.0

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws, unless enough time went into it already."""
        assert isinstance(pl_module, Stage)
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        boards = [logger for logger in trainer.loggers if isinstance(logger, Board)]
        now = time.perf_counter()
        if boards and (self._spent <= SHARE * (now - self._began) or pl_module.progress >= 1):
            with trainer.precision_plugin.val_step_context():
                show(pl_module, trainer.datamodule, boards, trainer.global_step)  # type: ignore[attr-defined]
            self._spent += time.perf_counter() - now


def show(stage: Stage, data: MotionLanguageData, boards: Sequence[Board], step: int) -> None:
    """Gives the boards what there is to see of a stage; of one that reads text alone there is nothing."""
    if stage.reads == "text" or data.val_split is None:
        return
    samples = data.samples(stage.reads, data.val_split)
    assert isinstance(samples, PairSamples | MotionSamples)
    numbers = _spread(samples)
    batch = stage.transfer_batch_to_device(collate([samples[number, 0] for number in numbers]), stage.device, 0)
    if isinstance(stage, RetrievalStage):
        assert batch.motion is not None and batch.captions is not None
        scores = stage.score(stage.text_vectors(batch.captions), stage.motion_vectors(batch.motion))
        picture = pixels(draw_heat_map(scores, batch.captions))
        for board in boards:
            board.show_heat_map(picture, step)
    strips = _predictions(stage, batch) if isinstance(stage, MMP) else _captioned(stage, data, samples, numbers, batch)
    for board in boards if strips else ():
        board.show_motions(strips, skeleton(data.store.skeleton), step)


def _spread(samples: PairSamples | MotionSamples) -> list[int]:
    """Samples evenly spread over a split, of different captions."""
    numbers = list(range(len(samples)))
    if isinstance(samples, PairSamples):
        numbers = sorted({samples.captions[number][0]: number for number in reversed(numbers)}.values())
    places = torch.linspace(0, len(numbers) - 1, min(PAIRS, len(numbers))).round().long()
    return [numbers[place] for place in places.tolist()]


def _captioned(
    stage: Stage, data: MotionLanguageData, samples: PairSamples | MotionSamples, numbers: list[int], batch: Batch
) -> list[Strip]:
    """Some of the samples with all their captions, and their strongest terms where the stage has terms."""
    if not isinstance(samples, PairSamples) or not _knows_joints(data):
        return []
    assert batch.motion is not None
    notes = [""] * len(numbers)
    if isinstance(stage, LexicalRetrievalStage | LexMMM):
        notes = strongest(stage.motion_vectors(batch.motion), stage.terms, TERMS)
    return [
        Strip(joints(data.store, data.features, samples, number), " / ".join(samples.captions[number]), note)
        for number, note in list(zip(numbers, notes, strict=True))[:: -(-len(numbers) // MOTIONS)]
    ]


def _predictions(stage: MMP, batch: Batch) -> list[Strip]:
    """Motions, and below each what is predicted where the shaded frames are noise."""
    assert batch.motion is not None
    motion = stage.motion_adapter
    if motion.kind == "angles":
        return []
    predicted, hidden = stage.reconstruct(batch)
    strips = []
    for number in range(0, len(predicted), -(-len(predicted) // (MOTIONS // 2))):
        real = batch.motion.mask[number]
        for title, features in (("motion", batch.motion.features), ("predicted", predicted)):
            shown = joints_from(motion.kind, features[number][real].float(), skeleton(motion.skeleton))
            strips.append(Strip(shown, title, shaded=hidden[number][real]))
    return strips


def _knows_joints(data: MotionLanguageData) -> bool:
    return data.features != "angles" or "joints" in data.store.kinds

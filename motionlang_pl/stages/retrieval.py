"""What all stages share that rank motions for a sentence and sentences for a motion."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from motionlang_pl.data.batch import Batch, Motion
from motionlang_pl.metrics.retrieval import RetrievalMetrics
from motionlang_pl.scores import cosine
from motionlang_pl.stages.base import Stage


class RetrievalStage(Stage):
    """A stage with a vector per motion and per sentence; validated by retrieval in both directions.

    The best checkpoint has the highest mean of R@1, 2, 3, 5, 10 over both directions on the validation split.
    """

    reads = "pairs"
    monitor = "val/recall"
    mode = "max"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.val_metrics = RetrievalMetrics()

    def motion_vectors(self, motion: Motion) -> Tensor:
        """(B, D) float32."""
        raise NotImplementedError

    def text_vectors(self, captions: list[str]) -> Tensor:
        """(B, D) float32."""
        raise NotImplementedError

    def score(self, text: Tensor, motion: Tensor) -> Tensor:
        """(Q, D), (N, D) -> (Q, N), higher is better."""
        return cosine(text, motion)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects vectors."""
        assert batch.motion is not None and batch.captions is not None
        text, motion = self.text_vectors(batch.captions), self.motion_vectors(batch.motion)
        self.val_metrics.update(batch.sample, text, motion, batch.sentence)

    def on_validation_epoch_end(self) -> None:
        """R@k and MedR of both directions under the protocol `identical`."""
        metrics = self.val_metrics.compute()
        recalls = [value for name, value in metrics.items() if "/R@" in name]
        self.log("val/recall", sum(recalls) / len(recalls), prog_bar=True)
        self.log_dict({f"val/{name}": value for name, value in metrics.items()})
        self.val_metrics.reset()

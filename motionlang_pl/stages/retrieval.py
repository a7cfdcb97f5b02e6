"""What all stages share that rank motions for a sentence and sentences for a motion."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from motionlang_pl.data.batch import Batch, Motion
from motionlang_pl.metrics.retrieval import RetrievalMetrics
from motionlang_pl.metrics.term_use import TermUse
from motionlang_pl.models.chunks import in_chunks
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.motion_model import MotionModel
from motionlang_pl.models.text_encoder import TextParts
from motionlang_pl.models.tokenizer import Tokens
from motionlang_pl.scores import cosine
from motionlang_pl.stages.base import Stage


class RetrievalStage(Stage):
    """A stage with a vector per motion and per sentence; validated by retrieval in both directions.

    The best checkpoint has the highest mean of R@1, 2, 3, 5, 10 over both directions on the validation split.

    Args:
        chunk: Samples per process that are encoded at a time, for batches whose activations do not fit into memory
            (see `in_chunks`); null encodes the batch at once.
    """

    reads = "pairs"
    monitor = "val/recall"
    mode = "max"

    def __init__(self, chunk: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chunk = chunk
        self.val_metrics = RetrievalMetrics(self.score)

    def encode_motion(self, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None) -> Encoding:
        """`Stage.encode_motion`, `chunk` motions at a time."""
        encoding: Encoding = in_chunks(super().encode_motion, self.chunk, motion, hidden, noise)
        return encoding

    def encode_text(self, tokens: Tokens, ids: Tensor | None = None) -> Encoding:
        """`Stage.encode_text`, `chunk` captions at a time."""
        encoding: Encoding = in_chunks(super().encode_text, self.chunk, tokens, ids)
        return encoding

    def motion_vectors(self, motion: Motion) -> Tensor:
        """(B, D) float32, or (B, N, D) with a fixed N where a motion has a vector per token; zero rows are none."""
        raise NotImplementedError

    def text_vectors(self, captions: list[str]) -> Tensor:
        """(B, D) or (B, N, D) float32, as `motion_vectors`."""
        raise NotImplementedError

    def score(self, text: Tensor, motion: Tensor) -> Tensor:
        """Text vectors of Q sentences, motion vectors of N motions -> (Q, N), higher is better."""
        return cosine(text, motion)

    @property
    def reading(self) -> str:
        """How long motions are read, as part of the protocol's name: empty for overlapping windows."""
        return ""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects vectors."""
        assert batch.motion is not None and batch.captions is not None
        self.collect(batch, self.text_vectors(batch.captions), self.motion_vectors(batch.motion))

    def collect(self, batch: Batch, text: Tensor, motion: Tensor) -> None:
        """Keeps a validation batch's vectors for the metrics."""
        self.val_metrics.update(batch.sample, text, motion, batch.sentence)

    def on_validation_epoch_end(self) -> None:
        """R@k and MedR of both directions under the protocol `identical`."""
        metrics = self.val_metrics.compute()
        recalls = [value for name, value in metrics.items() if "/R@" in name]
        self.log("val/recall", sum(recalls) / len(recalls), prog_bar=True)
        self.log_dict({f"val/{name}": value for name, value in metrics.items()})
        self.val_metrics.reset()


class LexicalRetrievalStage(RetrievalStage):
    """A retrieval stage whose vectors are weights of terms (B, V): validation also tells how they use the vocabulary.

    Must be the first base, so that its methods come before another's: ``class DenseLexical(LexicalRetrievalStage,
    Dense)``.
    """

    def take_text(self, parts: TextParts) -> None:
        """Counts the use of the language model's vocabulary."""
        super().take_text(parts)
        self.text_use = TermUse(self.tokenizer.vocabulary)
        self.motion_use = TermUse(self.tokenizer.vocabulary)

    @property
    def terms(self) -> list[str]:
        """The vocabulary."""
        return self.tokenizer.terms

    def collect(self, batch: Batch, text: Tensor, motion: Tensor) -> None:
        """Counts how the vectors use the vocabulary, too."""
        super().collect(batch, text, motion)
        self.text_use.update(text, batch.sample)
        self.motion_use.update(motion, batch.sample)

    def on_validation_epoch_end(self) -> None:
        """Recalls; active terms, norms and signs of collapse, of these the worse of both modalities."""
        super().on_validation_epoch_end()
        worst: dict[str, float] = {}
        for name, metric in (("text", self.text_use), ("motion", self.motion_use)):
            use = metric.compute()
            self.warn_of_collapse(use, name)
            for sign in ("hub_share", "dead_share", "dense_share"):
                worst[f"lexical/{sign}"] = max(worst.get(f"lexical/{sign}", 0.0), float(use[sign]))
            self.log_dict({f"val/lexical/{value}_{name}": float(use[value]) for value in ("active_terms", "norm")})
            metric.reset()
        self.log_dict(worst)

    def warn_of_collapse(self, use: dict[str, Tensor], name: str) -> None:
        """For a stage that can act on it.  use: of `TermUse`.  name: text or motion."""


class MotionModelStage(RetrievalStage):
    """A retrieval stage whose motion side is a `MotionModel`, chosen by class_path; a subclass sets `motion`."""

    motion: MotionModel

    @property
    def reading(self) -> str:
        """The motion model's."""
        return self.motion.reading

    def encode_motion(self, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None) -> Encoding:
        """Motions as the motion model reads them, `chunk` at a time."""
        read = partial(self.motion.encode, self.motion_adapter, self.motion_encoder)
        encoding: Encoding = in_chunks(read, self.chunk, motion, hidden, noise)
        return encoding

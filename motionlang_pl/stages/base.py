"""Stage: a LightningModule whose modules are built from a corpus description and handed over by name."""

from __future__ import annotations

import hashlib
import json
import math
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from motionlang_pl.data.batch import Batch, Corpus, Motion, MotionSpec, TextSpec
from motionlang_pl.distributed import gather_plain
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.heads import LexicalHead, TermHead
from motionlang_pl.models.motion_adapter import Adapter
from motionlang_pl.models.motion_encoder import MotionEncoder, encode_frames
from motionlang_pl.models.motion_model import MotionParts
from motionlang_pl.models.text_encoder import TextParts
from motionlang_pl.models.tokenizer import Tokenizer, Tokens
from motionlang_pl.stages.handover import HandOver, distinct, mismatch, read_checkpoint, take_over
from motionlang_pl.stages.optimization import Optimization

MAY_CHANGE = {"chunk", "init_from", "optimization", "_class_path", "_instantiator"}  # of a stage's options, in a resume
PACKAGES = ("motionlang-pl", "torch", "lightning", "transformers", "numpy")


def is_logged(trainer: Trainer, step: int) -> bool:
    """Whether the loggers write the values of an optimizer step, counted from 1.

    They write those of every ``log_every_n_steps``-th step, and of none where that is 0.
    """
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return every > 0 and step % every == 0


class TrainingData(Protocol):
    """What a stage may look at before its first step."""

    def example(self) -> Batch:
        """Some training samples, the same for every process."""
        ...

    def sentences(self) -> dict[str, float]:
        """The sentences that are trained on, and how often an epoch draws each."""
        ...


class Stage(LightningModule):
    """A phase of training.

    A subclass sets ``reads``, builds its modules in ``assemble`` and computes its losses in ``training_step``. Modules
    are built once: on a fresh fit from the data module's store, else from the checkpoint's assets.

    Args:
        optimization: Learning rates and schedule.
        init_from: Modules to take over from earlier stages; only on a fresh fit, ignored by a resume.
    """

    reads: ClassVar[Literal["motion", "text", "pairs"]]
    monitor: ClassVar[str] = "val/loss"
    mode: ClassVar[Literal["min", "max"]] = "min"

    motion_adapter: Adapter
    text_lexical_head: TermHead
    motion_encoder: MotionEncoder

    def __init__(self, optimization: Optimization | None = None, init_from: list[HandOver] | None = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.optimization = optimization or Optimization()
        self.init_from = init_from or []
        self.corpus = Corpus(None, None)
        self.parents: list[dict[str, Any]] = []
        self.cost = {"cpu_seconds": 0.0, "gpu_seconds": 0.0, "wall_seconds": 0.0}
        self._clock: tuple[float, float] | None = None
        self._assembled = False

    # ---- modules -----------------------------------------------------------------------------------------------------

    def assemble(self, corpus: Corpus) -> None:
        """Builds the stage's modules for a corpus."""
        raise NotImplementedError

    def _assemble(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.assemble(corpus)
        self._assembled = True

    def take_text(self, parts: TextParts) -> None:
        """Names a text model's parts as the hand-over knows them, and keeps its description for the checkpoint."""
        self.word_embeddings = parts.word_embeddings
        self.text_encoder = parts.text_encoder
        self.text_lexical_head = parts.text_lexical_head
        self.tokenizer = Tokenizer(parts.spec.tokenizer)
        self.corpus = self.corpus._replace(text=parts.spec)

    def take_motion(self, parts: MotionParts) -> None:
        """Names a motion model's parts as the hand-over knows them, and keeps its description for the checkpoint."""
        self.add_module("motion_adapter", parts.adapter)
        self.add_module("motion_encoder", parts.encoder)
        self.corpus = self.corpus._replace(motion=parts.spec)

    def setup(self, stage: str) -> None:
        """Builds the modules: from the store with what ``init_from`` names on a fresh fit, else from the checkpoint."""
        if self._assembled:
            return
        if self.trainer.ckpt_path is not None:
            self.on_load_checkpoint(read_checkpoint(Path(self.trainer.ckpt_path)))
            return
        if stage != "fit":
            raise ValueError("validate needs a trained stage: add --ckpt_path RUNS/STAGE/best.ckpt")
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self._assemble(
            Corpus(
                motion=data.motion_spec() if self.reads != "text" else None,
                text=data.text_spec() if self.reads != "motion" else None,
            )
        )
        self.parents = take_over(self, self.init_from, Path(self.trainer.default_root_dir).absolute().parent)
        self.to(self.device)  # Lightning names the device already, but moves the stage only later
        self.begin(data)

    def begin(self, data: TrainingData) -> None:
        """What a stage's modules start from that depends on the data: once, on a fresh fit, after the hand-over."""

    @torch.no_grad()
    def start_at_frequencies(self, heads: list[TermHead], data: TrainingData) -> None:
        """Sets the biases of heads that were never trained to log(1 + how often an epoch's sentences have each term).

        Else states and word embeddings first learn how common each word is: most of an embedding becomes one direction
        that all words share, and lexical vectors of different captions resemble each other.
        """
        new = [head for head in heads if isinstance(head, LexicalHead) and not head.bias.any()]
        if not new:
            return
        sentences = data.sentences()
        tokens = self.tokenize(list(sentences))
        drawn = torch.tensor(list(sentences.values()), device=self.device)[:, None].expand(tokens.ids.shape)
        ids, weights = tokens.ids[tokens.content], drawn[tokens.content]
        often = torch.bincount(ids, weights, minlength=self.tokenizer.vocabulary).log1p()
        for head in new:
            head.bias.copy_(often)

    def configure_model(self) -> None:
        """Builds the modules for callbacks that want them before `setup`: Lightning's weight averaging copies them."""
        if self._trainer is not None and self.trainer.state.fn is not None:
            self.setup(self.trainer.state.fn)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The stage that a checkpoint holds, on the CPU, in evaluation mode; fetches nothing and runs no pickle.

        Raises:
            FileNotFoundError, ValueError: no such checkpoint, or one that is not a stage's.
        """
        read_checkpoint(Path(path))
        stage = LightningModule.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        if not isinstance(stage, cls):
            raise ValueError(f"{path}: holds the stage {type(stage).__name__}, not a {cls.__name__}")
        return stage.eval()

    # ---- encodings ---------------------------------------------------------------------------------------------------

    def encode_motion(self, motion: Motion, hidden: Tensor | None = None, noise: Tensor | None = None) -> Encoding:
        """Frames through adapter and trunk; motions longer than the trunk's ``max_frames`` in overlapping windows."""
        return encode_frames(self.motion_adapter, self.motion_encoder, motion, hidden, noise)

    def tokenize(self, captions: list[str]) -> Tokens:
        """Captions as padded token ids on the stage's device."""
        return Tokens(*(x.to(self.device) for x in self.tokenizer(captions)))

    def encode_text(self, tokens: Tokens, ids: Tensor | None = None) -> Encoding:
        """Token states; ``ids`` (B, L) stands in for the tokens' own ids where some are masked."""
        encoding: Encoding = self.text_encoder(self.word_embeddings(tokens.ids if ids is None else ids), tokens)
        return encoding

    # ---- training ----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """See `Optimization`."""
        return self.optimization.configure(self, self._steps)

    @property
    def _steps(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if steps == math.inf:
            raise ValueError("the schedule needs an end: give --trainer.max_steps or --trainer.max_epochs")
        return int(steps)

    @property
    def progress(self) -> float:
        """Share of the run's optimizer steps that are done, in [0, 1]."""
        return min(1.0, self.global_step / max(1, self._steps))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Keys dropout by (seed, step, part of the step, rank): a resumed run draws what the uninterrupted one drew."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        torch.manual_seed(hash((data.seed, self.global_step, self.part_of_step(batch_idx), self.global_rank)))

    def part_of_step(self, batch_idx: int) -> int:
        """Which of the batches it is, from 0, whose gradients an optimizer step accumulates."""
        return batch_idx % self.trainer.accumulate_grad_batches

    def record(self, phase: str, values: dict[str, Tensor], samples: int = 1) -> None:
        """Logs values under ``phase/name``, averaged over processes; an epoch's mean weighs a batch by its samples.

        In training all but the loss are logged only in steps that the loggers write, for each costs an all-reduce.
        """
        written = not self.trainer.training or is_logged(self.trainer, self.global_step + 1)
        for name, value in values.items():
            shown = name == "loss"
            if written or shown:
                self.log(f"{phase}/{name}", value.detach(), prog_bar=shown, batch_size=samples, sync_dist=True)

    def record_validation(self, batch: Batch, losses: dict[str, Tensor]) -> None:
        """Logs the losses of a validation batch, which weigh as much as the samples that it has over all processes."""
        self.record("val", losses, samples=int((gather_plain(batch.sample) >= 0).sum()))

    # ---- checkpoints -------------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Starts the cost clock."""
        self._clock = (time.process_time(), time.perf_counter())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what the modules are built from, and the lineage, as plain data."""
        checkpoint["assets"] = {
            "motion": None if self.corpus.motion is None else dict(self.corpus.motion._asdict()),
            "text": None if self.corpus.text is None else dict(self.corpus.text._asdict()),
        }
        checkpoint["lineage"] = self.lineage()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Builds the modules from the checkpoint's assets and restores parents and cost."""
        name = checkpoint["lineage"]["stage"]
        if name != type(self).__name__:
            raise ValueError(
                f"--ckpt_path holds the stage {name}, the config names {type(self).__name__}: ckpt_path only resumes a "
                "run; to start from another stage's modules use init_from"
            )
        self._refuse_other_data(checkpoint["lineage"]["data_sha256"])
        if not self._assembled:
            assets = checkpoint["assets"]
            motion = MotionSpec(**assets["motion"]) if assets["motion"] else None
            text = TextSpec(**assets["text"]) if assets["text"] else None
            self._assemble(Corpus(motion, text))
        if problem := mismatch(self.state_dict(), checkpoint["state_dict"]):
            raise ValueError(
                f"--ckpt_path does not fit the config: {problem}; give the options it was trained with, "
                "or train it again where another version wrote it"
            )
        self._refuse_other_options(checkpoint)
        self.parents = checkpoint["lineage"]["parents"]
        self.cost = {key: checkpoint["lineage"][key] for key in self.cost}

    def _refuse_other_data(self, fingerprint: str) -> None:
        """A run resumes only on the data that it started on; the same stores may stand elsewhere."""
        if self._trainer is None or not self._trainer.training:
            return
        data = self._trainer.datamodule  # type: ignore[attr-defined]
        if data.fingerprint != fingerprint:
            raise ValueError(
                f"--ckpt_path was trained on the store {fingerprint[:12]}, {', '.join(data.paths)} is "
                f"{data.fingerprint[:12]}: resume on the same store (or stores in their order, with the same weights "
                "and exclude_overlap_with), or start afresh with init_from"
            )

    def _refuse_other_options(self, checkpoint: dict[str, Any]) -> None:
        """A run resumes with the options that it began with: records would credit all of it to others."""
        if self._trainer is None or not self._trainer.training:
            return
        self.optimization.refuse_others(self, checkpoint["optimizer_states"][0]["param_groups"])
        theirs = checkpoint["hyper_parameters"]
        for name in sorted(self.hparams.keys() & theirs.keys() - MAY_CHANGE):
            if self.hparams[name] != theirs[name]:
                raise ValueError(
                    f"--ckpt_path began with {name} {theirs[name]}, the config says {self.hparams[name]}: give that, "
                    "or start afresh with init_from"
                )

    def lineage(self) -> dict[str, Any]:
        """Ancestry and cost of the stage as it is now, as plain data."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        hparams = {key: value for key, value in self.hparams.items() if not key.startswith("_")}
        return {
            "stage": type(self).__name__,
            "step": int(self.global_step),
            "seed": int(data.seed),
            "config_sha256": hashlib.sha256(json.dumps(hparams, sort_keys=True, default=str).encode()).hexdigest(),
            "data_sha256": data.fingerprint,
            "packages": {name: version(name) for name in PACKAGES},
            **self.spent(),
            "parents": self.parents,
        }

    def spent(self) -> dict[str, float]:
        """Cost so far over all processes, of the run before a resume too; loader workers are not counted."""
        if self._clock is None:
            return dict(self.cost)
        world = self.trainer.world_size
        wall = time.perf_counter() - self._clock[1]
        return {
            "cpu_seconds": self.cost["cpu_seconds"] + world * (time.process_time() - self._clock[0]),
            "gpu_seconds": self.cost["gpu_seconds"] + (world * wall if self.device.type == "cuda" else 0.0),
            "wall_seconds": self.cost["wall_seconds"] + wall,
        }

    def inherited_cost(self) -> dict[str, float]:
        """Cost of all checkpoints that the stage comes from, each counted once."""
        ancestors = list(distinct(self.parents).values())
        return {key: sum((each[key] for each in ancestors), 0.0) for key in self.cost}

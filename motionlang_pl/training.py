"""LightningCLI with this project's places: RUNS/<stage>/{best,last}.ckpt, config.yaml, metrics.csv."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from jsonargparse import ActionYesNo
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import Logger

from motionlang_pl.acceleration import Compilation, GradientCheckpointing
from motionlang_pl.checkpoints import StageCheckpoints
from motionlang_pl.dashboards.board import Board
from motionlang_pl.dashboards.pictures import Pictures
from motionlang_pl.dashboards.tensorboard import TensorBoard
from motionlang_pl.data.module import MotionLanguageData
from motionlang_pl.monitoring import MetricsCSV, RunReport
from motionlang_pl.parsing import OneLineErrors
from motionlang_pl.stages import Stage
from motionlang_pl.stages.handover import read_checkpoint
from motionlang_pl.throughput import Throughput

NOISE = ("Tip:", "`weights_only` was not set", "TPU available")
TRAINER_DEFAULTS = {
    "use_distributed_sampler": False,  # our batch sampler splits global batches over processes itself
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 10,
    "enable_model_summary": False,  # the modules are built in setup; RunReport says what there is
}


def run(args: list[str]) -> None:
    """Runs fit or validate."""
    # The CLI stores the config of injected modules, not the modules: the warning that says otherwise misleads.
    warnings.filterwarnings("ignore", message=".*is an instance of `nn.Module` and is already saved.*")
    warnings.filterwarnings("ignore", message=".*LightningCLI's args parameter is intended to run from within Python.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # A frozen language model (TMR) is in evaluation mode on purpose.
    warnings.filterwarnings("ignore", message=r".*module\(s\) in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", message=".*model that overrides the configure_model callback.*")
    # The data module keeps its place in the epoch.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    # Metrics of retrieval are gathered before they are computed.
    warnings.filterwarnings("ignore", message=".*when logging on epoch level in distributed setting.*")
    for name in ("utilities.rank_zero", "trainer.connectors.checkpoint_connector", "trainer.setup"):
        logging.getLogger(f"lightning.pytorch.{name}").addFilter(_says_something)
    MotionLanguageCLI(
        Stage,
        MotionLanguageData,
        subclass_mode_model=True,
        auto_configure_optimizers=False,
        seed_everything_default=0,
        parser_class=StageParser,
        save_config_callback=SaveConfig,
        save_config_kwargs={"overwrite": True},
        trainer_defaults=TRAINER_DEFAULTS,
        args=args,
    )


def _says_something(record: logging.LogRecord) -> bool:
    return not any(noise in record.getMessage() for noise in NOISE)


class StageParser(OneLineErrors, LightningArgumentParser):
    """Lightning's parser, with our errors."""

    def where_to_look(self) -> str:
        """The options of a stage are listed apart."""
        return "`motionlang fit --help` lists the options, `motionlang fit --model.help LexCMLP` those of a stage"


class SaveConfig(SaveConfigCallback):
    """Writes config.yaml into the run's folder, whatever the loggers are; dashboards show it too.

    It waits until training starts: a fit that is refused leaves an earlier run's as it is.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "save_to_log_dir": False})

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Too early."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the whole merged config as one file."""
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.save_config(trainer, pl_module, "fit")

    def save_config(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """See `on_train_start`."""
        path = Path(trainer.default_root_dir) / self.config_filename
        self.parser.save(self.config, path, skip_none=False, overwrite=True, multifile=False)
        for logger in trainer.loggers:
            if isinstance(logger, Board):
                logger.show_config(self.parser.dump(self.config, skip_none=False))


class Averaging(EMAWeightAveraging):
    """Lightning's, but it leaves the model the optimizer's weights when the fit ends, for `last.ckpt` to hold."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checkpoints publish the average as it is."""


class MotionLanguageCLI(LightningCLI):
    """See `run`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._called = kwargs["args"][0]
        super().__init__(*args, **kwargs)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Only the one that is called: to build the parser of each takes time."""
        return {self._called: super().subcommands()[self._called]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Where runs go, how often they are saved, accelerated and averaged how, and the loggers beside the CSV."""
        parser.add_argument(
            "--runs",
            type=str,
            default="runs",
            help="Folder of all runs; init_from is relative to where the run's folder stands.",
        )
        parser.add_argument("--name", type=str | None, default=None, help="Folder of this run (default: its stage).")
        parser.add_argument("--save_every", type=int, default=200, help="Steps between two writes of last.ckpt.")
        parser.add_argument(
            "--gradient_checkpointing",
            action=ActionYesNo,
            default=False,
            help="Keep few activations and compute them again: less memory, more time.",
        )
        parser.add_argument("--compile", action=ActionYesNo, default=False, help="Compile the transformers' layers.")
        parser.add_argument(
            "--average",
            type=float | None,
            default=None,
            help="Decay, as 0.999, of a moving average of the weights, which is what is validated and published.",
        )
        parser.add_argument(
            "--tensorboard",
            action=ActionYesNo,
            default=False,
            help="Also log to TensorBoard, with pictures, in the run's folder.",
        )
        parser.add_argument(
            "--wandb",
            type=str | None,
            default=None,
            help="Also log to Weights & Biases, with pictures and checkpoint: 'offline' (no account needed), 'online'.",
        )
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)

    def _parse_ckpt_path(self) -> None:
        """Not Lightning's: it lets the checkpoint's hyper-parameters override the config, silently another stage's."""

    @property
    def _arguments(self) -> Any:
        return self.config[self.subcommand]

    def before_instantiate_classes(self) -> None:
        """Settles the run's folder and the checkpoint to resume from."""
        arguments = self._arguments
        stage = arguments.model.class_path.rsplit(".", 1)[-1].lower()
        self.folder = Path(arguments.runs) / (arguments.name or stage)
        arguments.trainer.default_root_dir = str(self.folder)
        if arguments.wandb not in (None, "offline", "online"):
            raise ValueError(f"--wandb {arguments.wandb}: say offline or online")
        if self.subcommand == "fit":
            self.folder.mkdir(parents=True, exist_ok=True)
        self.ckpt_path, self.resume_step = None, 0
        if arguments.ckpt_path is not None:
            name = arguments.ckpt_path
            path = self.folder / f"{name}.ckpt" if name in ("last", "best") else Path(name)
            if not path.is_file():
                raise FileNotFoundError(f"--ckpt_path {name}: no such checkpoint {path}; leave it out to start afresh")
            self.ckpt_path, arguments.ckpt_path = str(path), None
            self.resume_step = int(read_checkpoint(path)["global_step"])
        arguments.weights_only = True

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Adds checkpoints, report and loggers."""
        config = self._get(self.config_init, "trainer", default={})
        given = config.get("logger")
        if given not in (None, True):
            loggers: list[Logger] = given if isinstance(given, list) else [given] if given else []
        else:
            loggers = self._loggers() if self.subcommand == "fit" else []
        callbacks = list(config.get("callbacks") or [])
        if self.subcommand == "fit":
            callbacks += [
                *self._acceleration_and_averaging(),
                RunReport(),
                Throughput(),
                *([] if config["fast_dev_run"] else [StageCheckpoints(self.folder, self._arguments.save_every)]),
            ]
            if loggers:
                callbacks.append(LearningRateMonitor("step"))
            if boards := [logger for logger in loggers if isinstance(logger, Board)]:
                callbacks.insert(0, Pictures())  # before weight averaging takes the average out again
                callbacks += [callback for board in boards for callback in board.callbacks()]
        try:
            trainer = super().instantiate_trainer(logger=loggers, callbacks=callbacks, **kwargs)
        except (TypeError, ValueError, MisconfigurationException) as error:
            raise ValueError(f"--trainer: {error}") from error
        if self.ckpt_path:  # known to the stage in setup, which an argument of fit is not
            trainer.ckpt_path = self.ckpt_path
        return trainer

    def _acceleration_and_averaging(self) -> list[Callback]:
        chosen: list[Callback] = []
        if self._arguments.compile:
            chosen.append(Compilation())
        if self._arguments.gradient_checkpointing:
            chosen.append(GradientCheckpointing())
        if (decay := self._arguments.average) is not None:
            if not 0 < decay < 1:
                raise ValueError(f"--average {decay}: give the decay of the moving average, between 0 and 1, as 0.999")
            chosen.append(Averaging(decay=decay, use_buffers=False))
        return chosen

    def _loggers(self) -> list[Logger]:
        loggers: list[Logger] = [MetricsCSV(self.folder, self.resume_step)]
        if self._arguments.tensorboard:
            loggers.append(TensorBoard(self.folder, self.resume_step))
        if self._arguments.wandb is not None:
            from motionlang_pl.dashboards.wandb import WeightsAndBiases

            offline, resume = self._arguments.wandb == "offline", self.ckpt_path is not None
            loggers.append(WeightsAndBiases(self.folder, offline, resume))
        return loggers

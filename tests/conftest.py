"""Shared: stores prepared through the real commands, and `fit`, which trains a stage through the real CLI."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# one thread, here and in the processes that tests start: float sums depend on it, and each core runs its own worker
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).parents[1]
TIMED = ("train/samples_per_s", "train/gflop_per_s", "train/mfu")  # what a run logs that no other run repeats
REAL = ROOT.parent / "shared" / "data"
PARTS = {
    "mmp": ("motion",),
    "cmmm": ("motion",),
    "lexmlm": ("text",),
    "lexmmm": ("motion", "text"),
    "lexcmlp": ("motion", "text"),
    "codebook": ("motion", "text"),
    "cstar": ("motion", "text"),
    "tmr": ("text",),
    "tmrlexical": ("text", "tmr"),
    "dense": ("image", "text"),
    "denselexical": ("image", "text", "dense"),
    "maxsim": ("image", "text"),
}
CHAIN = ("mmp", "cmmm", "lexmlm", "lexmmm", "lexcmlp", "codebook")
# validated by val/recall, the others by val/loss
RETRIEVAL = (
    "lexcmlp",
    "lexcmlp_queue",
    "codebook",
    "codebook_restart",
    "cstar",
    "tmr",
    "tmrlexical",
    "dense",
    "denselexical",
    "maxsim",
)


GRID = "--model.init_args.motion_encoder=motionlang_pl.models.grid_motion_encoder.GridMotionEncoder"
VARIANTS = {  # alternatives of a stage that are tested as stages are
    "cmmm_grid": ("cmmm", (GRID,)),
    "lexcmlp_queue": ("lexcmlp", ("--model.init_args.queue.size=32", "--model.init_args.queue.terms=64")),
    "codebook_restart": ("codebook", ("--model.init_args.restart_after=2",)),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if REAL.is_dir():
        return
    skip = pytest.mark.skip(reason=f"the real data is not at {REAL}")
    for item in items:
        if "real" in item.keywords:
            item.add_marker(skip)


def fit_arguments(stage: str, store: Path, runs: Path, *more: str, size: str = "tiny") -> list[str]:
    """The command line by which a stage, or a variant of one, is trained at a size."""
    name, (stage, options) = stage, VARIANTS.get(stage, (stage, ()))
    overlays = [ROOT / f"configs/{size}/{part}.yaml" for part in ("run", *PARTS[stage], stage)]
    configs = [f"--config={file}" for file in (ROOT / f"stages/{stage}.yaml", *overlays) if file.is_file()]
    places = [f"--data.store={store}", f"--runs={runs}", "--trainer.accelerator=cpu"]
    return ["fit", *configs, *places, f"--name={name}", "--trainer.enable_progress_bar=false", *options, *more]


def synthetic_store(folder: Path) -> Path:
    """A small synthetic store in HumanML3D layout, made by `motionlang prepare synthetic`."""
    from motionlang_pl.cli import main

    main(["prepare", "synthetic", "--out", str(folder), "--clips", "96"])
    return folder / "humanml3d"


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `synthetic_store`."""
    return synthetic_store(tmp_path_factory.mktemp("synthetic"))


@pytest.fixture(scope="session")
def fit() -> Callable[..., Path]:
    """fit(stage, store, runs, *more): trains through the CLI in this process and returns the run's folder."""
    from motionlang_pl.cli import main

    def run(stage: str, store: Path, runs: Path, *more: str) -> Path:
        main(fit_arguments(stage, store, runs, *more))
        return runs / stage

    return run


@pytest.fixture(scope="session")
def chain(synthetic: Path, fit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six stages of the chain, two steps each, every one from its parents; returns the folder of runs."""
    runs = tmp_path_factory.mktemp("chain")
    for stage in CHAIN:
        fit(stage, synthetic, runs, "--trainer.max_steps=2", "--data.batch_size=16", "--trainer.log_every_n_steps=1")
    return runs


@pytest.fixture(scope="session")
def sentence_encoder(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small BERT without a head, as sentence encoders are saved."""
    import tokenizers
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from motionlang_pl.data.store import Store

    folder = tmp_path_factory.mktemp("encoder")
    text = Store.open(synthetic).tokenizer
    assert text is not None
    words = tokenizers.Tokenizer.from_str(text)
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=words, mask_token="[MASK]", **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=words.get_vocab_size(), **sizes)).save_pretrained(folder)
    return folder


def column(run: Path, name: str) -> list[float]:
    """The values of one metric in a run's metrics.csv, in order."""
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def logged(run: Path, *families: str) -> list[str]:
    """The names of the values in a run's metrics.csv that begin so, without what was timed."""
    with (run / "metrics.csv").open(newline="") as file:
        names = next(csv.reader(file))
    return [name for name in names if name.startswith(families) and name not in TIMED]

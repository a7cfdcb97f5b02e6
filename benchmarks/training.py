"""Measures training steps: what each part of the trunk gains on an eager baseline, then every stage at equal size.

`python benchmarks/training.py` measures on one thread, everything in one run, each measurement in a process of its own:
samples per CPU-second and peak memory of forward, backward and (stages) optimizer step, without loading data. Encoders
have 6 layers, 256 wide, 4 heads, feed-forward 1024, dropout 0.1; batches have 32 samples of HumanML3D-like lengths.
With a GPU it counts wall seconds and GPU memory instead, and prints model FLOPs utilisation. Nothing else should run on
the machine. `--quick` shows in a minute that it works; its figures mean little.
"""

from __future__ import annotations

import argparse
import logging
import math
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import yaml
from data import lengths
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from motionlang_pl.cli import main as motionlang
from motionlang_pl.data.annotations import Span
from motionlang_pl.data.sampler import BucketBatchSampler
from motionlang_pl.data.store import Store
from motionlang_pl.data.writer import Entry, Kind, StoreWriter
from motionlang_pl.models.motion_encoder import MotionEncoder
from motionlang_pl.motion.skeleton import skeleton
from motionlang_pl.throughput import peak_flops

ROOT = Path(__file__).parents[1]
WIDTH, DEPTH, HEADS, FEEDFORWARD, DROPOUT, LONGEST = 256, 6, 4, 1024, 0.1, 199
SIZE = {"width": WIDTH, "depth": DEPTH, "heads": HEADS, "feedforward": FEEDFORWARD, "dropout": DROPOUT}
# By the parameter of a stage that they belong to: what sets its encoder to that size, without pretrained weights.
ENCODERS: dict[str, Any] = {
    "motion_encoder": {"class_path": "MotionEncoder", "init_args": {**SIZE, "graph_after": 4}},
    "text": {"class_path": "SmallText", "init_args": SIZE},
    "motion": {"class_path": "ImageMotion", "init_args": {"vit": {"class_path": "SmallViT", "init_args": SIZE}}},
    "sizes": SIZE,
}
VARIANTS = {
    "lexcmlp": ("--gradient_checkpointing", "--model.init_args.chunk=8"),
}


class Cost(NamedTuple):
    """Of a measurement: samples per second (the CPU's, or wall with a GPU), peak MiB, share of the GPU's FLOPs."""

    rate: float
    memory: float
    utilisation: float | None


class Meter:
    """Counts time and memory between `start` and `stop`; the first step warms up, on a GPU a whole epoch does."""

    def __init__(self, warm: int, dtype: torch.dtype) -> None:
        self.warm, self.dtype = warm, dtype
        self.steps, self.samples, self.seconds = 0, 0, 0.0
        self.flops, self.counted = 0.0, 0
        self.gpu = torch.cuda.is_available()
        self._counter: FlopCounterMode | None = None
        self._began, self._memory, self._peak = 0.0, resident(), 0

    def start(self) -> None:
        if self.gpu and self.steps < self.warm:
            self._counter = FlopCounterMode(display=False)
            self._counter.__enter__()
        self._began = self._now()

    def stop(self, samples: int) -> None:
        spent = self._now() - self._began
        self._peak = torch.cuda.max_memory_allocated() if self.gpu else highest() - self._memory
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self.flops += self._counter.get_total_flops()
            self.counted += samples
            self._counter = None
        if self.steps >= self.warm:
            self.seconds += spent
            self.samples += samples
        self.steps += 1

    def cost(self) -> Cost:
        rate = self.samples / self.seconds
        available = peak_flops(torch.device("cuda" if self.gpu else "cpu"), self.dtype)
        return Cost(rate, self._peak / 2**20, rate * self.flops / self.counted / available if available else None)

    def _now(self) -> float:
        if not self.gpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def highest() -> int:
    """The most that it ever had there."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def apart(work: Callable[[], Any]) -> Any:
    """Does it in a process of its own, so that peaks are its own; the traceback and None where it fails."""

    def run() -> None:
        torch.set_num_threads(1)
        try:
            send.send(work())
        except BaseException:
            traceback.print_exc()
            send.send(None)

    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    process.start()
    result = receive.recv()
    process.join()
    return result


def line(name: str, cost: Cost | None, beside: str = "") -> None:
    """Prints a measurement."""
    if cost is None:
        print(f"  {name:36} failed", flush=True)
        return
    share = "" if cost.utilisation is None else f"  MFU {cost.utilisation:5.1%}"
    print(f"  {name:36}{cost.rate:9.2f} samples/s{cost.memory:9.0f} MiB{share}  {beside}", flush=True)


# ---- the trunk against an eager baseline -----------------------------------------------------------------------------


class EagerLayer(nn.Module):
    """The layer of Vaswani et al. (2017) as it is usually written: normalised last, the attention matrix kept."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, FEEDFORWARD), nn.Linear(FEEDFORWARD, WIDTH)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        weights = scores.masked_fill(~mask[:, None, None], -math.inf).softmax(dim=-1)
        mixed = (self.dropout(weights) @ value).transpose(1, 2).flatten(2)
        x = self.first(x + self.dropout(self.out(mixed)))
        return self.second(x + self.dropout(self.down(self.dropout(torch.relu(self.up(x))))))  # type: ignore[no-any-return]


class EagerEncoder(nn.Module):
    """Layers of the baseline."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EagerLayer() for _ in range(DEPTH))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x


class OurEncoder(nn.Module):
    """The trunk without the graph bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = MotionEncoder(skeleton("smpl22"), **SIZE, graph_after=0)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.trunk(x, mask).tokens  # type: ignore[no-any-return]


def encode(build: Callable[[], nn.Module], batches: list[np.ndarray], longest: int | None, bf16: bool) -> Cost:
    """Forward and backward of an encoder over batches of lengths, padded to `longest` or each batch's own."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    encoder, meter = build().to(device).train(), Meter(1, torch.bfloat16 if bf16 else torch.float32)
    for batch in batches[:1] + batches:
        frames = torch.randn(len(batch), longest or int(batch.max()), WIDTH, device=device)
        mask = torch.arange(frames.shape[1], device=device) < torch.from_numpy(batch).to(device)[:, None]
        meter.start()
        with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
            tokens = encoder(frames, mask)
        tokens.float().masked_fill(~mask[..., None], 0.0).square().mean().backward()
        meter.stop(len(batch))
        encoder.zero_grad()
    return meter.cost()


def trunk(steps: int, size: int) -> None:
    """Each factor on top of those above it; all rows see the same samples."""
    drawn = lengths(steps * size)
    random = list(np.random.default_rng(1).permutation(drawn).reshape(-1, size))
    bucketed = [drawn[batch] for batch in BucketBatchSampler(drawn, size, 0).batches(0)]
    rows: dict[str, Callable[[], Cost]] = {
        f"eager, padded to {LONGEST}": partial(encode, EagerEncoder, random, LONGEST, False),
        "our layers": partial(encode, OurEncoder, random, LONGEST, False),
        "padded to each batch's longest": partial(encode, OurEncoder, random, None, False),
        "batches bucketed by length": partial(encode, OurEncoder, bucketed, None, False),
        "bf16": partial(encode, OurEncoder, bucketed, None, True),
    }
    if not torch.cuda.is_available() and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        rows.pop("bf16")
    print(f"trunk, {steps} batches of {size}, mean {drawn.mean():.1f} frames:")
    first = before = None
    for name, work in rows.items():
        cost = apart(work)
        beside = (
            f"x {cost.rate / before.rate:.2f}, all {cost.rate / first.rate:.2f}" if cost and before and first else ""
        )
        line(name, cost, beside)
        first, before = first or cost, cost or before
    if "bf16" not in rows:
        print("  bf16                                not measured: without instructions for it a step takes minutes")


# ---- the stages ------------------------------------------------------------------------------------------------------


def build_store(folder: Path, clips: int) -> Store:
    """Random rows of every kind that a stage reads, three captions a clip of words as frequent as words are."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefghijklmnop"), random.integers(2, 9))) for _ in range(5000)]
    share = 1 / np.arange(1, 5001)
    kinds = {"humanml3d": Kind(263, 0), "joints": Kind(66, 0), "angles": Kind(29, 0)}
    names = [f"{number:06d}" for number in range(clips)]
    with StoreWriter(folder / "store", 20.0, "smpl22", kinds, "benchmark", {}, {}) as writer:
        for name, rows in zip(names, lengths(clips), strict=True):
            texts = [" ".join(random.choice(words, random.integers(6, 19), p=share / share.sum())) for _ in range(3)]
            spans = [Span(0.0, rows / 20, text, "", (), "train") for text in texts]
            frames = {kind: random.standard_normal((rows, of.columns), dtype=np.float32) for kind, of in kinds.items()}
            writer.add(Entry(name, "", name, spans, frames=frames, source=name))
        writer.finish(names, ["train"], {"items": clips, "sha256": ""})
    return Store.open(folder / "store")


class StepMeter(Callback):
    """Meters the steps of the fit that names it."""

    meter: ClassVar[Meter]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.meter.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.meter.stop(len(batch.sample))


def fit(stage: str, store: Path, runs: Path, steps: int, size: int, more: tuple[str, ...]) -> Cost:
    """Steps of a stage through the real command, from random weights."""
    gpu = torch.cuda.is_available()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    StepMeter.meter = Meter(steps if gpu else 1, torch.bfloat16 if gpu else torch.float32)
    parameters = yaml.safe_load((ROOT / f"stages/{stage}.yaml").read_text())["model"]["init_args"]
    overlay = {"model": {"init_args": {name: ENCODERS[name] for name in parameters if name in ENCODERS}}}
    (runs / f"{stage}.yaml").write_text(yaml.safe_dump(overlay))
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        motionlang(
            [
                *("fit", f"--config={ROOT}/stages/{stage}.yaml", f"--config={runs}/{stage}.yaml"),
                *("--model.init_args.init_from=[]", f"--data.store={store}", f"--data.batch_size={size}"),
                *("--data.num_workers=0", "--data.val_split=null", f"--runs={runs}", "--trainer.devices=1"),
                *(f"--trainer.max_epochs={1 + gpu}", f"--trainer.limit_train_batches={steps}"),
                f"--trainer.precision={'bf16-mixed' if gpu else '32-true'}",
                *("--trainer.enable_progress_bar=false", "--trainer.callbacks+=__main__.StepMeter", *more),
            ]
        )
    return StepMeter.meter.cost()


def stages(steps: int, size: int, only: str | None) -> None:
    """Every stage that has a YAML."""
    with tempfile.TemporaryDirectory() as folder:
        store = build_store(Path(folder), steps * size)
        terms = len(yaml.safe_load(store.tokenizer or "{}")["model"]["vocab"])
        print(f"stages, {steps} batches of {size}, {terms} terms:")
        for stage in sorted(file.stem for file in (ROOT / "stages").glob("*.yaml")):
            if only in (None, stage):
                for more in ((), *((option,) for option in VARIANTS.get(stage, ()))):
                    work = partial(fit, stage, store.path, Path(folder), steps, size, more)
                    line(" ".join([stage, *more]).replace("model.init_args.", ""), apart(work))


def processor() -> Iterator[str]:
    """What is measured on."""
    names = Path("/proc/cpuinfo").read_text().splitlines()
    yield next((name.split(":")[1].strip() for name in names if name.startswith("model name")), platform.machine())
    yield f"{torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores, one thread"
    if torch.cuda.is_available():
        yield apart(torch.cuda.get_device_name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=16, help="batches per measurement")
    parser.add_argument("--only", help="'trunk', or one stage")
    parser.add_argument("--quick", action="store_true", help="two batches of 8: whether it works")
    chosen = parser.parse_args()
    steps, size = (2, 8) if chosen.quick else (chosen.steps, 32)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # CUDA itself must not start before a process is forked
    print(f"{', '.join(processor())}; torch {torch.__version__}; load before {os.getloadavg()[0]:.1f}")
    print("samples per wall second" if torch.cuda.is_available() else "samples per CPU-second", "and peak memory")
    sys.stdout.flush()
    if chosen.only in (None, "trunk"):
        trunk(steps, size)
    if chosen.only != "trunk":
        stages(steps, size, chosen.only)


if __name__ == "__main__":
    main()

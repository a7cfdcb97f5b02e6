"""Measures the data path: reading windows, a second epoch, workers' memory, preparing with two workers, features.

`python benchmarks/data.py` prints each figure with what it is compared to, measured side by side in this run on
generated data. Nothing else should run on the machine. `--only NAME` measures one; `--clips` sizes the data.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from quaternion_features import features as quaternion_features
from torch.utils.data import DataLoader, Dataset

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.dataset import PairSamples, Reading, collate
from motionlang_pl.data.sampler import BucketBatchSampler
from motionlang_pl.data.sources.synthetic.clips import perform, plan
from motionlang_pl.data.store import Store
from motionlang_pl.data.writer import Entry, Kind, StoreWriter
from motionlang_pl.motion.features import humanml3d

WINDOW = 200
READS = 4000


def lengths(clips: int) -> np.ndarray:
    """Frames per clip like HumanML3D's: 40 to 199, 30% at 199, mean 143.5."""
    random = np.random.default_rng(0)
    return np.where(random.random(clips) < 0.3, 199, random.integers(40, 200, clips))


def random_store(folder: Path, clips: int) -> tuple[Store, Path]:
    """A store of random (T, 263) rows, and the same clips as one .npy each."""
    separate = folder / "separate"
    separate.mkdir()
    random = np.random.default_rng(0)
    with StoreWriter(folder / "store", 20.0, "smpl22", {"humanml3d": Kind(263, 0)}, "benchmark", {}, {}) as writer:
        names = [f"{number:06d}" for number in range(clips)]
        for name, rows in zip(names, lengths(clips) + WINDOW, strict=True):  # long enough for a window
            frames = random.standard_normal((rows, 263), dtype=np.float32)
            np.save(separate / f"{name}.npy", frames)
            span = Span(0.0, rows / 20, f"a person does {name}.", "", (), "train")
            writer.add(Entry(name, "", name, [span], frames={"humanml3d": frames}, source=name))
        writer.finish(names, ["train"], {"items": clips, "sha256": ""})
    return Store.open(folder / "store"), separate


def per_cpu_second(work: Callable[[], object], times: int) -> float:
    """Calls per CPU-second of this process, after one warming round."""
    work()
    started = time.process_time()
    for _ in range(times):
        work()
    return times / (time.process_time() - started)


def reading(clips: int) -> None:
    """Random windows from the store against one .npy per clip."""
    with folder() as place:
        store, separate = random_store(place, clips)
        names, rows = list(store.clips.ids), store.clips.rows.tolist()
        random = np.random.default_rng(1)
        chosen = random.integers(clips, size=READS).tolist()
        starts = [int(random.integers(rows[clip] - WINDOW + 1)) for clip in chosen]

        def packed() -> None:
            for clip, start in zip(chosen, starts, strict=True):
                store.read("humanml3d", clip, start, start + WINDOW)

        def apart() -> None:
            for clip, start in zip(chosen, starts, strict=True):
                np.load(separate / f"{names[clip]}.npy")[start : start + WINDOW].copy()

        ours, theirs = (READS * per_cpu_second(work, 3) for work in (packed, apart))
        print(
            f"reading: {ours:,.0f} windows of {WINDOW} x 263 per CPU-second, one .npy per clip {theirs:,.0f}:", end=" "
        )
        print(f"{ours / theirs:.1f}x (warm cache, {clips} clips; aim 6x)")


def epochs(clips: int) -> None:
    """The first and the second epoch through the loader, in this process."""
    with folder() as place:
        store, _ = random_store(place, clips)
        samples = PairSamples(store, "train", Reading("humanml3d", 0, 256, True))
        sampler = BucketBatchSampler(samples.lengths, 64, 0)
        loader = DataLoader(samples, batch_sampler=sampler, collate_fn=collate)  # type: ignore[arg-type]
        seconds = []
        for epoch in range(3):
            sampler.set_epoch(epoch)
            started = time.process_time()
            count = sum(len(batch.sample) for batch in loader)
            seconds.append(time.process_time() - started)
        first, second, third = (count / each for each in seconds)
        print(f"epochs: {first:,.0f}, {second:,.0f}, {third:,.0f} samples per CPU-second in epochs 1, 2, 3:", end=" ")
        print(f"the second takes {seconds[1] / seconds[0] - 1:+.0%} of the first (aim within 10%)")


class Nothing(Dataset[int]):
    """As many items as another dataset has, of nothing: what workers weigh without data."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: object) -> int:
        return 0


def proportional(loader: DataLoader[object]) -> int:
    """Bytes of proportional memory of the loader's workers together after an epoch."""
    batches = iter(loader)
    for _ in batches:
        pass
    total = 0
    for worker in batches._workers:  # type: ignore[attr-defined]
        for line in Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines():
            total += int(line.split()[1]) * 1024 if line.startswith("Pss:") else 0
    return total


def memory(clips: int) -> None:
    """Proportional memory of four workers against one, less what workers weigh that read nothing."""
    with folder() as place:
        store, _ = random_store(place, clips)
        weight = {}
        for workers in (1, 4):
            samples = PairSamples(Store.open(store.path), "train", Reading("humanml3d", 0, 256, True))
            sampler = BucketBatchSampler(samples.lengths, 64, 0)
            both = [
                proportional(
                    DataLoader(
                        dataset,
                        batch_sampler=sampler,
                        num_workers=workers,
                        collate_fn=function,
                        persistent_workers=True,
                    )  # type: ignore[arg-type]
                )
                for dataset, function in ((samples, collate), (Nothing(len(samples)), list))
            ]
            weight[workers] = both[0] - both[1]
        one, four = weight[1] / 2**20, weight[4] / 2**20
        data = store.meta["frames"] * 263 * 4 / 2**20
        print(f"memory: 1 worker {one:.0f} MiB, 4 workers {four:.0f} MiB together: {four / one:.2f}x", end=" ")
        print(f"(proportional set size without imports, {data:.0f} MiB of data; aim below 1.3x)")


def prepare(clips: int) -> None:
    """`motionlang prepare humanml3d` with feature computation, by one process and by two; wall time, start included."""
    clips *= 8  # so that the start of Python, a few seconds each, weighs no more than it does with a real data set
    with folder() as place:
        raw = place / "raw"
        for name in ("new_joints", "texts"):
            (raw / name).mkdir(parents=True)
        takes = [perform(clip, 20.0, 0).joints.numpy() for clip in plan(60, 0)]
        names = [f"{number:06d}" for number in range(clips)]
        for number, name in enumerate(names):
            np.save(raw / "new_joints" / f"{name}.npy", np.tile(takes[number % 60], (3, 1, 1))[:199])
            (raw / "texts" / f"{name}.txt").write_text("a person moves.#a/DET person/NOUN move/VERB#0.0#0.0\n")
        (raw / "train.txt").write_text("\n".join(names))
        seconds = {}
        for workers in (1, 2):
            started = time.perf_counter()
            command = ["motionlang", "prepare", "humanml3d", "--raw", raw, "--out", place / f"store{workers}"]
            subprocess.run([*command, "--workers", str(workers)], check=True, capture_output=True)
            seconds[workers] = time.perf_counter() - started
        print(
            f"prepare: {clips} clips of up to 199 frames in {seconds[1]:.1f} s by 1 process, {seconds[2]:.1f} s by 2:"
        )
        print(f"  {seconds[1] / seconds[2]:.2f}x ({os.cpu_count()} cores, start of Python included; aim 1.7x)")


def columns(clips: int) -> None:
    """Our 263 columns against the published procedure with quaternion arrays in numpy, one thread, equal numbers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    takes = [perform(clip, 20.0, 0).joints for clip in plan(min(clips, 60), 0)]
    worst = max(float(np.abs(humanml3d(take).numpy() - quaternion_features(take.numpy())).max()) for take in takes)
    ours, theirs = (
        len(takes) * per_cpu_second(lambda work=work: [work(take) for take in takes], 5)
        for work in (humanml3d, lambda take: quaternion_features(take.numpy()))
    )
    torch.set_num_threads(threads)
    print(
        f"columns: {ours:,.0f} clips per CPU-second, quaternion arrays in numpy {theirs:,.0f}: {ours / theirs:.1f}x",
        end="",
    )
    print(f" ({len(takes)} synthetic clips, mean {np.mean([len(take) for take in takes]):.0f} frames; ", end="")
    print(f"largest difference {worst:.1e})")


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


MEASURES = {"reading": reading, "epochs": epochs, "memory": memory, "prepare": prepare, "columns": columns}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=MEASURES, help="measure this alone")
    parser.add_argument("--clips", type=int, default=1500, help="clips of the generated data")
    chosen = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        end="",
    )
    print(f", torch {torch.__version__}, numpy {np.__version__}, load before {os.getloadavg()[0]:.1f}")
    for name, measure in MEASURES.items():
        if chosen.only in (None, name):
            sys.stdout.flush()
            measure(chosen.clips)


if __name__ == "__main__":
    main()

"""The evidence table: baselines, LexCMLP with each pretraining stage left out, codebook, and CstAR's ablations.

`python benchmarks/table.py RAW --runs RUNS` trains and evaluates each row on the splits `compose` and `few` of a folder
in HumanML3D's layout (RAW/splits/NAME/*.txt), three seeds a row, under two budgets, and prints the table:

- `steps`: every row's last stage has the same number of optimizer steps and samples.
- `time`: every row has about the same CPU-seconds in all, its pretraining counted: the last stage goes on for longer.
  The steps are foreseen from what a row cost under `steps`, so it ends near the budget, not on it.

A checkpoint is chosen on val among five or six, one trial a row; the numbers are test's. One line a trained row is
added to `--results`, so that the next call goes on where this one stopped: done rows are skipped, a killed stage is
resumed, and rows shared as parents are trained once. `--report` prints the table of what there is. Rows without all
their seeds are named as missing. Use one thread a run (`--jobs` runs side by side).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from tqdm import tqdm

from motionlang_pl.metrics.retrieval import bootstrap
from motionlang_pl.stages.handover import read_checkpoint

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs/tiny"
SPLITS, BUDGETS, SEEDS = ("compose", "few"), ("steps", "time"), (0, 1, 2)
STEPS = {"mmp": 200, "cmmm": 120, "lexmlm": 900, "lexmmm": 400}  # the last stages have LAST
LAST, VALIDATIONS, BATCH = 200, 5, 32
METRICS = ("t2m/mAP", "t2m/R@1", "m2t/top1", "m2t/top5")

TRUNK = ("motion_adapter", "motion_encoder")
TEXT = ("word_embeddings", "text_encoder")
HEADED = (*TRUNK, "motion_projection", "motion_lexical_head")
WORDS = (*TEXT, "text_lexical_head")
NO_BOTTLENECK = ("--model.init_args.motion_encoder.init_args.graph_after=0",)


class Run(NamedTuple):
    """A stage, the modules that it takes over from other runs, size overlays beside `run`, and further options."""

    stage: str
    parts: tuple[str, ...]
    takes: dict[str, dict[str, str]] = {}  # noqa: RUF012
    options: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether both splits have it in common: their motions without sentences are the same."""
        return self.stage in ("mmp", "cmmm")


def same(*modules: str, **others: str) -> dict[str, str]:
    """Modules that are taken over under their own names, and some under another."""
    return {**{name: name for name in modules}, **others}


MOTION, BOTH = ("motion",), ("motion", "text")
FRAMES, IMAGES = ("frames", "text", "dense"), ("image", "text", "dense")
HEAD_OF_TEXT = {"motion_lexical_head": "text_lexical_head"}
DECODER = same("word_embeddings", "decoder", **HEAD_OF_TEXT)

PARENTS = {
    "mmp": Run("mmp", MOTION),
    "mmp-no-bottleneck": Run("mmp", MOTION, {}, NO_BOTTLENECK),
    "cmmm": Run("cmmm", MOTION, {"mmp": same(*TRUNK)}),
    "cmmm-no-mmp": Run("cmmm", MOTION),
    "lexmlm": Run("lexmlm", ("text",)),
    "lexmmm": Run("lexmmm", BOTH, {"cmmm": same(*TRUNK), "lexmlm": DECODER}),
    "lexmmm-no-mmp": Run("lexmmm", BOTH, {"cmmm-no-mmp": same(*TRUNK), "lexmlm": DECODER}),
    "lexmmm-no-cmmm": Run("lexmmm", BOTH, {"mmp": same(*TRUNK), "lexmlm": DECODER}),
    "lexmmm-no-lexmlm": Run("lexmmm", BOTH, {"cmmm": same(*TRUNK)}),
}
ROWS = {
    "tmr": Run("tmr", ("text",), {"lexmlm": same(*TEXT)}),
    "tmrlexical": Run("tmrlexical", ("text", "tmr"), {"lexmlm": same(*TEXT)}),
    "dense": Run("dense", FRAMES),
    "dense-images": Run("dense", IMAGES),
    "denselexical": Run("denselexical", FRAMES),
    "maxsim": Run("maxsim", ("image", "text")),
    "cstar": Run("cstar", BOTH, {"mmp": same(*TRUNK)}),
    "cstar-no-mmp": Run("cstar", BOTH),
    "cstar-no-bottleneck": Run("cstar", BOTH, {"mmp-no-bottleneck": same(*TRUNK)}, NO_BOTTLENECK),
    "cstar-no-reconstruction": Run("cstar", BOTH, {"mmp": same(*TRUNK)}, ("--model.init_args.reconstruction=0",)),
    "lexcmlp-raw": Run("lexcmlp", BOTH),
    "lexcmlp-no-mmp": Run("lexcmlp", BOTH, {"lexmmm-no-mmp": same(*HEADED), "lexmlm": same(*WORDS)}),
    "lexcmlp-no-cmmm": Run("lexcmlp", BOTH, {"lexmmm-no-cmmm": same(*HEADED), "lexmlm": same(*WORDS)}),
    "lexcmlp-no-lexmlm": Run("lexcmlp", BOTH, {"lexmmm-no-lexmlm": same(*HEADED, "word_embeddings")}),
    "lexcmlp-no-lexmmm": Run("lexcmlp", BOTH, {"cmmm": same(*TRUNK), "lexmlm": same(*WORDS, **HEAD_OF_TEXT)}),
    "lexcmlp": Run("lexcmlp", BOTH, {"lexmmm": same(*HEADED), "lexmlm": same(*WORDS)}),
    "codebook": Run("codebook", BOTH, {"lexcmlp": same(*TRUNK, *TEXT)}),
}
RUNS = PARENTS | ROWS
LONGEST = "codebook"  # the row whose whole cost is the budget `time`
COMPARED = {  # a row, and those that lack an ingredient of it or are its rivals
    "lexcmlp": ("lexcmlp-no-mmp", "lexcmlp-no-cmmm", "lexcmlp-no-lexmlm", "lexcmlp-no-lexmmm", "lexcmlp-raw"),
    "lexcmlp-no-lexmmm": ("lexcmlp-raw",),
    "lexcmlp-raw": ("dense", "cstar"),
    "cstar": ("cstar-no-mmp", "cstar-no-bottleneck", "cstar-no-reconstruction"),
}


class Cell(NamedTuple):
    """One training: a run of the table on a split, with a seed, under a budget."""

    split: str
    budget: str
    name: str
    seed: int

    @property
    def run(self) -> Run:
        """What is trained."""
        return RUNS[self.name]

    @property
    def parents(self) -> list[Cell]:
        """What it takes modules over from; parents have the budget `steps`."""
        return [cell("compose" if RUNS[name].shared else self.split, name, self.seed) for name in self.run.takes]

    @property
    def ancestors(self) -> set[Cell]:
        """All that it comes from."""
        return {each for parent in self.parents for each in (parent, *parent.ancestors)}

    @property
    def measured(self) -> list[Cell]:
        """The rows whose cost says how long it may train: none under `steps`."""
        return [cell(self.split, name, self.seed) for name in (self.name, LONGEST)] if self.budget == "time" else []

    @property
    def folder(self) -> Path:
        """Of the run, within the folder of runs."""
        return Path(self.split, self.budget, self.name, str(self.seed))


def cell(split: str, name: str, seed: int) -> Cell:
    """A cell under the budget `steps`."""
    return Cell(split, "steps", name, seed)


class Table:
    """Trains, evaluates and keeps what was measured.

    Args:
        raw: The folder in HumanML3D's layout.
        runs: Where stores and runs stand.
        results: The file of results, a JSON object a line.
    """

    def __init__(self, raw: Path, runs: Path, results: Path) -> None:
        self.raw, self.runs, self.results = raw, runs.resolve(), results
        self.done = {Cell(*(line[key] for key in Cell._fields)): line for line in lines(results)}

    def go_on(self, cells: list[Cell], jobs: int) -> None:
        """Trains what is missing of the cells and their ancestors, `jobs` at a time, parents first."""
        for split in sorted({each.split for each in cells} | {"compose"}):
            self._prepare(split)
        rows = {each: None for row in cells for each in (*row.measured, row) if each not in self.done}
        wanted = {each: None for row in rows for each in (*sorted(row.ancestors), row)}
        todo = [each for each in wanted if each in rows or not self._published(each)]
        running: dict[Future[dict[str, Any] | None], Cell] = {}
        with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(todo), unit="run", smoothing=0) as bar:
            while (ready := [each for each in todo if self._ready(each)]) or running:
                for each in ready[: jobs - len(running)]:
                    todo.remove(each)
                    running[pool.submit(self._train, each)] = each
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    each, result = running.pop(future), future.result()
                    bar.update()
                    failed = not self._published(each) or (each in rows and result is None)
                    bar.write(
                        f"{each.folder}: " + ("failed, see its files" if failed else f"{self._cost(each):.0f} CPU-s")
                    )
                    if result is not None and each in rows:
                        self.done[each] = result
                        with self.results.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(result) + "\n")
        if missing := [str(row.folder) for row in rows if row not in self.done]:
            raise SystemExit(f"table: not trained: {', '.join(missing)}; their files are in {self.runs}")

    def _published(self, each: Cell) -> bool:
        return (self.runs / each.folder / "best.ckpt").is_file()

    def _ready(self, each: Cell) -> bool:
        """Whether its parents are trained, and the rows done that say how long it may train."""
        return all(map(self._published, each.parents)) and all(row in self.done for row in each.measured)

    def _prepare(self, split: str) -> None:
        """Makes the store of a split where it is not there."""
        out, log = self.store(split), self.runs / "stores" / f"{split}.txt"
        kinds = ("--features", "humanml3d", "joints", "angles")
        options = ("--raw", self.raw, "--splits", self.raw / "splits" / split, *kinds, "--out", out)
        if not (out / "meta.json").is_file() and not motionlang("prepare", "humanml3d", *options, log=log):
            raise SystemExit(f"table: the store of {split} was not prepared, see {log}")

    def store(self, split: str) -> Path:
        """The folder of a split's store."""
        return self.runs / "stores" / split

    def steps(self, each: Cell) -> int:
        """Optimizer steps of a run; under `time` as many as the CPU-seconds allow that its pretraining leaves."""
        if each.budget == "steps":
            return STEPS.get(each.run.stage, LAST)
        own, longest = (self.done[row] for row in each.measured)
        left = longest["whole_cpu_seconds"] - (own["whole_cpu_seconds"] - own["cpu_seconds"])
        return max(LAST, math.floor(LAST * left / own["cpu_seconds"]))

    def _train(self, each: Cell) -> dict[str, Any] | None:
        """Trains and, where it is a row, evaluates; returns its line of results; None for a parent, and on failure."""
        folder, steps = self.runs / each.folder, self.steps(each)
        if not self._published(each):
            resumes = ("--ckpt_path", "last") if (folder / "last.ckpt").is_file() else ()
            if not motionlang("fit", *self._options(each, steps), *resumes, log=folder / "fit.txt"):
                return None
        report = folder / "test.json"
        options = ("--checkpoint", folder / "best.ckpt", "--store", self.store(each.split), "--json", report)
        if each.name not in ROWS or not motionlang("evaluate", *options, log=folder / "test.txt"):
            return None
        try:
            return {**each._asdict(), **self._result(each, steps, json.loads(report.read_text()))}
        except (KeyError, ValueError) as error:  # the other rows go on
            (folder / "failed.txt").write_text(f"{error!r}\n")
            return None

    def _options(self, each: Cell, steps: int) -> Iterator[str]:
        run, folder = each.run, self.runs / each.folder
        own = CONFIGS / f"{run.stage}.yaml"  # not every stage has one
        files = [ROOT / f"stages/{run.stage}.yaml", *(CONFIGS / f"{part}.yaml" for part in ("run", *run.parts))]
        yield from (f"--config={file}" for file in (*files, *([own] if own.is_file() else [])))
        takes = [
            {"checkpoint": str(self.runs / parent.folder / "best.ckpt"), "modules": run.takes[parent.name]}
            for parent in each.parents
        ]
        yield f"--model.init_args.init_from={yaml.safe_dump(takes, default_flow_style=True, width=math.inf)}"
        yield from run.options
        yield from (f"--data.store={self.store('compose' if run.shared else each.split)}", f"--data.batch_size={BATCH}")
        yield from (f"--runs={folder.parent}", f"--name={folder.name}", f"--seed_everything={each.seed}")
        yield from ("--trainer.max_epochs=-1", f"--trainer.max_steps={steps}", "--trainer.accelerator=cpu")
        yield from (
            "--trainer.check_val_every_n_epoch=null",
            f"--trainer.val_check_interval={max(1, steps // VALIDATIONS)}",
        )
        yield from ("--trainer.enable_progress_bar=false", f"--save_every={steps // 2}")

    def _result(self, each: Cell, steps: int, report: dict[str, Any]) -> dict[str, Any]:
        best = read_checkpoint(self.runs / each.folder / "best.ckpt")
        distinct, terms = report["protocols"]["distinct"], report.get("terms")
        values = {key: [round(value, 2) for value in distinct["each_sentence"][key]] for key in METRICS}
        result = {
            "steps": steps,
            "cpu_seconds": round(self._cost(each), 1),
            "whole_cpu_seconds": round(sum(map(self._cost, (each, *each.ancestors))), 1),
            "val": round(best["callbacks"]["StageCheckpoints"]["best_score"], 2),
            "code": commit(),
            "data_sha256": report["data_sha256"],
            "chance": {name: distinct[name]["chance"] for name in ("seen", "unseen") if name in distinct},
            "seen": distinct["each_sentence"]["seen"],
            **values,
        }
        if terms is not None:
            result["grounding"] = terms["grounding"]
            result["active"] = {name: terms["active"][name]["median"] for name in ("motion", "text")}
            result["vocabulary"] = terms["vocabulary"]
        return result

    def _cost(self, each: Cell) -> float:
        """CPU-seconds of a run alone."""
        return float(read_checkpoint(self.runs / each.folder / "last.ckpt")["lineage"]["cpu_seconds"])


def motionlang(*args: str | Path, log: Path) -> bool:
    """Runs a command on one thread, its output appended to a file; whether it succeeded."""
    log.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with log.open("a") as file:
        command = [sys.executable, "-m", "motionlang_pl.cli", *map(str, args)]
        return subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=env, check=False).returncode == 0


def lines(path: Path) -> list[dict[str, Any]]:
    """The results so far; a line that is none ends the program, which would else train its row again beside it."""
    results = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.is_file() else [], start=1):
        try:
            results.append(json.loads(line))
            Cell(*(results[-1][key] for key in Cell._fields))
        except (TypeError, ValueError, KeyError):
            raise SystemExit(
                f"table: {path}, line {number}: not a result of this program; remove it, its row is measured again"
            ) from None
    return results


def commit() -> str:
    """The code's commit, marked where the tree differs from it."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def report(results: list[dict[str, Any]]) -> str:
    """The tables in Markdown: mean over seeds, spread over seeds, 95% interval over sentences of the seeds' mean.

    Below each table: differences between rows, sentence by sentence. Rows share their sentences, so these are narrower
    than the rows' intervals suggest.
    """
    parts = []
    for split in SPLITS:
        for budget in BUDGETS:
            chosen = [line for line in results if (line["split"], line["budget"]) == (split, budget)]
            if chosen and budget == "time":  # the row that sets the budget has its steps
                chosen += [line for line in results if (line["split"], line["name"]) == (split, LONGEST)]
            if chosen:
                parts.append(f"### `{split}`, budget `{budget}`\n\n{_table(chosen)}")
    return "\n\n".join(parts)


def _table(chosen: list[dict[str, Any]]) -> str:
    columns = ("unseen t2m mAP", "R@1", "m2t top-1", "top-5", "seen t2m mAP", "m2t top-1", "val")
    more = ("grounding@10 (other)", "active motion / text", "steps", "CPU-s")
    rows = [["row", *columns, *more], ["---"] * (1 + len(columns) + len(more))]
    missing = []
    for name in ROWS:
        seeds = _by_seed(chosen, name)
        if absent := [str(seed) for seed in SEEDS if seed not in seeds]:
            missing.append(f"{name} (seeds {', '.join(absent)})")
        else:
            rows.append([name, *_row([seeds[seed] for seed in SEEDS])])
    if len(rows) > 2:
        chance = chosen[0]["chance"]
        values = [chance[group][key] for group, keys in GROUPS for key in keys]
        rows.append(["chance", *(f"{value:.1f}" for value in values), *[""] * 5])
    shown = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    shown += _differences(chosen)
    codes, data = (sorted({line[key] for line in chosen}) for key in ("code", "data_sha256"))
    shown += f"\n\nCode {', '.join(codes)}; store {', '.join(sha256[:12] for sha256 in data)}."
    return shown + (f"\n\nMissing: {'; '.join(missing)}." if missing else "")


GROUPS = (("unseen", METRICS), ("seen", ("t2m/mAP", "m2t/top1")))


def _row(seeds: list[dict[str, Any]]) -> list[str]:
    cells = []
    seen = torch.tensor(seeds[0]["seen"])
    for group, keys in GROUPS:
        subset = seen if group == "seen" else ~seen
        for key in keys:
            values = torch.tensor([line[key] for line in seeds])[:, subset]  # seeds x sentences
            low, high = bootstrap(values.mean(dim=0), 0)
            each = values.mean(dim=1)
            text = f"{each.mean():.1f} ± {each.std():.1f}"
            cells.append(f"{text} ({low:.0f}-{high:.0f})" if group == "unseen" else text)
    mean = {key: sum(line[key] for line in seeds) / len(seeds) for key in ("val", "steps", "whole_cpu_seconds")}
    cells.append(f"{mean['val']:.1f}")
    if "grounding" in seeds[0]:
        own, other = (
            sum(line["grounding"]["unseen"][f"{kind}@10"] for line in seeds) / len(seeds)
            for kind in ("grounding", "other")
        )
        active = (sum(line["active"][name] for line in seeds) / len(seeds) for name in ("motion", "text"))
        cells += [f"{own:.1f} ({other:.1f})", " / ".join(f"{value:.0f}" for value in active)]
    else:
        cells += ["", ""]
    return [*cells, f"{mean['steps']:.0f}", f"{mean['whole_cpu_seconds']:.0f}"]


def _by_seed(chosen: list[dict[str, Any]], name: str) -> dict[int, dict[str, Any]]:
    return {line["seed"]: line for line in chosen if line["name"] == name}


def _differences(chosen: list[dict[str, Any]]) -> str:
    rows = []
    for name, others in COMPARED.items():
        for other in others:
            own, theirs = _by_seed(chosen, name), _by_seed(chosen, other)
            if own.keys() & theirs.keys() >= set(SEEDS):
                unseen = ~torch.tensor(own[0]["seen"])
                values = [torch.tensor([row[seed]["t2m/mAP"] for seed in SEEDS])[:, unseen] for row in (own, theirs)]
                difference = values[0] - values[1]  # seeds x sentences
                low, high = bootstrap(difference.mean(dim=0), 0)
                seeds = ", ".join(f"{value:+.1f}" for value in difference.mean(dim=1))
                rows.append(f"| {name} | {other} | {difference.mean():+.1f} ({low:+.0f} to {high:+.0f}) | {seeds} |")
    head = "| row | minus | unseen t2m mAP, sentence by sentence | each seed |\n| --- | --- | --- | --- |"
    return "\n\n" + "\n".join((head, *rows)) if rows else ""


def main() -> None:
    """Reads the options; trains, or only reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, nargs="?", help="folder in HumanML3D's layout with splits/compose and few")
    parser.add_argument("--runs", type=Path, default=Path("runs/table"), help="where stores and runs stand")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("table.jsonl"), help="a line a row")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1)), help="runs at a time")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS)
    parser.add_argument("--budgets", nargs="+", choices=BUDGETS, default=BUDGETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--report", action="store_true", help="only print the table of what there is")
    options = parser.parse_args()
    if not options.report:
        if options.raw is None or not options.raw.is_dir():
            parser.error(f"RAW: no folder {options.raw}; give one in HumanML3D's layout, or only --report")
        cells = [
            Cell(split, budget, name, seed)
            for budget in options.budgets
            for split in options.splits
            for seed in options.seeds
            for name in options.rows
            if (budget, name) != ("time", LONGEST)
        ]
        Table(options.raw, options.runs, options.results).go_on(cells, options.jobs)
    print(report(lines(options.results)))


if __name__ == "__main__":
    main()

"""The evidence table trains parents before rows, skips what is done, and names rows that lack seeds."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import table


def line(name: str, seed: int, value: float, **more: Any) -> dict[str, Any]:
    """A result whose unseen sentence has `value` and whose seen one has 100."""
    where: dict[str, Any] = {"split": "few", "budget": "steps", "name": name, "seed": seed}
    where |= {"code": "abc1234", "data_sha256": "0" * 64}
    cost = {"steps": 200, "cpu_seconds": 40.0, "whole_cpu_seconds": 100.0, "val": 50.0}
    values = {key: [100.0, value] for key in table.METRICS}
    chance = {group: dict.fromkeys(table.METRICS, 2.0) for group in ("seen", "unseen")}
    return {**where, **cost, **values, "seen": [True, False], "chance": chance} | more


def test_a_row_has_the_mean_and_the_spread_of_its_seeds() -> None:
    shown = table.report([line("dense", seed, value) for seed, value in enumerate((40.0, 50.0, 60.0))])
    row = next(text for text in shown.splitlines() if text.startswith("| dense |"))
    assert "| 50.0 ± 10.0 (50-50) |" in row  # unseen: one sentence, so its interval has no width
    assert "| 100.0 ± 0.0 |" in row and row.endswith("| 50.0 |  |  | 200 | 100 |")


def test_a_row_without_all_its_seeds_is_named_and_not_shown() -> None:
    shown = table.report([line("dense", 0, 50.0)])
    assert "| dense |" not in shown
    assert "dense (seeds 1, 2)" in shown and "codebook (seeds 0, 1, 2)" in shown


def test_rows_are_compared_sentence_by_sentence() -> None:
    """One is 10 points better on both unseen sentences, which lie 80 apart: the difference has no width."""
    lines = []
    for name, unseen in {"dense": (0.0, 80.0), "lexcmlp-raw": (10.0, 90.0)}.items():
        values = {key: [100.0, *unseen] for key in table.METRICS}
        lines += [line(name, seed, 0.0, seen=[True, False, False], **values) for seed in table.SEEDS]
    assert "| lexcmlp-raw | dense | +10.0 (+10 to +10) | +10.0, +10.0, +10.0 |" in table.report(lines)


@pytest.mark.parametrize("broken", ['{"split": "few", "budg', "{}", "7", "\udcff\udcfe"])
def test_a_line_that_is_no_result_is_named(tmp_path: Path, broken: str) -> None:
    results = tmp_path / "table.jsonl"
    results.write_bytes(f"{json.dumps(line('tmr', 0, 0.0))}\n{broken}\n".encode(errors="surrogateescape"))
    with pytest.raises(SystemExit, match=r"table\.jsonl, line 2: not a result"):
        table.lines(results)


def test_under_the_budget_of_time_a_row_may_spend_what_the_longest_one_spends(tmp_path: Path) -> None:
    evidence = table.Table(tmp_path, tmp_path, tmp_path / "table.jsonl")
    cheap = table.Cell("few", "steps", "tmr", 0)  # 40 of its 100 CPU-seconds are its own
    evidence.done[cheap] = line("tmr", 0, 0.0)
    evidence.done[cheap._replace(name=table.LONGEST)] = line(table.LONGEST, 0, 0.0) | {"whole_cpu_seconds": 260.0}
    assert evidence.steps(cheap) == table.LAST
    assert evidence.steps(cheap._replace(budget="time")) == table.LAST * (260 - 60) / 40


def test_every_run_takes_over_modules_of_runs_that_are_in_the_table() -> None:
    for run in table.RUNS.values():
        assert set(run.takes) <= set(table.RUNS)
    assert {"mmp", "cmmm", "lexmlm", "lexmmm"} == {each.name for each in table.cell("few", "lexcmlp", 0).ancestors}


@pytest.mark.slow
def test_a_row_is_trained_after_its_parents_and_once(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = shutil.copytree(synthetic.parent / "humanml3d_raw", tmp_path / "raw")
    for split in table.SPLITS:
        (raw / "splits" / split).mkdir(parents=True)
        for name in ("train.txt", "val.txt", "test.txt"):
            shutil.copy(raw / name, raw / "splits" / split)
    monkeypatch.setattr(table, "STEPS", dict.fromkeys(table.STEPS, 5))
    monkeypatch.setattr(table, "LAST", 5)
    results = tmp_path / "table.jsonl"
    cells = [table.Cell("few", "time", "tmr", 0)]
    table.Table(raw, tmp_path / "runs", results).go_on(cells, jobs=1)

    lines = [json.loads(text) for text in results.read_text().splitlines()]
    assert [(each["budget"], each["name"]) for each in lines[-1:]] == [("time", "tmr")]
    assert {each["name"] for each in lines} == {"tmr", "codebook"}  # codebook says how long tmr may train
    assert lines[-1]["steps"] > 5 and lines[-1]["whole_cpu_seconds"] > lines[-1]["cpu_seconds"] > 0
    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("best.ckpt")}
    assert tmp_path / "runs/compose/steps/mmp/0/best.ckpt" in trained

    table.Table(raw, tmp_path / "runs", results).go_on(cells, jobs=1)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("best.ckpt")} == trained
    assert len(results.read_text().splitlines()) == len(lines)

"""`motionlang lineage`: prints the ancestry of a checkpoint as a tree, with what each run read and cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motionlang_pl.stages.handover import file_sha256, read_checkpoint


def lineage(checkpoint: Path) -> None:
    """Print the tree of a checkpoint's ancestors.

    Raises:
        FileNotFoundError, ValueError: no such file, or not a stage's checkpoint.
    """
    record = read_checkpoint(checkpoint)["lineage"]
    print("\n".join(tree(record, str(checkpoint), file_sha256(checkpoint))))


def tree(lineage: dict[str, Any], checkpoint: str, sha256: str, modules: dict[str, str] | None = None) -> list[str]:
    """Return the lines of the tree: two for each checkpoint, then its parents indented below.

    lineage: as checkpoints hold it.  checkpoint, sha256: its file.  modules: what its child took from it, mine: theirs.
    """
    lines = [f"{lineage['stage']}  step {lineage['step']}  {checkpoint}"]
    parents = lineage["parents"]
    stem = "│  " if parents else "   "
    facts = [f"sha256 {sha256[:12]}", f"data {lineage['data_sha256'][:12]}", f"config {lineage['config_sha256'][:12]}"]
    if "seed" in lineage:
        facts.append(f"seed {lineage['seed']}")
    lines.append(f"{stem}{'  '.join(facts)}  {_cost(lineage)}")
    if modules:
        lines.append(f"{stem}gave {', '.join(_taken(mine, theirs) for mine, theirs in modules.items())}")
    for number, parent in enumerate(parents, start=1):
        first, rest = ("└─ ", "   ") if number == len(parents) else ("├─ ", "│  ")
        branch = tree(parent["lineage"], parent["checkpoint"], parent["sha256"], parent["modules"])
        lines += [first + branch[0], *(rest + line for line in branch[1:])]
    return lines


def _cost(lineage: dict[str, Any]) -> str:
    cost = f"{lineage['cpu_seconds']:,.0f} CPU-s"
    return f"{cost} + {lineage['gpu_seconds']:,.0f} GPU-s" if lineage["gpu_seconds"] else cost


def _taken(mine: str, theirs: str) -> str:
    return theirs if mine == theirs else f"{theirs} (as {mine})"

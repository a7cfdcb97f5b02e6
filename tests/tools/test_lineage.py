from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from motionlang_pl.tools.lineage import lineage


def record(stage: str, step: int, parents: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "stage": stage,
        "step": step,
        "seed": 3,
        "config_sha256": "c" * 64,
        "data_sha256": "d" * 64,
        "packages": {"torch": "2.13.0"},
        "cpu_seconds": 1234.5,
        "gpu_seconds": 0.0,
        "wall_seconds": 700.0,
        "parents": parents,
    }


def parent(name: str, modules: dict[str, str], lineage: dict[str, Any]) -> dict[str, Any]:
    return {"checkpoint": f"{name}/best.ckpt", "sha256": name[0] * 64, "modules": modules, "lineage": lineage}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    cmmm = record("CMMM", 20, [parent("mmp", {"motion_encoder": "motion_encoder"}, record("MMP", 10, []))])
    heads = {"text_encoder": "text_encoder", "motion_lexical_head": "text_lexical_head"}
    parents = [parent("cmmm", {"motion_encoder": "motion_encoder"}, cmmm)]
    parents.append(parent("lexmlm", heads, record("LexMLM", 30, [])))
    path = tmp_path / "lexmmm.ckpt"
    torch.save({"state_dict": {}, "assets": {}, "lineage": record("LexMMM", 40, parents)}, path)
    return path


def test_the_tree_shows_all_ancestors_and_what_they_gave(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lineage(checkpoint)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"LexMMM  step 40  {checkpoint}"
    assert [line for line in lines if "step" in line][1:] == [
        "├─ CMMM  step 20  cmmm/best.ckpt",
        "│  └─ MMP  step 10  mmp/best.ckpt",
        "└─ LexMLM  step 30  lexmlm/best.ckpt",
    ]
    assert lines[-1] == "      gave text_encoder, text_lexical_head (as motion_lexical_head)"
    assert all("data dddddddddddd" in line and "1,234 CPU-s" in line for line in lines if "sha256" in line)
    assert sum("sha256" in line for line in lines) == 4


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.ckpt: no such checkpoint"):
        lineage(tmp_path / "nothing.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other.ckpt: not a checkpoint of a motionlang stage"):
        lineage(tmp_path / "other.ckpt")
    (tmp_path / "broken.ckpt").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=r"broken.ckpt: not a readable checkpoint"):
        lineage(tmp_path / "broken.ckpt")

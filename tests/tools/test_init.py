"""`motionlang init` copies what is shipped and overwrites nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import PARTS

from motionlang_pl.cli import main


def test_init_copies_stages_configs_and_makefile_once(tmp_path: Path) -> None:
    main(["init", str(tmp_path)])
    assert {f"{stage}.yaml" for stage in PARTS} == {file.name for file in (tmp_path / "stages").iterdir()}
    assert (tmp_path / "configs/tiny/motion.yaml").is_file() and (tmp_path / "Makefile").is_file()
    plan = subprocess.run(["make", "-n", "mmp", "STORE=s"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "motionlang fit --config stages/mmp.yaml --config configs/small/run.yaml" in plan.stdout
    (tmp_path / "stages/mmp.yaml").write_text("mine")
    with pytest.raises(SystemExit, match=r"exists already, nothing was copied; choose an empty folder"):
        main(["init", str(tmp_path)])
    assert (tmp_path / "stages/mmp.yaml").read_text() == "mine"

"""Every YAML that is shipped parses and instantiates, at every size."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import PARTS, ROOT, fit_arguments

from motionlang_pl.cli import main

SIZES = ("tiny", "small", "paper")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stage", PARTS)
def test_a_stage_parses_and_instantiates_at_every_size(
    stage: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from motionlang_pl.training import MotionLanguageCLI

    fitted = []
    monkeypatch.setattr(MotionLanguageCLI, "_run_subcommand", lambda self, name: fitted.append(self.model))
    main(fit_arguments(stage, tmp_path, tmp_path, "--trainer.precision=32-true", size=size))
    assert type(fitted[0]).__name__.lower() == stage


@pytest.mark.parametrize("size", SIZES)
def test_the_parts_of_a_size_set_only_what_differs_from_the_stages(size: str) -> None:
    assert {file.stem for file in (ROOT / "configs" / size).glob("*.yaml")} <= {
        "run",
        "motion",
        "text",
        "trained_text",
        "image",
        "frames",
        *PARTS,
    }


def test_every_stage_has_its_yaml_module_test_and_section() -> None:
    docs = (ROOT / "docs/stages.md").read_text().lower()
    for stage in PARTS:
        assert (ROOT / f"stages/{stage}.yaml").is_file()
        assert (ROOT / f"motionlang_pl/stages/{stage}.py").is_file()
        assert (ROOT / f"tests/stages/test_{stage}.py").is_file()
        assert f"## {stage}" in docs

"""What the README tells people to type exists."""

from __future__ import annotations

import inspect
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import PARTS, ROOT

from motionlang_pl import stages
from motionlang_pl.cli import LIGHTNING, TOOLS, _resolve
from motionlang_pl.data.store import Store

DOCS = sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem != "LOG")  # the log tells what once was typed
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
TEXT = "\n".join(page.read_text() for page in PAGES).replace("\\\n", " ")
COMMANDS = sorted(set(re.findall(r"(?:^ *|`)(motionlang [a-z]+ [^`\n]*)", TEXT, flags=re.MULTILINE)))
TARGETS = sorted(set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)", TEXT, flags=re.MULTILINE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_and_its_options_exist(command: str) -> None:
    words = command.split("#")[0].split()[1:]
    options = {word.split("=")[0].strip("-[]").replace("-", "_") for word in words if word.lstrip("[").startswith("--")}
    if words[0] in LIGHTNING:
        for word in words:
            if word.endswith(".yaml") and "RUNS" not in word:
                assert (ROOT / word.removeprefix("--config=")).is_file(), word
        stage = re.search(r"stages/(\w+)\.yaml", command)
        kinds = [getattr(stages, name) for name in stages.__all__ if stage is None or name.lower() == stage[1]]
        known = {
            name for kind in kinds for base in kind.__mro__ for name in inspect.signature(base.__init__).parameters
        }
        assert set(re.findall(r"--model\.init_args\.(\w+)", command)) <= known
        return
    target = TOOLS[words[0]]
    if isinstance(target, dict):
        assert all(word.startswith("--") for word in words[2:3])
        if words[1] == "SET":  # any of them
            return
    where = target[words[1]] if isinstance(target, dict) else target
    known = set(inspect.signature(_resolve(where)).parameters) | {"help", "config"}
    assert options <= known


@pytest.mark.parametrize("target", TARGETS)
def test_a_documented_make_target_exists(target: str) -> None:
    done = subprocess.run(
        ["make", "-n", target, "STORE=somewhere", "RAW=somewhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_size_is_refused_by_make() -> None:
    command = ["make", "-n", "mmp", "STORE=somewhere", "SIZE=tinny"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "SIZE=tinny: say tiny, small or paper" in done.stderr


def test_the_test_command_of_the_readme_is_what_ci_ends_with() -> None:
    assert "make test " in TEXT
    assert (ROOT / ".ci/run").read_text().strip().endswith("make test")


def test_the_python_example_runs(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit("lexcmlp", synthetic, tmp_path, "--model.init_args.init_from=[]", "--trainer.max_steps=1")
    np.save(tmp_path / "columns.npy", Store.open(synthetic).read("humanml3d", 0, 0, 60))
    example = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)[0]
    example = example.replace("runs/humanml3d/lexcmlp", str(run))
    capsys.readouterr()
    exec(example.replace("HumanML3D/new_joint_vecs/000000.npy", str(tmp_path / "columns.npy")), {})
    shown = capsys.readouterr().out
    assert shown.startswith("tensor([[") and shown.splitlines()[-1].count("'") == 20


def test_make_help_names_every_stage() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(re.search(rf"^  {stage} ", done.stdout, flags=re.MULTILINE) for stage in PARTS)

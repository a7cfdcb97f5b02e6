"""The import rules of the architecture, read off the code's own import statements."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "motionlang_pl"
ALLOWED = {
    "motion": set(),
    "scores": set(),
    "distributed": set(),
    "data": {"motion"},
    "models": {"motion", "data.batch", "distributed"},
    "losses": {"scores", "distributed"},
    "metrics": {"scores", "distributed"},
    "stages": {"motion", "data.batch", "models", "losses", "metrics", "scores", "distributed"},
    "plots": {"motion"},
    "dashboards": {"motion", "data", "metrics", "stages", "plots"},
    "index": {"scores"},
}
ONLY_IN = {
    "transformers": {"models/text_encoder.py", "models/motion_image_encoder.py", "models/pretrained.py"},
    "wandb": {"dashboards/wandb.py"},
    "pyacclaim": {"data/sources/own/acclaim.py"},
    "smplx": {"data/sources/body_models.py"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    layer = parts[0]
    if layer not in ALLOWED:
        return
    ours = [name.removeprefix("motionlang_pl.") for name in imports(path) if name.startswith("motionlang_pl.")]
    allowed = ALLOWED[layer] | {layer}
    wrong = [name for name in ours if not any(name == a or name.startswith(f"{a}.") for a in allowed)]
    assert not wrong, f"{layer} may not import {wrong}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_heavy_library_is_imported_only_where_it_belongs(library: str) -> None:
    users = {
        str(path.relative_to(PACKAGE)) for path in FILES if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users <= ONLY_IN[library]


def test_nothing_is_unpickled() -> None:
    for path in FILES:
        text = path.read_text()
        assert "allow_pickle=True" not in text and "weights_only=False" not in text, path
        assert "pickle" not in imports(path), path


def test_there_is_no_file_of_utilities() -> None:
    assert not [path for path in FILES if path.stem in ("utils", "helpers", "common", "misc")]

"""`motionlang init`: copies the shipped stages and configs, so that an installed wheel's user can edit them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def init(directory: Path) -> None:
    """Copies the stages and configs into a folder.

    Args:
        directory: Folder that gets ``stages/``, ``configs/`` and the ``Makefile``; no file in it is overwritten.
    """
    source = shipped()
    pairs = [
        (file, directory / file.relative_to(source))
        for part in ("stages", "configs")
        for file in sorted((source / part).rglob("*.yaml"))
    ]
    pairs.append((source / "Makefile", directory / "Makefile"))
    if there := [str(target) for _, target in pairs if target.exists()]:
        raise FileExistsError(f"{there[0]}: exists already, nothing was copied; choose an empty folder")
    for file, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    print(f"copied {len(pairs)} files to {directory}; next: motionlang fit --config {directory}/stages/mmp.yaml --help")


def shipped() -> Path:
    """Folder that holds the shipped ``stages/`` and ``configs/``: the installed wheel's, else the repository."""
    for folder in (Path(sys.prefix) / "share" / "motionlang", Path(__file__).parents[2]):
        if (folder / "stages").is_dir():
            return folder
    raise FileNotFoundError("the shipped stages and configs are not installed; reinstall motionlang-pl")

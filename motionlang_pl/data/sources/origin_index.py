"""Which recording of AMASS a clip was cut from: HumanML3D's index.csv, or annotations.json of TMR (Petrovich 2023)."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from motionlang_pl.data.origins import origin
from motionlang_pl.data.sources.raw import read_lines

NAMES = ("index.csv", "annotations.json")


def is_mirrored(name: str) -> bool:
    """Whether an id is that of a left-right twin: M000012 of 000012."""
    return name.startswith("M") and name[1:].isdigit()


def find_index(raw: Path) -> Path | None:
    """The index in a raw folder, if there is one."""
    return next((raw / name for name in NAMES if (raw / name).is_file()), None)


def read_index(file: Path) -> dict[str, str]:
    """The origin of every id of an index.

    Raises:
        FileNotFoundError, ValueError: no such file, or none of the two formats.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such index; --index is HumanML3D's index.csv or TMR's annotations.json")
    text = "\n".join(read_lines(file))
    try:
        if file.suffix == ".json":
            paths = {name: clip["path"] for name, clip in json.loads(text).items()}
        else:
            rows = csv.DictReader(text.splitlines())
            paths = {row["new_name"].removesuffix(".npy"): row["source_path"] for row in rows}
        return {name: origin(path.removeprefix("M/")) for name, path in paths.items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{file}: no index of clips ({error!r}); HumanML3D's index.csv has the columns source_path and new_name, "
            'TMR\'s annotations.json has {"ID": {"path": ...}}'
        ) from error


def origin_of(name: str, origins: dict[str, str]) -> str:
    """The origin of a clip, which a mirrored one shares with its original; empty where the index does not say."""
    return origins.get(name) or origins.get(name.removeprefix("M"), "")

"""A user's captions: a CSV with the columns file and caption, and where wanted start, end, split and labels."""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.writer import Skip

COLUMNS = ("file", "caption", "start", "end", "split", "labels")


class Row(NamedTuple):
    """A line of the table. line: its number.  end: seconds, infinite for the clip's end; see `Span` for the rest."""

    line: int
    text: str
    start: float
    end: float
    split: str
    labels: tuple[str, ...]

    def span(self, seconds: float) -> Span:
        """The annotation in a clip of that length; ValueError where nothing is left of it."""
        end = min(self.end, seconds)
        if not 0 <= self.start < end:
            raise ValueError(f"the span from {self.start:g} to {self.end:g} s is empty in a clip of {seconds:g} s")
        return Span(self.start, end, self.text, "", self.labels, self.split)


def read_table(file: Path) -> tuple[dict[str, list[Row]], list[Skip]]:
    """The rows by file, as it is written there, and the lines that can't be used.

    Raises:
        FileNotFoundError, ValueError: no such file, not UTF-8, or a header without file and caption.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; --captions is a CSV with the columns {', '.join(COLUMNS)}")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    header = list(reader.fieldnames or [])
    if not {"file", "caption"} <= set(header) or not set(header) <= set(COLUMNS):
        raise ValueError(
            f"{file}: its first line is {','.join(header)!r}; it names the columns, of {', '.join(COLUMNS)}: file and "
            "caption are needed, the rest may be left out"
        )
    rows: dict[str, list[Row]] = {}
    skips = []
    try:
        for fields in reader:
            try:
                name, row = _row(reader.line_num, fields)
                rows.setdefault(name, []).append(row)
            except ValueError as error:
                skips.append(Skip(f"{file.name}:{reader.line_num}", str(error)))
    except csv.Error as error:
        raise ValueError(f"{file}: line {reader.line_num}: no CSV ({error})") from error
    return rows, skips


def _row(line: int, fields: dict[str, str | None]) -> tuple[str, Row]:
    if "" in fields or None in fields.values():
        raise ValueError("has more or fewer fields than the header; put texts with commas in double quotes")
    values = {name: (value or "").strip() for name, value in fields.items()}
    name = PurePosixPath(values["file"].replace("\\", "/"))
    if not values["file"] or name.is_absolute() or ".." in name.parts or "\0" in values["file"]:
        raise ValueError(f"{values['file']!r} is no file below the folder of motions")
    try:
        start, end = (float(values.get(key) or other) for key, other in (("start", "0"), ("end", "inf")))
    except ValueError as error:
        raise ValueError(
            f"start {values.get('start')!r} or end {values.get('end')!r} is no number of seconds"
        ) from error
    split = values.get("split") or "train"
    if not split.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"{split!r} is no name of a split")
    labels = tuple(label.strip() for label in values.get("labels", "").split(";") if label.strip())
    return name.as_posix(), Row(line, " ".join(values["caption"].split()), start, end, split, labels)

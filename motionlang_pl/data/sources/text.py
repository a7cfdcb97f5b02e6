"""Sentences without motion: a .txt file with one a line, or a folder of HumanML3D's texts/ID.txt with split lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from motionlang_pl.data.annotations import Span
from motionlang_pl.data.sources.humanml3d import read_spans
from motionlang_pl.data.sources.raw import Item, Source, digest, read_lines, read_split_lists, split_lists, stamp
from motionlang_pl.data.writer import Entry, Skip


@dataclass(frozen=True)
class SentencesItem(Item):
    """One file of sentences, and the splits that they are in."""

    raw: Path
    splits: tuple[str, ...]


def source(raw: Path, splits: Path | None) -> Source:
    """A .txt file (all of it in the split train), or a folder of texts.

    A folder without split lists is all training. Mirrored ids (M and another listed id) that have no text of their own
    are left out, as their sentences stand with their twins.

    Raises:
        FileNotFoundError, ValueError: nothing there, or split lists for a single file.
    """
    if raw.is_file():
        if splits is not None:
            raise ValueError(f"--splits {splits}: lists of ids need a folder of texts/ID.txt, {raw} is one file")
        return _source(raw.parent, [SentencesItem(raw.stem, (raw,), raw.parent, ("train",))], [], [], read_sentences)
    if not raw.is_dir():
        raise FileNotFoundError(f"{raw}: no such file or folder; --raw is a .txt file or a folder with texts/ID.txt")
    texts = raw / "texts" if (raw / "texts").is_dir() else raw
    lists = split_lists(splits) if splits is not None else split_lists(texts.parent, ("train", "val", "test"))
    found, skips = read_split_lists(lists)
    if not lists:
        found = {file.stem: ["train"] for file in sorted(texts.glob("*.txt"))}
        if not found:
            raise FileNotFoundError(f"{texts}: no ID.txt with sentences in it")
    items = []
    for name, names in found.items():
        file = texts / f"{name}.txt"
        if file.is_file() or not (name.startswith("M") and name[1:] in found):
            items.append(SentencesItem(name, (file,), raw, tuple(names)))
    return _source(raw, items, lists, skips, read_texts)


def read_sentences(item: SentencesItem) -> Entry:
    """Reads a file with one sentence a line; blank lines are nothing."""
    sentences = [line for line in read_lines(item.files[0]) if line]
    spans = [Span(0.0, 0.0, sentence, "", (), split) for split in item.splits for sentence in sentences]
    skips = () if spans else (Skip(item.files[0].name, "holds no sentence"),)
    return Entry(item.name, stamp(item), digest(item), spans, skips)


def read_texts(item: SentencesItem) -> Entry:
    """Reads a file of HumanML3D's texts; its times are of no use without motion."""
    spans, problems = read_spans(item.files[0], None)
    skips = [Skip(str(problem.file.relative_to(item.raw)), problem.reason) for problem in problems]
    spans = [span._replace(split=split) for split in item.splits for span in spans]
    return Entry(item.name, stamp(item), digest(item), spans, skips)


def _source(
    raw: Path, items: list[SentencesItem], lists: list[Path], skips: list[Skip], read: Callable[[SentencesItem], Entry]
) -> Source:
    return Source(
        name="text",
        raw=raw,
        fps=0.0,
        skeleton="",
        kinds={},
        options={},
        tables=lists,
        splits=[file.stem for file in lists] or ["train"],
        items=items,
        skips=skips,
        read=read,
    )

"""Hand-over: a stage takes whole named modules from the checkpoints of earlier stages, strictly."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from motionlang_pl.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from motionlang_pl.stages.base import Stage

VOCABULARY_MODULES = {
    "word_embeddings",
    "text_encoder",
    "lexical_head",
    "text_lexical_head",
    "motion_lexical_head",
    "decoder",
    "content_head",
}


@dataclass(frozen=True)
class HandOver:
    """Where modules come from.

    Args:
        checkpoint: Relative to the folder of runs (``mmp/best.ckpt``), or absolute.
        modules: Mine: theirs, e.g. ``{motion_encoder: motion_encoder, motion_lexical_head: text_lexical_head}``.
    """

    checkpoint: str
    modules: dict[str, str]


def take_over(stage: Stage, sources: list[HandOver], runs: Path) -> list[dict[str, Any]]:
    """Loads the named modules into ``stage`` and returns its parents for the lineage.

    Raises:
        FileNotFoundError: a checkpoint is missing; the message names the Make target that builds it.
        ValueError: a module, key or shape that does not fit, another feature kind, skeleton or vocabulary.
    """
    return [_take(stage, source, runs) for source in sources]


def _take(stage: Stage, source: HandOver, runs: Path) -> dict[str, Any]:
    path = runs / source.checkpoint
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; `make {path.parent.name}` builds it (init_from)")
    checkpoint = read_checkpoint(path)
    state: dict[str, Tensor] = checkpoint["state_dict"]
    for mine, theirs in source.modules.items():
        _check_fit(stage, mine, checkpoint["assets"], path)
        part = {key.removeprefix(f"{theirs}."): value for key, value in state.items() if key.startswith(f"{theirs}.")}
        if not part:
            names = sorted({key.split(".")[0] for key in state})
            raise ValueError(f"{path}: no module {theirs!r} for init_from; the checkpoint has {', '.join(names)}")
        module = getattr(stage, mine, None)
        if not isinstance(module, torch.nn.Module):
            names = sorted(dict(stage.named_children()))
            raise ValueError(f"init_from: {type(stage).__name__} has no module {mine!r}; it has {', '.join(names)}")
        if problem := mismatch(module.state_dict(), part):
            raise ValueError(f"{path}: {theirs} does not fit {mine}: {problem}; train both stages at the same size")
        if wrong := [key for key, value in part.items() if not value.isfinite().all()]:
            raise ValueError(f"{path}: {theirs}.{wrong[0]} is not finite: its fit has diverged; train that stage again")
        module.load_state_dict(part)
    return {
        "checkpoint": source.checkpoint,
        "sha256": file_sha256(path),
        "modules": dict(source.modules),
        "lineage": checkpoint["lineage"],
    }


def distinct(parents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Lineages of parents, grandparents and so on by the SHA-256 of their checkpoints, each of which comes once."""
    found: dict[str, dict[str, Any]] = {}
    for parent in parents:
        found |= {parent["sha256"]: parent["lineage"], **distinct(parent["lineage"]["parents"])}
    return found


def mismatch(mine: dict[str, Any], theirs: dict[str, Tensor]) -> str:
    """The first reason why a state does not fit strictly, or an empty string."""
    if missing := sorted(set(mine) - set(theirs)):
        return f"it lacks {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
    if extra := sorted(set(theirs) - set(mine)):
        return f"it has {extra[0]} too many" + (f" and {len(extra) - 1} more" if extra[1:] else "")
    for key, value in mine.items():
        if value.shape != theirs[key].shape:
            return f"{key} is {tuple(theirs[key].shape)} there and {tuple(value.shape)} here"
    return ""


def _check_fit(stage: Stage, module: str, assets: dict[str, Any], path: Path) -> None:
    """A trunk goes between feature kinds, an adapter only to its own; word-indexed modules only within a vocabulary."""
    motion, text = stage.corpus.motion, stage.corpus.text
    theirs = assets["motion"]
    if motion is not None and theirs is not None and module.startswith("motion_"):
        if motion.skeleton != theirs["skeleton"]:
            raise ValueError(
                f"{path}: {module} was trained on the skeleton {theirs['skeleton']}, this store has {motion.skeleton}; "
                "use a store of that skeleton or leave the module out of init_from"
            )
        if module == "motion_adapter" and motion.kind != theirs["kind"]:
            raise ValueError(
                f"{path}: motion_adapter reads {theirs['kind']}, this run reads {motion.kind}; set --data.features "
                f"{theirs['kind']} or leave motion_adapter out of init_from (motion_encoder hands over across kinds)"
            )
    if text is not None and assets["text"] is not None and module in VOCABULARY_MODULES:
        here, there = Tokenizer(text.tokenizer), Tokenizer(assets["text"]["tokenizer"])
        if here.sha256 != there.sha256:
            raise ValueError(
                f"{path}: {module} belongs to another vocabulary ({there.vocabulary} terms, {there.sha256[:12]}) than "
                f"this run's ({here.vocabulary} terms, {here.sha256[:12]}); use the same text model or store tokenizer"
            )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A stage's checkpoint as plain data, memory-mapped; never unpickles.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, holds objects, or was not written by a stage.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; train one first (`make help` lists the stages)")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not a readable checkpoint ({reason[:120]}); train its stage again") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "assets", "lineage"} <= set(checkpoint):
        raise ValueError(f"{path}: not a checkpoint of a motionlang stage (no assets or lineage in it)")
    return checkpoint


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

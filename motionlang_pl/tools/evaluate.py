"""`motionlang evaluate`: retrieval tables of a checkpoint on a split, with chance beside them, and term grounding."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor

from motionlang_pl.data.loaders import by_name
from motionlang_pl.data.store import Store
from motionlang_pl.metrics.representation import active_terms, collapse, hub_terms, term_grounding
from motionlang_pl.metrics.retrieval import (
    average,
    bootstrap,
    chance,
    diagonal,
    distinct_chance,
    distinct_values,
    identical,
    rank_metrics,
    similar,
)
from motionlang_pl.models.content_words import content_ids
from motionlang_pl.plots import heat_map
from motionlang_pl.scores import cosine
from motionlang_pl.stages.false_negatives import SimilarSentences
from motionlang_pl.stages.handover import file_sha256, read_checkpoint
from motionlang_pl.stages.retrieval import LexicalRetrievalStage
from motionlang_pl.tools.outputs import write_whole
from motionlang_pl.tools.vectors import Vectors, at_least_one, encode, open_data, pairs, retrieval_stage

RANKS = ("R@1", "R@2", "R@3", "R@5", "R@10", "MedR")
PICTURED = 24  # sentences in the heat map


def evaluate(
    checkpoint: Path,
    store: Path,
    split: str = "test",
    json: Path | None = None,
    batch_size: int = 64,
    device: str = "auto",
    splits_seen: str | None = "train",
    seed: int = 0,
    limit: int | None = None,
    plots: Path | None = None,
    loader: Literal["Every", "Guo", "TMR", "MoPatch"] = "Every",
    mirrored: bool = True,
    similar_by: str | None = None,
) -> None:
    """Rank motions for sentences and sentences for motions, and print tables with chance beside them.

    Args:
        checkpoint: A checkpoint of a stage that retrieves (lexcmlp, codebook, cstar, maxsim, dense, tmr, ...).
        store: The store to evaluate on.
        split: One of the store's splits.
        json: Where to write the numbers, too.
        batch_size: Motions encoded at a time.
        device: auto, cpu, cuda.
        splits_seen: A sentence is seen if it stands in this split of the store; null: none is.
        seed: Of chance and of the bootstrap.
        limit: Only the split's first samples.
        plots: A folder for heat_map.png.
        loader: What is a sample: every captioned stretch, or a paper's test set (Guo, TMR, MoPatch).
        mirrored: Whether mirrored motions are in the gallery.
        similar_by: A sentence encoder (BERT, RoBERTa, DistilBERT; folder or name): adds TMR's protocol with a
            threshold, by its embeddings of the sentences.
    """
    at_least_one(batch_size=batch_size, limit=limit)
    _make_room(json, plots)
    stage = retrieval_stage(checkpoint, device)
    data = open_data(stage, store, batch_size, seed, mirrored, by_name(loader))
    known = _known(data.store, splits_seen)
    samples = pairs(data, split)
    vectors = encode(stage, samples, batch_size, limit)
    scores = stage.score(vectors.text.to(stage.device), vectors.motion.to(stage.device)).cpu()
    seen = torch.tensor([sentence in known for sentence in vectors.sentences])
    lineage = read_checkpoint(checkpoint)["lineage"]
    report: dict[str, Any] = {
        "stage": lineage["stage"],
        "step": lineage["step"],
        "checkpoint": str(checkpoint),
        "checkpoint_sha256": file_sha256(checkpoint),
        "trained_on_sha256": lineage["data_sha256"],
        "store": str(store),
        "data_sha256": data.store.fingerprint,
        "split": split,
        "loader": loader,
        "N": len(vectors.ids),
        "mirrored": int(data.store.clips.mirrored[samples.clip[: len(vectors.ids)]].sum()),
        "splits_seen": splits_seen,
        "limit": limit,
        "seed": seed,
        "similar_by": similar_by,
        "protocols": {
            **_ranked(scores, vectors, similar_by, seed),
            "distinct": _distinct(scores, vectors, seen, seed),
        },
    }
    for name, numbers in report["protocols"].items():
        numbers["name"] = "/".join((name, *(() if loader == "Every" else (loader,)), *filter(None, [stage.reading])))
    if isinstance(stage, LexicalRetrievalStage):
        report["terms"] = _terms(stage, vectors, seen)
    print(_tables(report))
    if plots is not None:
        report["heat_map"] = str(_picture(scores, vectors, plots / "heat_map.png"))
        print(f"heat map: {report['heat_map']}")
    if json is not None:
        write_whole(json, dumps(report, indent=2, ensure_ascii=False) + "\n")
        print(f"written: {json}")


def _make_room(json: Path | None, plots: Path | None) -> None:
    """Make the folders that will be written to; OSError where that cannot be, before any work."""
    for folder in ([json.parent] if json is not None else []) + ([plots] if plots is not None else []):
        folder.mkdir(parents=True, exist_ok=True)
    if json is not None and json.is_dir():
        raise IsADirectoryError(f"--json {json}: a folder; give a file")


def _known(store: Store, split: str | None) -> set[str]:
    """Return the sentences of the split; ValueError where the store has none of that name."""
    if split is None:
        return set()
    if split not in store.splits:
        have = ", ".join(store.splits)
        raise ValueError(f"{store.path}: no split {split!r} for --splits_seen; it has {have} (null: none is seen)")
    return {store.annotations.text[row] for row in store.annotations.rows(split).tolist()}


def _ranked(scores: Tensor, vectors: Vectors, similar_by: str | None, seed: int) -> dict[str, Any]:
    """Protocols with one query per motion and its caption: `diagonal`, `identical` and, by an encoder, `similar`."""
    owner = vectors.owner
    positives = {"diagonal": diagonal(len(owner)), "identical": identical(vectors.captions)}
    if similar_by is not None:
        embeddings = SimilarSentences(similar_by).embed(vectors.sentences, torch.device("cpu"))
        positives["similar"] = similar(cosine(embeddings, embeddings)[owner][:, owner])
    square = scores[owner]  # equal captions share a row, so they tie bitwise
    protocols = {}
    for name, positive in positives.items():
        found = {"t2m": rank_metrics(square, positive), "m2t": rank_metrics(square.T, positive)}
        random = {"t2m": chance(positive, seed=seed), "m2t": chance(positive, owner, seed)}
        protocols[name] = {"N": len(owner), **_flat(found), "chance": _flat(random)}
    return protocols


def _flat(directions: dict[str, dict[str, float]]) -> dict[str, float]:
    return {f"{direction}/{name}": v for direction, metrics in directions.items() for name, v in metrics.items()}


def _distinct(scores: Tensor, vectors: Vectors, seen: Tensor, seed: int) -> dict[str, Any]:
    """Protocol `distinct`, over all sentences and over the seen and the unseen ones; the gallery is always whole."""
    values = distinct_values(scores, vectors.owner)
    random = distinct_chance(vectors.owner, len(vectors.sentences), seed)
    groups = {}
    for name, subset in (("all", torch.ones_like(seen)), ("seen", seen), ("unseen", ~seen)):
        if subset.any():
            groups[name] = {
                "sentences": int(subset.sum()),
                "motions": int(subset[vectors.owner].sum()),
                **average(values, subset),
                "interval95": {key: bootstrap(value[subset], seed) for key, value in values.items()},
                "chance": average(random, subset),
            }
    gallery = {"sentences": len(vectors.sentences), "motions": len(vectors.owner)}
    each = {"seen": seen.tolist(), **{key: value.tolist() for key, value in values.items()}}
    return {"gallery": gallery, **groups, "each_sentence": each}


def _terms(stage: LexicalRetrievalStage, vectors: Vectors, seen: Tensor) -> dict[str, Any]:
    """Term grounding over all and over unseen sentences, active terms, and signs of collapse."""
    assert stage.corpus.text is not None
    tokenizer = Tokenizer.from_str(stage.corpus.text.tokenizer)
    ids = [content_ids(sentence, tokenizer) for sentence in vectors.sentences]
    has_content = torch.tensor([bool(each) for each in ids])
    grounding = {}
    for name, subset in (("all", has_content), ("seen", has_content & seen), ("unseen", has_content & ~seen)):
        if subset.any():
            values = term_grounding(vectors.motion, ids, owner=vectors.owner, subset=subset)
            grounding[name] = {"sentences": int(subset.sum()), **values}
    return {
        "vocabulary": len(stage.terms),
        "grounding": grounding,
        "active": {"motion": active_terms(vectors.motion), "text": active_terms(vectors.text)},
        "collapse": {"motion": collapse(vectors.motion), "text": collapse(vectors.text)},
        "hubs": [[stage.terms[term], share] for term, share in hub_terms(vectors.motion, 10)],
    }


def _picture(scores: Tensor, vectors: Vectors, path: Path) -> Path:
    """Heat map of sentences spread evenly over the split, each with its first motion."""
    n = len(vectors.sentences)
    rows = torch.linspace(0, n - 1, min(n, PICTURED)).round().long()
    columns = torch.tensor([vectors.owner.tolist().index(row) for row in rows.tolist()])
    heat_map(scores[rows][:, columns], [vectors.sentences[row] for row in rows.tolist()], path)
    return path


def _tables(report: dict[str, Any]) -> str:
    protocols = report["protocols"]
    lines = [
        f"{report['stage']} step {report['step']} ({report['checkpoint_sha256'][:12]}) on {report['store']} "
        f"({report['data_sha256'][:12]}), split {report['split']}"
        + ("" if report["limit"] is None else f", its first {report['limit']} samples"),
        f"loader {report['loader']}: {report['N']} samples, {report['mirrored']} of them mirrored",
        "",
        _row("protocol", "direction", "N", *RANKS),
    ]
    for name in (name for name in protocols if name != "distinct"):
        for direction in ("t2m", "m2t"):
            for label, source in ((direction, protocols[name]), (f"{direction} chance", protocols[name]["chance"])):
                values = [f"{source[f'{direction}/{key}']:.1f}" for key in RANKS]
                lines.append(_row(protocols[name]["name"], label, str(protocols[name]["N"]), *values))
    distinct = protocols["distinct"]
    keys = ("t2m/mAP", "t2m/R@1", "m2t/top1", "m2t/top5")
    gallery = distinct["gallery"]
    lines += [
        "",
        f"protocol {distinct['name']}: each distinct sentence counts once, gallery {gallery['sentences']} sentences "
        f"and {gallery['motions']} motions; seen = in the store's split {report['splits_seen']!r}",
        _row("sentences", "", "N", *keys),
    ]
    for name in ("all", "seen", "unseen"):
        if name not in distinct:
            continue
        group = distinct[name]
        lines.append(_row(name, "", str(group["sentences"]), *(f"{group[key]:.1f}" for key in keys)))
        spans = [f"{low:.0f}-{high:.0f}" for low, high in (group["interval95"][key] for key in keys)]
        lines.append(_row("", "95% interval", "", *spans))
        lines.append(_row("", "chance", "", *(f"{group['chance'][key]:.1f}" for key in keys)))
    if report["trained_on_sha256"] != report["data_sha256"]:
        lines.append("The checkpoint was trained on other data: seen and unseen are about this store's sentences.")
    if "terms" in report:
        lines += ["", *_term_lines(report["terms"])]
    return "\n".join(lines)


def _term_lines(terms: dict[str, Any]) -> list[str]:
    ks = [key.partition("@")[2] for key in terms["grounding"].get("all", {}) if key.startswith("grounding@")]
    lines = [
        "term grounding: % of a sentence's content WordPieces among its motion's strongest k terms "
        "(other: among those of other sentences' motions)",
        _row("sentences", "", "N", *(f"k={k}" for k in ks)),
    ]
    for name, group in terms["grounding"].items():
        lines.append(_row(name, "", str(group["sentences"]), *(f"{group[f'grounding@{k}']:.1f}" for k in ks)))
        if f"other@{ks[0]}" in group:
            lines.append(_row("", "other", "", *(f"{group[f'other@{k}']:.1f}" for k in ks)))
        lines.append(_row("", "chance", "", *(f"{group[f'chance@{k}']:.1f}" for k in ks)))
    for kind in ("motion", "text"):
        active, alarm = terms["active"][kind], terms["collapse"][kind]
        lines.append(
            f"active terms of {terms['vocabulary']}, {kind}: median {active['median']:.0f} "
            f"({active['min']:.0f}-{active['max']:.0f}); "
            + ", ".join(f"{name.replace('_', ' ')} {value:.0f}%" for name, value in alarm.items())
        )
    return lines


def _row(first: str, second: str, n: str, *values: str) -> str:
    return f"{first:<18} {second:<12} {n:>6}" + "".join(f"{value:>10}" for value in values)

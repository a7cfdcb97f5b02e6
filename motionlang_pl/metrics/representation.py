"""What lexical vectors look like: active terms, signs of collapse, and whether terms are words of the sentence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from motionlang_pl.metrics.term_use import TermUse

_ROWS = 256  # rows sorted at a time: 256 x 30,522 float32 and their order are 94 MB


def active_terms(vectors: Tensor) -> dict[str, float]:
    """How many terms weigh more than 0: their mean, median, least and most over samples.

    vectors: (N, V), non-negative.
    """
    active = (vectors > 0).sum(dim=1).double()
    return {
        "mean": float(active.mean()),
        "median": float(active.quantile(0.5)),
        "min": float(active.min()),
        "max": float(active.max()),
    }


def hub_terms(vectors: Tensor, most: int = 20) -> list[tuple[int, float]]:
    """The terms that are active in most samples, commonest first, each with its share of samples.

    vectors: (N, V), non-negative.  Returns at most `most` pairs of term number and share.
    """
    share, term = (vectors > 0).double().mean(dim=0).topk(min(most, vectors.shape[1]))
    return [(int(number), float(part)) for number, part in zip(term, share, strict=True) if part > 0]


def mean_active(vectors: Tensor) -> Tensor:
    """Mean number of terms (or codewords) with a weight above 0.  vectors: (B, V).  Returns a float32 scalar."""
    return (vectors > 0).sum(dim=1).float().mean()


def mean_norm(vectors: Tensor) -> Tensor:
    """Mean length of the vectors: falls without active terms falling where weights only shrink.  (B, V) -> scalar."""
    lengths: Tensor = torch.linalg.vector_norm(vectors.float(), dim=1)
    return lengths.mean()


def collapse(vectors: Tensor) -> dict[str, float]:
    """Shares (percent) that should be near 0; a lexical space that collapses shows in one of them.

    dead_share, dense_share, hub_share: as in `TermUse`.  same_strongest: samples whose strongest term is the one most
    samples share.

    vectors: (N, V), non-negative.
    """
    use = TermUse(vectors.shape[1])
    use.update(vectors, torch.arange(len(vectors)))
    found = use.compute()
    strongest = vectors.argmax(dim=1)[(vectors > 0).any(dim=1)]
    commonest = int(strongest.bincount().max()) if len(strongest) else 0
    shares = {name: float(found[name]) for name in ("dead_share", "dense_share", "hub_share")}
    return {**shares, "same_strongest": 100 * commonest / len(vectors)}


def term_grounding(
    vectors: Tensor,
    content_ids: list[list[int]],
    ks: Sequence[int] = (10, 50, 200),
    owner: Tensor | None = None,
    subset: Tensor | None = None,
) -> dict[str, float]:
    """Percent of a sentence's content WordPieces that stand among its motion's strongest k terms, per sentence.

    Beside it stand `chance@k` = 100 k / V, and `other@k`: the same share for the motions of all other sentences,
    which tells words that the model always says (a hub, or 'way' in 'in an active way') from words about this motion.
    A term stands among the strongest k when it weighs more than 0 and fewer than k other terms weigh as much or more:
    ties and empty vectors earn nothing.

    vectors: (N, V), non-negative.  content_ids: of each sentence (S); one without content is left out. owner: (N,)
    int64, the sentence of each motion (None: motion n has sentence n).  subset: (S,) bool, the sentences to average
    over; motions of all sentences serve for `other@k`. Returns `grounding@k`, `chance@k` and, with motions of other
    sentences, `other@k`.  ValueError when no sentence is left.
    """
    sentences = len(content_ids)
    owner = torch.arange(sentences) if owner is None else owner.cpu()
    if len(owner) != len(vectors):
        raise ValueError(
            f"{len(vectors)} motions but {len(owner)} sentences; give `owner`, the sentence of each motion"
        )
    words = sorted(set().union(*content_ids))
    column = {word: place for place, word in enumerate(words)}
    share = torch.zeros(sentences, len(words), dtype=torch.float64)  # of each word in its sentence
    for sentence, ids in enumerate(content_ids):
        for word in set(ids):
            share[sentence, column[word]] = 1 / len(set(ids))
    own = owner[:, None] == torch.arange(sentences)[None, :]
    chosen = own.any(dim=0) & (share.sum(dim=1) > 0)
    if subset is not None:
        chosen &= subset.cpu()
    if not chosen.any():
        raise ValueError("no sentence with a motion and a content word is left to average over")
    places = _places(vectors, words)
    grounding = {}
    for k in ks:
        found = (places < k).double() @ share.T  # (N, S)
        grounding[f"grounding@{k}"] = 100 * float(_mean(found, own)[chosen].mean())
        grounding[f"chance@{k}"] = 100 * min(k / vectors.shape[1], 1.0)
        if sentences > 1 and (~own).any(dim=0)[chosen].all():
            grounding[f"other@{k}"] = 100 * float(_mean(found, ~own)[chosen].mean())
    return grounding


def _places(vectors: Tensor, words: list[int]) -> Tensor:
    """How many other terms weigh as much as each word, or more; V where the word weighs nothing.

    Returns (N, words).
    """
    places = []
    for start in range(0, len(vectors), _ROWS):
        rows = vectors[start : start + _ROWS]
        weight = rows[:, words].float().contiguous()
        below = torch.searchsorted(rows.float().sort(dim=1).values, weight)
        places.append((rows.shape[1] - below - 1).masked_fill(~(weight > 0), rows.shape[1]).cpu())
    return torch.cat(places)


def _mean(found: Tensor, where: Tensor) -> Tensor:
    """Mean of each column over the rows that `where` names; both (N, S).  Returns (S,)."""
    return (found * where).sum(dim=0) / where.sum(dim=0)

"""Retrieval between motions and sentences: R@k, median rank and mAP under four named protocols, and chance.

Protocols: `diagonal` (only the pair itself counts), `identical` (any item whose caption string equals the query's
counts), `similar` (any item whose caption is similar enough) and `distinct` (each distinct sentence once, averaged over
sentences). With one positive the rank is that of TMR (Petrovich 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from motionlang_pl.scores import cosine

CUTOFFS = (1, 2, 3, 5, 10)
Scoring = Callable[[Tensor, Tensor], Tensor]


def ranks(scores: Tensor, positive: Tensor) -> Tensor:
    """Rank of each query's best positive, 0 being the best.

    Negatives that score strictly higher than the best positive, plus (negatives at that score) / (positives at that
    score + 1): what a random order among the tied would give on average, so a model that scores everything alike
    gains nothing, and ties among positives cost nothing.

    scores: (Q, N), higher is better; NaN counts as the lowest.  positive: (Q, N) bool.
    Returns (Q,) float64; NaN for a query that has no positive.
    """
    if scores.shape != positive.shape or scores.ndim != 2:
        raise ValueError(
            f"scores {tuple(scores.shape)} and positive {tuple(positive.shape)} must both be (queries, gallery)"
        )
    scores = _without_nan(scores)
    best = scores.masked_fill(~positive, -torch.inf).amax(dim=1, keepdim=True)
    above = ((scores > best) & ~positive).sum(dim=1)
    level = scores == best
    tied = (level & ~positive).sum(dim=1)
    sharing = (level & positive).sum(dim=1)
    rank = above.double() + tied.double() / (sharing + 1)
    return rank.masked_fill(~positive.any(dim=1), torch.nan)


def rank_metrics(scores: Tensor, positive: Tensor) -> dict[str, float]:
    """R@1, R@2, R@3, R@5, R@10 (percent of ranks below k) and MedR (median rank + 1; of two middle ranks, their mean).

    scores: (Q, N).  positive: (Q, N) bool.  Queries without a positive are left out; ValueError when all are.
    """
    rank = ranks(scores, positive)
    rank = rank[~rank.isnan()].sort().values
    if len(rank) == 0:
        raise ValueError(f"none of the {len(positive)} queries has a positive in the gallery, so there is no rank")
    metrics = {f"R@{k}": 100 * float((rank < k).double().mean()) for k in CUTOFFS}
    middle = (rank[(len(rank) - 1) // 2] + rank[len(rank) // 2]) / 2
    return {**metrics, "MedR": float(middle) + 1}


def chance(positive: Tensor, group: Tensor | None = None, seed: int = 0) -> dict[str, float]:
    """What `rank_metrics` gives on average for random scores: 5 to 2,000 seeded matrices, fewer where they are large.

    positive: (Q, N) bool.  group: (N,) int64, gallery items of one group always tie, as equal captions do (None: none
    tie).
    """
    queries, gallery = positive.shape
    group = torch.arange(gallery) if group is None else group.cpu()
    totals: dict[str, float] = {}
    draws = min(max(40_000_000 // (queries * gallery), 5), 2000)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(draws):
        random = torch.rand(queries, int(group.max()) + 1, generator=generator)[:, group]
        for name, value in rank_metrics(random, positive.cpu()).items():
            totals[name] = totals.get(name, 0.0) + value / draws
    return totals


def diagonal(n: int) -> Tensor:
    """Protocol `diagonal`: only the pair itself counts.  Returns (n, n) bool."""
    return torch.eye(n, dtype=torch.bool)


def identical(captions: Sequence[Hashable]) -> Tensor:
    """Protocol `identical`: any item whose caption string equals the query's counts.

    Returns (N, N) bool, symmetric.
    """
    owner = owners(captions)
    return owner[:, None] == owner[None, :]


def similar(similarity: Tensor, threshold: float = 0.95) -> Tensor:
    """Protocol `similar`, TMR's "All with threshold": any item whose caption is similar enough to the query's counts.

    TMR's code compares the cosine with 2 * threshold - 1, so its 0.95 is a cosine of 0.90.

    similarity: (N, N), cosines of the captions' embeddings.  Returns (N, N) bool, the pair itself always True.
    """
    return (similarity > 2 * threshold - 1) | diagonal(len(similarity)).to(similarity.device)


def owners(captions: Sequence[Hashable]) -> Tensor:
    """Number the distinct captions in order of first appearance.

    Returns (N,) int64, the number of each item's caption.
    """
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(caption, len(numbers)) for caption in captions], dtype=torch.int64)


def distinct_values(scores: Tensor, owner: Tensor) -> dict[str, Tensor]:
    """Protocol `distinct`, one value per sentence (percent), to average or to bootstrap.

    t2m/mAP: average precision over the motions; motions that tie enter together, as in scikit-learn, so that equal
    scores give the share of positives whatever the order.  t2m/R@1: 100 where the rank is below 1.  m2t/top1,
    m2t/top5: share of the sentence's motions that rank it below 1, below 5, among the distinct sentences.

    scores: (S, N), one row per distinct sentence, one column per motion.  owner: (N,) int64, the row of each motion's
    sentence. Returns (S,) float64 each; NaN for a sentence without motions.
    """
    sentences = len(scores)
    positive = owner[None, :] == torch.arange(sentences, device=owner.device)[:, None]
    count = positive.sum(dim=1).double()
    t2m = ranks(scores, positive)
    m2t = ranks(scores.T, positive.T)
    values = {"t2m/mAP": _average_precision(scores, positive), "t2m/R@1": (t2m < 1).double()}
    for k in (1, 5):
        hits = torch.zeros(sentences, dtype=torch.float64, device=owner.device).index_add_(0, owner, (m2t < k).double())
        values[f"m2t/top{k}"] = hits / count
    return {name: (100 * value).masked_fill(count == 0, torch.nan) for name, value in values.items()}


def distinct_chance(owner: Tensor, sentences: int, seed: int = 0) -> dict[str, Tensor]:
    """What `distinct_values` gives on average for seeded random scores.

    owner: (N,) int64.  Returns (S,) float64 each.
    """
    draws = min(max(10_000_000 // (sentences * len(owner)), 2), 2000)
    generator = torch.Generator().manual_seed(seed)
    totals: dict[str, Tensor] = {}
    for _ in range(draws):
        random = torch.rand(sentences, len(owner), generator=generator)
        for name, value in distinct_values(random, owner.cpu()).items():
            totals[name] = totals.get(name, torch.zeros(())) + value / draws
    return totals


def average(values: dict[str, Tensor], subset: Tensor | None = None) -> dict[str, float]:
    """Mean over the sentences of `subset` ((S,) bool; None: all), NaN left out; ValueError when there are none."""
    means = {}
    for name, value in values.items():
        kept = value if subset is None else value[subset]
        kept = kept[~kept.isnan()]
        if len(kept) == 0:
            raise ValueError("no sentence with motions is left to average over")
        means[name] = float(kept.mean())
    return means


def bootstrap(values: Tensor, seed: int, n: int = 1000) -> tuple[float, float]:
    """95% percentile interval of the mean of (S,) values under n draws of S with replacement; NaN is left out."""
    values = values[~values.isnan()].cpu()
    draws = torch.randint(len(values), (n, len(values)), generator=torch.Generator().manual_seed(seed))
    low, high = values[draws].mean(dim=1).quantile(torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return low, high


class RetrievalMetrics(Metric):
    """`rank_metrics` in both directions under protocol `identical`, over all that all processes saw since the reset.

    compute() gathers, drops repeated samples and those with a negative number (fillers), sorts by sample number, and
    takes the lowest sample's text vector for all equal captions, so that these tie bitwise. Every process must have
    seen a sample. Keys: `t2m/R@1`, ..., `t2m/MedR`, `m2t/R@1`, ..., `m2t/MedR`.

    scoring: (Q, D), (N, D) -> (Q, N), texts first; or of token vectors (Q, L, D), (N, P, D), as `scores.maxsim`.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    sample: list[Tensor]
    caption: list[Tensor]
    text: list[Tensor]
    motion: list[Tensor]

    def __init__(self, scoring: Scoring = cosine, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scoring = scoring
        for state in ("sample", "caption", "text", "motion"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, sample: Tensor, text: Tensor, motion: Tensor, caption: Tensor) -> None:
        """Keep a batch.

        sample: (B,) int64, number in the split.  text, motion: (B, D), or (B, L, D) and (B, P, D) with fixed L and P.
        caption: (B,) int64, hash of the caption string.
        """
        self.sample.append(sample)
        self.caption.append(caption)
        self.text.append(text.detach().float())
        self.motion.append(motion.detach().float())

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics as scalar tensors."""
        sample, keep = _first(dim_zero_cat(self.sample))
        sample, keep = sample[sample >= 0], keep[sample >= 0]
        caption, text, motion = (dim_zero_cat(state)[keep] for state in (self.caption, self.text, self.motion))
        owner = owners(caption.tolist()).to(sample.device)
        _, first = _first(owner)
        scores = self.scoring(text[first], motion)[owner]
        positive = owner[:, None] == owner[None, :]
        t2m, m2t = rank_metrics(scores, positive), rank_metrics(scores.T, positive)
        metrics = {f"t2m/{name}": value for name, value in t2m.items()}
        metrics |= {f"m2t/{name}": value for name, value in m2t.items()}
        return {name: torch.tensor(value, device=sample.device) for name, value in metrics.items()}


def _first(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct numbers in rising order, and the position at which each stands first."""
    ordered, order = numbers.sort(stable=True)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new], order[new]


def _average_precision(scores: Tensor, positive: Tensor) -> Tensor:
    """Average precision of each row, tied items entering together.  scores, positive: (S, N).  Returns (S,) float64."""
    size = scores.shape[1]
    ordered, order = _without_nan(scores).sort(dim=1, descending=True)
    found = positive.gather(1, order)
    ends = torch.ones_like(found)
    ends[:, :-1] = ordered[:, :-1] != ordered[:, 1:]
    places = torch.arange(size, device=scores.device).expand_as(order)
    end = places.masked_fill(~ends, size).flip(1).cummin(dim=1).values.flip(1)  # last place of each item's tied group
    precision = found.cumsum(dim=1).double().gather(1, end) / (end + 1)
    return (precision * found).sum(dim=1) / found.sum(dim=1)


def _without_nan(scores: Tensor) -> Tensor:
    return scores.masked_fill(scores.isnan(), -torch.inf)

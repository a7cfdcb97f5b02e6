"""Losses of a shared codebook: pairs use the same codewords, all codewords are used, codewords differ and mean words.

MSCode (Shi & Zhang, Findings of ACL 2026) names these aims in its abstract; the formulas are our reconstruction.
"""

from __future__ import annotations

import math

from entmax import sparsemax
from torch import Tensor

from motionlang_pl.distributed import global_mean
from motionlang_pl.scores import cosine

_LEAST = 1e-12  # logarithms of exact zeros, which sparsemax gives, stay finite in value and gradient


# ---- consistency: a pair's assignments are alike.  All take logits, of which assignments are the sparsemax. ----------


def jensen_shannon(a: Tensor, b: Tensor) -> Tensor:
    """Jensen-Shannon divergence of paired assignments, from 0 (equal) to log 2 (disjoint supports), mean over pairs.

    Between disjoint supports its gradient is zero: it is the same for all of a row's codewords, which sparsemax, whose
    weights sum to 1, does not pass on; and sparsemax passes none to codewords outside the support.

    a, b: (B, K) logits.  Returns a float32 scalar.
    """
    p, q = _assignments(a, b)
    middle = _log((p + q) / 2)
    return (p * (_log(p) - middle) + q * (_log(q) - middle)).sum(dim=1).mean() / 2


def fenchel_young(a: Tensor, b: Tensor) -> Tensor:
    """Sparsemax's Fenchel-Young loss (Blondel et al. 2020) of each side towards the other's assignment, held fixed.

    0 for equal assignments, else half their squared distance or more; its gradient in the logits is their difference,
    so that a codeword that only the other side uses is drawn in.

    a, b: (B, K) logits.  Returns a float32 scalar, mean over pairs and sides.
    """
    p, q = _assignments(a, b)
    return (_towards(a.float(), p.detach(), q.detach()) + _towards(b.float(), q.detach(), p.detach())) / 2


def soft_kl(a: Tensor, b: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of the softmax of the logits: of sparse assignments it would be infinite.

    a, b: (B, K) logits.  Returns a float32 scalar, mean over pairs and directions.
    """
    p, q = a.float().log_softmax(dim=1), b.float().log_softmax(dim=1)
    return ((p.exp() - q.exp()) * (p - q)).sum(dim=1).mean() / 2


def squared_difference(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of paired assignments, mean over pairs; at most 2.  a, b: (B, K) logits.  A float32 scalar."""
    p, q = _assignments(a, b)
    return (p - q).square().sum(dim=1).mean()


def _assignments(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return sparsemax(a.float(), dim=1), sparsemax(b.float(), dim=1)


def _towards(logits: Tensor, own: Tensor, target: Tensor) -> Tensor:
    """max_p (p.z - |p|^2/2) + |y|^2/2 - y.z at its maximum p = own: the gradient in z is own - y."""
    conjugate = (own * logits).sum(dim=1) - own.square().sum(dim=1) / 2
    return (conjugate + target.square().sum(dim=1) / 2 - (target * logits).sum(dim=1)).mean()


# ---- regularisers ----------------------------------------------------------------------------------------------------


def usage_balance(weights: Tensor) -> Tensor:
    """K times the sum of squared mean usages: 1 when all codewords are used alike, K when only one is.

    weights: (B, K), rows on the simplex.  Returns a float32 scalar.
    """
    return weights.shape[1] * weights.float().mean(dim=0).square().sum()


def usage_entropy(weights: Tensor) -> Tensor:
    """Log K less the entropy of the mean usage: 0 when all codewords are used alike, log K when only one is.

    weights: (B, K), rows on the simplex.  Returns a float32 scalar.
    """
    mean = weights.float().mean(dim=0)
    return math.log(weights.shape[1]) + (mean * _log(mean)).sum()


def orthogonality(codewords: Tensor) -> Tensor:
    """||C C' - I||^2 / K of the normalised codewords: how much squared cosine a codeword has with the others together.

    About K / D for random codewords, 0 for orthogonal ones.  codewords: (K, D).  Returns a float32 scalar.
    """
    gram = cosine(codewords, codewords)
    return (gram.square().sum() - gram.diagonal().square().sum()) / len(codewords)


def content_words(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of a caption's content words, all of them right and equally so, mean over captions with any.

    Words are counted over all processes.  A softmax over the vocabulary rather than a sigmoid per word, whose thousands
    of absent words would drown the few that are there.

    logits: (B, V).  ids, mask: (B, M), the words and which of them are there.  Returns a float32 scalar.
    """
    each = logits.float().log_softmax(dim=1).gather(1, ids).masked_fill(~mask, 0.0).sum(dim=1)
    count = mask.sum(dim=1)
    return global_mean(-(each / count.clamp(min=1)).sum(), (count > 0).sum())


def _log(x: Tensor) -> Tensor:
    return x.clamp(min=_LEAST).log()

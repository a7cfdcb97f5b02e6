"""Losses of a shared codebook: pairs use the same codewords, all codewords are used, codewords differ.

MSCode (Shi & Zhang, Findings of ACL 2026) names these aims in its abstract; the formulas are our reconstruction.
"""

from __future__ import annotations

from torch import Tensor

from motionlang_pl.scores import cosine

_LEAST = 1e-12  # logarithms of exact zeros, which sparsemax gives, stay finite in value and gradient


def jensen_shannon(a: Tensor, b: Tensor) -> Tensor:
    """Jensen-Shannon divergence of paired distributions, from 0 (equal) to log 2 (disjoint supports), mean over pairs.

    a, b: (B, K), rows on the simplex.  Returns a float32 scalar.
    """
    a, b = a.float(), b.float()
    middle = _log((a + b) / 2)
    return (a * (_log(a) - middle) + b * (_log(b) - middle)).sum(dim=1).mean() / 2


def usage_balance(weights: Tensor) -> Tensor:
    """K times the sum of squared mean usages: 1 when all codewords are used alike, K when only one is.

    weights: (B, K), rows on the simplex.  Returns a float32 scalar.
    """
    return weights.shape[1] * weights.float().mean(dim=0).square().sum()


def orthogonality(codewords: Tensor) -> Tensor:
    """||C C' - I||^2 / K of the normalised codewords: how much squared cosine a codeword has with the others together.

    About K / D for random codewords, 0 for orthogonal ones.  codewords: (K, D).  Returns a float32 scalar.
    """
    gram = cosine(codewords, codewords)
    return (gram.square().sum() - gram.diagonal().square().sum()) / len(codewords)


def _log(x: Tensor) -> Tensor:
    return x.clamp(min=_LEAST).log()

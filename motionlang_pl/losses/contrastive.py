"""Contrastive losses on a square matrix of scores whose diagonal holds the pairs: InfoNCE and HN-NCE.

InfoNCE as in CLIP (Radford et al. 2021); HN-NCE as TMR++ (Bensabath et al. 2024) takes it from Radenovic et al. (2023).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(scores: Tensor, ignore: Tensor | None = None) -> Tensor:
    """Cross-entropy of the diagonal, mean of both directions; log B when all scores are equal.

    scores: (B, B), divided by the temperature.  ignore: (B, B) bool, pairs that are no negatives; the diagonal always
    counts.  Returns a float32 scalar.
    """
    scores = scores.float()
    if ignore is not None:
        scores = scores.masked_fill(ignore & ~_diagonal(scores), -math.inf)
    target = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


def queued_info_nce(
    scores: Tensor,
    text_to_queue: Tensor,
    motion_to_queue: Tensor,
    ignore: Tensor,
    ignore_text: Tensor,
    ignore_motion: Tensor,
) -> Tensor:
    """InfoNCE with further negatives from a queue; without any that count it is `info_nce`.

    scores: (B, B), texts first.  text_to_queue: (B, K), texts against past motions.  motion_to_queue: (B, K), motions
    against past texts; all divided by the temperature.  ignore: (B, B) bool.  ignore_text, ignore_motion: (B, K) bool.
    Returns a float32 scalar.
    """
    scores = scores.float().masked_fill(ignore & ~_diagonal(scores), -math.inf)
    target = torch.arange(len(scores), device=scores.device)
    texts = torch.cat((scores, text_to_queue.float().masked_fill(ignore_text, -math.inf)), dim=1)
    motions = torch.cat((scores.T, motion_to_queue.float().masked_fill(ignore_motion, -math.inf)), dim=1)
    return (F.cross_entropy(texts, target) + F.cross_entropy(motions, target)) / 2


def hn_nce(scores: Tensor, alpha: float = 0.999, beta: float = 0.5, ignore: Tensor | None = None) -> Tensor:
    """InfoNCE whose negatives weigh the more the harder they are, mean of both directions.

    Per row of n kept negatives: -log(e^s_ii / (alpha e^s_ii + sum_j w_ij e^s_ij)), w_ij = n e^(beta s_ij) / sum_k
    e^(beta s_ik) over the negatives.  With alpha 1 and beta 0 it is InfoNCE.

    scores: (B, B), divided by the temperature.  ignore: (B, B) bool, pairs that are no negatives.  Returns a float32
    scalar.
    """
    scores = scores.float()
    negative = ~_diagonal(scores) if ignore is None else ~(_diagonal(scores) | ignore)
    return (_hn_rows(scores, alpha, beta, negative) + _hn_rows(scores.T, alpha, beta, negative.T)) / 2


def hard_negative_nce(cosines: Tensor, ignore: Tensor | None = None, temperature: float = 0.1) -> Tensor:
    """`hn_nce` of cosines divided by a fixed temperature (TMR++: 0.1) that is not the contrast's; alpha, beta as there.

    cosines: (B, B).  ignore: (B, B) bool, pairs that are no negatives.  Returns a float32 scalar.
    """
    return hn_nce(cosines.float() / temperature, ignore=ignore)


def hardest_negative(cosines: Tensor, ignore: Tensor | None = None, margin: float = 0.2) -> Tensor:
    """Hinge on each row's hardest negative, max(0, margin + s_ij - s_ii), mean of both directions (VSE++, Faghri 2018).

    cosines: (B, B).  ignore: (B, B) bool, pairs that are no negatives; a row without any costs nothing.  Returns a
    float32 scalar.
    """
    cosines, diagonal = cosines.float(), _diagonal(cosines)
    negatives = cosines.masked_fill(diagonal if ignore is None else diagonal | ignore, -math.inf)
    positive = cosines.diagonal()
    rows, columns = (F.relu(margin + negatives.amax(dim=side) - positive).mean() for side in (1, 0))
    return (rows + columns) / 2


def same_caption(sentence: Tensor) -> Tensor:
    """Mark pairs of different samples that say the same.  sentence: (B,) int64 hashes.  Returns (B, B) bool."""
    return (sentence[:, None] == sentence[None, :]) & ~_diagonal(sentence)


def _hn_rows(scores: Tensor, alpha: float, beta: float, negative: Tensor) -> Tensor:
    count = negative.sum(dim=1)
    alone = count == 0
    kept = negative | alone[:, None]  # a sum over nothing would have no finite gradient
    weighted = _logsumexp((1 + beta) * scores, kept) - _logsumexp(beta * scores, kept)
    hard = (count.clamp(min=1).log() + weighted).masked_fill(alone, -math.inf)
    positive = scores.diagonal()
    return (torch.logaddexp(positive + math.log(alpha), hard) - positive).mean()


def _logsumexp(scores: Tensor, where: Tensor) -> Tensor:
    return scores.masked_fill(~where, -math.inf).logsumexp(dim=1)


def _diagonal(x: Tensor) -> Tensor:
    return torch.eye(len(x), dtype=torch.bool, device=x.device)

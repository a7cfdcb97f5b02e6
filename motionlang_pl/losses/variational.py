"""Kullback-Leibler terms between diagonal Gaussians (Kingma & Welling 2014), those of TMR (Petrovich et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlang_pl.distributed import global_mean


def kl_divergence(q: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> Tensor:
    """KL(q || p), mean over samples of all processes and over coordinates, as TMR's code weighs it; 0 when equal.

    Per coordinate: (var_q / var_p + (mean_p - mean_q)^2 / var_p - 1 - log(var_q / var_p)) / 2.

    q, p: means and logarithms of the variances, (B, D) each.  Returns a float32 scalar.
    """
    (mean, log_variance), (other, other_log_variance) = ((m.float(), v.float()) for m, v in (q, p))
    log_ratio = log_variance - other_log_variance
    divergence = (log_ratio.exp() + (other - mean).square() * (-other_log_variance).exp() - 1 - log_ratio) / 2
    return global_mean(divergence.sum(), torch.tensor(divergence.numel(), device=divergence.device))


def kl_terms(text: tuple[Tensor, Tensor], motion: tuple[Tensor, Tensor]) -> Tensor:
    """KL(text || motion) + KL(motion || text) + KL(text || N(0, 1)) + KL(motion || N(0, 1)).

    text, motion: means and logarithms of the variances, (B, D) each.  Returns a float32 scalar.
    """
    standard = (torch.zeros_like(text[0]), torch.zeros_like(text[1]))
    between = kl_divergence(text, motion) + kl_divergence(motion, text)
    return between + kl_divergence(text, standard) + kl_divergence(motion, standard)

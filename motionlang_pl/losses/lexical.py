"""How sparse lexical vectors are: FLOPS as the loss (SPLADE, Formal et al. 2021), active terms to watch."""

from __future__ import annotations

from torch import Tensor


def flops(vectors: Tensor) -> Tensor:
    """Expected multiplications between two sparse vectors: sum_v (mean_i |p_iv|)^2 (Paria et al. 2020, eq. 4).

    For raw vectors: of L2-normalised rows it is just their mean cosine, which no longer tells their size.

    vectors: (B, V), the whole batch of all processes.  Returns a float32 scalar.
    """
    return vectors.float().abs().mean(dim=0).square().sum()


def active_terms(vectors: Tensor) -> Tensor:
    """Mean number of terms with a weight above 0.  vectors: (B, V).  Returns a float32 scalar."""
    return (vectors > 0).sum(dim=1).float().mean()

"""What makes lexical vectors sparse: FLOPS (SPLADE, Formal et al. 2021), and a term that does not see scale."""

from __future__ import annotations

from torch import Tensor


def flops(vectors: Tensor) -> Tensor:
    """Expected multiplications between two sparse vectors: sum_v (mean_i |p_iv|)^2 (Paria et al. 2020, eq. 4).

    For raw vectors: of L2-normalised rows it is just their mean cosine, which no longer tells their size.

    vectors: (B, V), the whole batch of all processes.  Returns a float32 scalar.
    """
    return vectors.float().abs().mean(dim=0).square().sum()


def overuse(vectors: Tensor) -> Tensor:
    """How unevenly a batch uses the vocabulary: V sum_v (share of all weight that lies on v)^2, from 1 (evenly) to V.

    After the aim of LexVLA's overuse penalty (Li et al., NeurIPS 2024), in place of FLOPS: it makes hub words costly.
    Unlike FLOPS it does not see the scale of the vectors, so shrinking weights gains nothing. The form is ours.

    vectors: (B, V), non-negative, the whole batch of all processes.  Returns a float32 scalar, 0 where all are empty.
    """
    total = vectors.float().sum(dim=0)
    share = total / total.sum().clamp(min=1e-12)
    return vectors.shape[1] * share.square().sum()

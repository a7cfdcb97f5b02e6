"""What losses need across processes: representations gathered with gradient, and means over the global count.

Lightning's DDP averages gradients over ranks.  So a loss that every rank computes on the whole gathered batch, and a
mean that is written as `global_mean`, both give N processes the loss and gradients of one.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def gather(x: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, in rank order; identity on one process.

    Its backward sums the gradients that all ranks have with respect to this rank's rows.  Ranks may hold different
    numbers of rows.

    x: (B, ...) of a floating type.  Returns (sum of all B, ...).
    """
    if not _several():
        return x
    sizes = _sizes(x)
    everyone: Tensor = _AllGather.apply(_padded(x, max(sizes)))  # type: ignore[no-untyped-call]
    return _real_rows(everyone, sizes)


def gather_plain(x: Tensor) -> Tensor:
    """The same without gradient, for any dtype.  x: (B, ...).  Returns (sum of all B, ...)."""
    if not _several():
        return x.detach()
    sizes = _sizes(x)
    return _real_rows(_all_gather(_padded(x.detach(), max(sizes))), sizes)


def global_mean(total: Tensor, count: Tensor) -> Tensor:
    """A value whose mean over ranks is the sum of all totals over the sum of all counts; 0 when nothing is counted.

    total: scalar, with gradient.  count: integer scalar.  Returns a scalar.
    """
    ranks = 1
    if _several():
        ranks = dist.get_world_size()
        count = count.detach().clone()
        dist.all_reduce(count)
    return total * (ranks / count.clamp(min=1))


class _AllGather(torch.autograd.Function):
    """All ranks' rows of equal number; torch's own such functions are deprecated or private and renamed in 2.13."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        return _all_gather(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[dist.get_rank() * ctx.rows :][: ctx.rows]


def _all_gather(x: Tensor) -> Tensor:
    everyone = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(everyone, x)
    return torch.cat(everyone)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _sizes(x: Tensor) -> list[int]:
    return [int(size) for size in _all_gather(torch.tensor([len(x)], device=x.device))]


def _padded(x: Tensor, rows: int) -> Tensor:
    if len(x) < rows:
        x = F.pad(x, (0, 0) * (x.ndim - 1) + (0, rows - len(x)))
    return x.contiguous()


def _real_rows(everyone: Tensor, sizes: list[int]) -> Tensor:
    longest = max(sizes)
    if min(sizes) == longest:
        return everyone
    return torch.cat([everyone[rank * longest : rank * longest + size] for rank, size in enumerate(sizes)])

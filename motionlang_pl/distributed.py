"""What losses need across processes: representations gathered with gradient, and means over the global count.

Lightning's DDP averages gradients over ranks.  So a loss that every rank computes on the whole gathered batch, and a
mean that is written as `global_mean`, both give N processes the loss and gradients of one.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed import _functional_collectives as collectives

# torch 2.13 renames all_gather_tensor_autograd and warns at the old name
_all_gather = getattr(collectives, "all_gather_single_autograd", None) or collectives.all_gather_tensor_autograd


def gather(x: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, in rank order; identity on one process.

    Its backward sums the gradients that all ranks have with respect to this rank's rows.  Ranks may hold different
    numbers of rows.

    x: (B, ...) of a floating type.  Returns (sum of all B, ...).
    """
    if not _several():
        return x
    sizes = _sizes(x)
    world = dist.group.WORLD
    assert world is not None
    everyone: Tensor = _all_gather(_padded(x, max(sizes)), 0, world)
    return _real_rows(everyone, sizes)


def gather_plain(x: Tensor) -> Tensor:
    """The same without gradient, for any dtype.  x: (B, ...).  Returns (sum of all B, ...)."""
    if not _several():
        return x.detach()
    sizes = _sizes(x)
    padded = _padded(x.detach(), max(sizes))
    everyone = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(everyone, padded)
    return _real_rows(torch.cat(everyone), sizes)


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


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _sizes(x: Tensor) -> list[int]:
    mine = torch.tensor([len(x)], device=x.device)
    sizes = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, mine)
    return [int(size) for size in sizes]


def _padded(x: Tensor, rows: int) -> Tensor:
    if len(x) < rows:
        x = F.pad(x, (0, 0) * (x.ndim - 1) + (0, rows - len(x)))
    return x.contiguous()


def _real_rows(everyone: Tensor, sizes: list[int]) -> Tensor:
    longest = max(sizes)
    if min(sizes) == longest:
        return everyone
    return torch.cat([everyone[rank * longest : rank * longest + size] for rank, size in enumerate(sizes)])

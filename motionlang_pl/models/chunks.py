"""Cached gradients (GradCache, Gao et al., RepL4NLP 2021): a batch is encoded in chunks, its loss is that of the whole.

A chunk's activations are dropped once it is encoded. When the gradient of the loss comes back to a chunk, the chunk is
encoded again. So memory holds the activations of one chunk at a time, for the price of one more forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_chunks(encode: Callable[..., Any], chunk: int | None, *batch: Any) -> Any:
    """Call `encode(*batch)` for `chunk` rows at a time and join the results: the same values and gradients.

    A chunk draws the same dropout both times. `encode` must treat each row by itself and count nothing, as it is called
    twice. At least one argument must be a tensor on the device where it draws random numbers, because `checkpoint`
    saves that device's generator.

    encode: returns a tensor (B, ...) or a tuple of them.  chunk: rows; None encodes the whole batch at once.  batch:
    tensors, lists and tuples of them with B rows, or None.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk {chunk}: give a number of samples >= 1, or null to encode the batch at once")
    rows = _count(batch)
    if chunk is None or rows <= chunk:
        return encode(*batch)
    parts = [
        checkpoint(encode, *_rows(batch, slice(first, first + chunk)), use_reentrant=False)
        for first in range(0, rows, chunk)
    ]
    return _joined(parts)


def _count(batch: Any) -> int:
    return _count(batch[0]) if isinstance(batch, tuple) else len(batch)


def _rows(batch: Any, rows: slice) -> Any:
    if isinstance(batch, tuple):
        return _tuple_like(batch, [_rows(part, rows) for part in batch])
    return None if batch is None else batch[rows]


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return _tuple_like(parts[0], [_joined(list(column)) for column in zip(*parts, strict=True)])


def _tuple_like(example: tuple[Any, ...], values: list[Any]) -> tuple[Any, ...]:
    return type(example)(*values) if hasattr(example, "_fields") else tuple(values)

"""Cached gradients: the loss and gradients of the whole batch with one chunk's activations in memory."""

from __future__ import annotations

import weakref
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from motionlang_pl.data.batch import Motion
from motionlang_pl.losses.contrastive import info_nce
from motionlang_pl.models.chunks import in_chunks


class Pair(NamedTuple):
    tokens: Tensor
    mask: Tensor


def encoder(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 4))


def gradients(encode: nn.Module, vectors: Tensor) -> list[Tensor]:
    encode.zero_grad()
    info_nce(vectors @ vectors.T).backward()
    return [p.grad.clone() for p in encode.parameters()]


@pytest.mark.parametrize("chunk", [1, 3, 10, 64])
def test_chunks_give_the_vectors_and_gradients_of_the_whole(chunk: int) -> None:
    encode, x = encoder(), torch.randn(10, 5)
    whole, parts = encode(x), in_chunks(encode, chunk, x)
    torch.testing.assert_close(parts, whole)
    for mine, reference in zip(gradients(encode, parts), gradients(encode, whole), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-7)


def test_a_chunk_draws_the_same_dropout_when_it_is_encoded_again() -> None:
    encode, x = encoder(dropout=0.5), torch.randn(12, 5)
    torch.manual_seed(1)
    kept = torch.cat([encode(part) for part in x.split(4)])
    reference = gradients(encode, kept)
    torch.manual_seed(1)
    cached = in_chunks(encode, 4, x)
    torch.manual_seed(2)  # whatever is drawn between forward and backward
    assert torch.equal(cached, kept)
    assert all(torch.equal(a, b) for a, b in zip(gradients(encode, cached), reference, strict=True))


def test_memory_holds_the_activations_of_one_chunk() -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def encode(x: Tensor) -> Tensor:
        nonlocal most
        hidden = (x @ weight).exp()
        alive.append(weakref.ref(hidden))
        most = max(most, sum(reference() is not None for reference in alive))
        return hidden.square().sum(dim=1, keepdim=True)

    weight = torch.randn(5, 5, requires_grad=True)
    vectors = in_chunks(encode, 2, torch.randn(12, 5))
    info_nce(vectors @ vectors.T).backward()
    assert len(alive) == 12 and most == 1  # six chunks, each encoded twice


def test_tuples_lists_and_none_are_split_and_joined() -> None:
    def encode(motion: Motion, words: list[str], hidden: None) -> Pair:
        assert hidden is None and len(words) == len(motion.mask) <= 2
        return Pair(motion.features * 2, motion.mask)

    motion = Motion(torch.rand(5, 3, 2), torch.rand(5, 3) < 0.5)
    pair = in_chunks(encode, 2, motion, list("abcde"), None)
    assert isinstance(pair, Pair)
    assert torch.equal(pair.tokens, motion.features * 2) and torch.equal(pair.mask, motion.mask)

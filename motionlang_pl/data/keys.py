"""Keys: 64-bit hashes that all randomness about a sample is drawn from, whoever draws it and whenever."""

from __future__ import annotations

import hashlib

import numpy as np

_MASK = (1 << 64) - 1


def splitmix64(x: int) -> int:
    """One step of SplitMix64 (Steele, Lea and Flood 2014): a well mixed 64-bit number from any integer."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def key(*numbers: int) -> int:
    """A signed 64-bit hash of some integers, in order."""
    state = 0
    for number in numbers:
        state = splitmix64(state ^ splitmix64(number & _MASK))
    return signed(state)


def draw(sample_key: int, stream: str, below: int) -> int:
    """A number in [0, below), from a sample's key; another stream gives another number."""
    return (key(sample_key, text_key(stream)) & _MASK) % below


def share(sample_key: int, stream: str) -> float:
    """A number in [0, 1), from a sample's key."""
    return draw(sample_key, stream, 1 << 53) / (1 << 53)


def generator(sample_key: int, stream: str) -> np.random.Generator:
    """NumPy's generator of many numbers, from a sample's key."""
    return np.random.Generator(np.random.PCG64(key(sample_key, text_key(stream)) & _MASK))


def text_key(text: str) -> int:
    """A signed 64-bit hash of a text."""
    return signed(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def signed(x: int) -> int:
    """A 64-bit pattern as int64 reads it."""
    return x - (1 << 64) if x >> 63 else x

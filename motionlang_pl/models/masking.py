"""What masked modelling hides, drawn from each sample's key: the same on any device, rank, batch and padding.

Spans of MoLang (Kim et al. 2023, sec. 3.1), views of CMMM, words of BERT (Devlin et al. 2019) with LexMAE's inclusive
masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from motionlang_pl.models.tokenizer import Tokens

_SPANS = 4  # spans of frames in a view: long enough that a hidden pose cannot be read off its neighbours


def uniform(key: Tensor, stream: int, *shape: int) -> Tensor:
    """Uniform numbers in (0, 1) that depend on nothing but key, stream and place (splitmix64, Steele et al. 2014).

    Places count row by row, so a longer first dimension leaves the earlier numbers as they are.

    key: (B,) int64.  stream: which of a sample's independent draws; this module's own begin at 100.  Returns (B,
    *shape) float32.
    """
    place = torch.arange(math.prod(shape), device=key.device)
    bits = _mix(_mix(_mix(key) + _signed(stream * _GOLDEN))[:, None] + (place + 1) * _GOLDEN)
    fraction = (bits >> 41) & 0x7FFFFF  # 23 bits and a half: exact in float32, never 0 or 1
    return ((fraction.float() + 0.5) / 2**23).view(len(key), *shape)


def normal(key: Tensor, stream: int, *shape: int) -> Tensor:
    """Standard normal numbers keyed as `uniform` (Box and Muller 1958).  Returns (B, *shape) float32."""
    radius, angle = uniform(key, stream, *shape, 2).unbind(-1)
    return (-2 * radius.log()).sqrt() * (2 * math.pi * angle).cos()


def span_hidden(key: Tensor, mask: Tensor, joints: int, longest: int = 30) -> Tensor:
    """Hide one span of l ~ U(1, longest) real frames that starts at U(0, n - l), with all joints (MoLang, sec. 3.1).

    A clip of n < longest frames draws l ~ U(1, n).  key: (B,).  mask: (B, T).  Returns (B, T, J) bool.
    """
    place, count = _places(mask)
    draw = uniform(key, 101, 2)
    length = _integer(draw[:, 0], count.clamp(max=longest)) + 1
    start = _integer(draw[:, 1], count - length + 1)
    inside = (place >= start[:, None]) & (place < (start + length)[:, None]) & mask
    return inside[..., None].expand(-1, -1, joints)


def view_hidden(
    key: Tensor,
    stream: int,
    mask: Tensor,
    parts: Mapping[str, tuple[int, ...]],
    joints: int,
    ratio: float = 0.6,
    together: int = 1,
) -> Tensor:
    """Hide `ratio` of a motion for a view: spans of frames or whole body parts, each for half of the samples.

    Spans make up round(ratio * n) of the n real frames exactly; parts as many joints as come closest, at least one
    part. With `together` frames are counted, hidden and shown in groups of that many, from the first frame on.

    key: (B,).  stream: which view.  mask: (B, T).  parts: disjoint groups of joints by name.  Returns (B, T, J) bool.
    """
    member = torch.zeros(len(parts), joints, device=mask.device)
    for row, group in enumerate(parts.values()):
        member[row, list(group)] = 1
    first = 4 * stream + 1000
    spans = _spans(key, first, in_groups(mask, together), ratio)
    of_frames = spans.repeat_interleave(together, dim=1)[:, : mask.shape[1], None]
    of_joints = _whole_parts(key, first + 2, member, ratio)[:, None]
    by_frame = (uniform(key, first + 3) < 0.5)[:, None, None]
    return torch.where(by_frame, of_frames, of_joints) & mask[..., None]


def in_groups(mask: Tensor, together: int) -> Tensor:
    """Mark groups of frames with a real one among them.  mask: (B, T).  Returns (B, ceil(T / together)) bool."""
    padded = F.pad(mask, (0, -mask.shape[1] % together))
    return torch.unflatten(padded, 1, (-1, together)).any(dim=2)


def mask_tokens(
    key: Tensor, tokens: Tokens, stream: int, rate: float, also: Tensor | None, vocabulary: int, mask_id: int
) -> tuple[Tensor, Tensor]:
    """Choose words to predict; of these 80% become the mask token, 10% a random one, 10% stay (BERT, sec. 3.1).

    Only content is chosen, each word with probability `rate`, and at least one word of every caption that has any.
    With `also` (LexMAE's inclusive masks: the encoder's choice) those words are chosen too and `rate` holds for the
    rest: (0.5 - 0.3) / (1 - 0.3) on top of 30% gives 50%.

    key: (B,).  stream: which of a sample's readings.  also: (B, L) bool.  Returns ids (B, L) and chosen (B, L) bool.
    """
    choice, action, replacement = uniform(key, 3000 + stream, tokens.ids.shape[1], 3).unbind(-1)
    choice = choice.masked_fill(~tokens.content, 2.0)
    chosen = choice < rate
    if also is not None:
        chosen |= also & tokens.content
    lowest = (choice == choice.amin(dim=1, keepdim=True)) & tokens.content
    chosen |= lowest & ~chosen.any(dim=1, keepdim=True)
    random = (replacement * vocabulary).long()
    ids = tokens.ids.masked_fill(chosen & (action < 0.8), mask_id)
    ids = torch.where(chosen & (action >= 0.9), random, ids)
    return ids, chosen


def _signed(x: int) -> int:
    """The int64 with the lowest 64 bits of x."""
    return (x + 2**63) % 2**64 - 2**63


_GOLDEN = _signed(0x9E3779B97F4A7C15)  # splitmix64's constants
_FIRST, _SECOND = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _mix(x: Tensor) -> Tensor:
    """splitmix64's finalizer; int64 products wrap around, and shifts are made logical by masking the sign's copies."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * _FIRST
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * _SECOND
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def _places(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Number of each real frame among the real ones (B, T), and how many there are (B,)."""
    return mask.cumsum(dim=1) - 1, mask.sum(dim=1)


def _integer(draw: Tensor, size: Tensor) -> Tensor:
    """Integers of U(0, size - 1) from draws in (0, 1); 0 where size is below 1."""
    size = size.clamp(min=1)
    return torch.minimum((draw * size).long(), size - 1)


def _spans(key: Tensor, stream: int, mask: Tensor, ratio: float) -> Tensor:
    """Hide round(ratio * n) frames in at most `_SPANS` spans: hidden and visible frames are cut at random.  (B, T)."""
    place, count = _places(mask)
    hide = (count * ratio).round().long()
    shown = _integer(uniform(key, stream, _SPANS), (count - hide + 1)[:, None]).sort(dim=1).values
    cuts = _integer(uniform(key, stream + 1, _SPANS - 1), (hide + 1)[:, None]).sort(dim=1).values
    starts = shown + torch.cat((torch.zeros_like(hide)[:, None], cuts), dim=1)
    ends = shown + torch.cat((cuts, hide[:, None]), dim=1)
    inside = (place[..., None] >= starts[:, None]) & (place[..., None] < ends[:, None])
    return inside.any(dim=-1)


def _whole_parts(key: Tensor, stream: int, member: Tensor, ratio: float) -> Tensor:
    """Hide parts in random order while that brings the hidden joints closer to `ratio`.  member: (P, J) -> (B, J)."""
    order = uniform(key, stream, len(member)).argsort(dim=1)
    size = member.sum(dim=1)[order]
    middle = size.cumsum(dim=1) - size / 2
    taken = middle < ratio * member.sum()
    taken[:, 0] = True
    hidden = torch.zeros_like(taken).scatter(1, order, taken)
    return (hidden.float() @ member) > 0

from __future__ import annotations

import pytest
import torch

from motionlang_pl.models.masking import in_groups, mask_tokens, normal, span_hidden, uniform, view_hidden
from motionlang_pl.models.tokenizer import Tokens
from motionlang_pl.motion.skeleton import SMPL22

MANY = torch.arange(4000) * 7919 - 12345
JOINTS = len(SMPL22.joints)


def prefix(lengths: list[int], total: int) -> torch.Tensor:
    return torch.arange(total) < torch.tensor(lengths)[:, None]


def test_uniform_numbers_are_uniform_and_uncorrelated_between_keys_streams_and_places():
    x = uniform(MANY, 3, 5)
    assert x.min() > 0 and x.max() < 1
    assert x.mean().item() == pytest.approx(0.5, abs=0.01) and x.var().item() == pytest.approx(1 / 12, abs=0.003)
    y = uniform(MANY, 4, 5)
    pairs = ((x[:, 0], x[:, 1]), (x[:, 0], y[:, 0]), (x[1:, 0], x[:-1, 0]))
    assert all(abs(torch.corrcoef(torch.stack(pair))[0, 1]) < 0.05 for pair in pairs)


def test_numbers_depend_on_key_and_place_only():
    key = torch.tensor([5, -(2**63), 2**63 - 1])
    x = uniform(key, 1, 10, 3)
    assert torch.equal(uniform(key.flip(0), 1, 10, 3), x.flip(0))
    assert torch.equal(uniform(key[1:2], 1, 20, 3)[:, :10], x[1:2])
    assert torch.equal(normal(key, 1, 20, 3)[:, :10], normal(key, 1, 10, 3))


def splitmix(x: int) -> int:
    """The finalizer in unbounded Python integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
    return x ^ (x >> 31)


def test_uniform_numbers_are_splitmix64s():
    golden = 0x9E3779B97F4A7C15
    for key in (0, 42, -7):
        state = splitmix((splitmix(key % 2**64) + 9 * golden) % 2**64)
        expected = [((splitmix((state + place * golden) % 2**64) >> 41) + 0.5) / 2**23 for place in (1, 2, 3)]
        assert uniform(torch.tensor([key]), 9, 3)[0].tolist() == expected
    assert uniform(torch.tensor([0]), 1, 1).item() == pytest.approx(0.65244848)


def test_normal_numbers_are_standard():
    x = normal(MANY, 1, 10)
    assert x.isfinite().all()
    assert x.mean().item() == pytest.approx(0, abs=0.02) and x.std().item() == pytest.approx(1, abs=0.02)


def test_a_span_is_one_run_of_at_most_30_real_frames():
    mask = prefix([100, 40, 3, 1, 0] * 800, 120)
    hidden = span_hidden(MANY, mask, JOINTS)
    assert hidden.shape == (4000, 120, JOINTS)
    frames = hidden[..., 0]
    assert torch.equal(hidden, frames[..., None].expand_as(hidden))
    assert not (frames & ~mask).any()
    length, runs = frames.sum(1), (frames.int().diff(dim=1, prepend=torch.zeros(4000, 1).int()) == 1).sum(1)
    assert ((runs == 1) == mask.any(1)).all()
    longs, threes = length[mask.sum(1) == 100], length[mask.sum(1) == 3]
    assert (longs.min(), longs.max()) == (1, 30) and longs.float().mean().item() == pytest.approx(15.5, abs=0.8)
    assert (threes.min(), threes.max()) == (1, 3)
    first = frames[mask.sum(1) == 100]
    assert first[:, 0].any() and first[:, 99].any()  # it may begin with the clip and end with it


def test_a_view_hides_spans_of_frames_or_whole_body_parts():
    mask = prefix([100, 60, 7, 1, 0] * 800, 120)
    hidden = view_hidden(MANY, 1, mask, SMPL22.parts, JOINTS, 0.6)
    assert not (hidden & ~mask[..., None]).any()
    longs = hidden[mask.sum(1) == 100, :100]
    by_frame = (longs.all(2) == longs.any(2)).all(1)
    by_part = (longs.all(1) == longs.any(1)).all(1)
    assert (by_frame ^ by_part).all() and by_frame.float().mean().item() == pytest.approx(0.5, abs=0.06)
    spans = longs[by_frame][..., 0]
    assert (spans.sum(1) == 60).all()
    runs = (spans.int().diff(dim=1, prepend=torch.zeros(len(spans), 1).int()) == 1).sum(1)
    assert runs.min() >= 1 and runs.max() <= 4
    parts = longs[by_part][:, 0]
    for group in SMPL22.parts.values():
        assert (parts[:, list(group)].all(1) == parts[:, list(group)].any(1)).all()
    share = parts.float().mean(1)
    assert share.min() > 0.5 and share.max() < 0.7
    each = parts.float().mean(0)
    assert each.min() > 0.4 and each.max() < 0.8  # no part is always or never hidden


def test_views_differ_and_padding_changes_none():
    mask = prefix([50, 30, 20], 50)
    first, second = (view_hidden(MANY[:3], view, mask, SMPL22.parts, JOINTS) for view in (1, 2))
    assert not torch.equal(first, second)
    padded = torch.nn.functional.pad(mask, (0, 14))
    assert torch.equal(view_hidden(MANY[:3], 1, padded, SMPL22.parts, JOINTS)[:, :50], first)
    assert torch.equal(span_hidden(MANY[:3], padded, JOINTS)[:, :50], span_hidden(MANY[:3], mask, JOINTS))


def words(rows: int, length: int = 22) -> Tokens:
    """Rows of 20 words between two special tokens; of every fourth row all but the specials is padding."""
    ids = torch.arange(100, 100 + length).repeat(rows, 1)
    content = torch.ones(rows, length, dtype=torch.bool)
    content[:, 0] = content[:, -1] = False
    content[::4] = False
    mask = content.clone()
    mask[:, :1] = True
    return Tokens(ids, mask, content)


def test_words_are_chosen_at_the_rate_and_replaced_as_bert_does():
    tokens = words(4000)
    ids, chosen = mask_tokens(MANY, tokens, 1, 0.3, None, 1000, 4)
    assert not (chosen & ~tokens.content).any()
    assert chosen[tokens.content].float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(ids[~chosen], tokens.ids[~chosen])
    before, after = tokens.ids[chosen], ids[chosen]
    masked, kept = (after == 4).float().mean(), (after == before).float().mean()
    assert masked.item() == pytest.approx(0.8, abs=0.02) and kept.item() == pytest.approx(0.1, abs=0.02)
    others = after[(after != 4) & (after != before)]
    assert others.min() < 50 and others.max() > 950  # from the whole vocabulary


def test_the_decoder_mask_includes_the_encoders_and_covers_half():
    tokens = words(4000)
    _, encoder = mask_tokens(MANY, tokens, 1, 0.3, None, 1000, 4)
    _, decoder = mask_tokens(MANY, tokens, 2, (0.5 - 0.3) / (1 - 0.3), encoder, 1000, 4)
    assert (decoder | ~encoder).all() and not (decoder & ~tokens.content).any()
    assert decoder[tokens.content].float().mean().item() == pytest.approx(0.5, abs=0.01)


def test_every_caption_with_words_has_a_chosen_one():
    tokens = words(400, 4)
    _, chosen = mask_tokens(MANY[:400], tokens, 1, 0.001, None, 1000, 4)
    assert torch.equal(chosen.any(1), tokens.content.any(1))
    assert (chosen.sum(1) <= 1).all()


def test_padding_changes_no_masked_word():
    tokens = words(8)
    padded = Tokens(*(torch.nn.functional.pad(x, (0, 5)) for x in tokens))
    for x, y in zip(
        mask_tokens(MANY[:8], tokens, 1, 0.3, None, 1000, 4),
        mask_tokens(MANY[:8], padded, 1, 0.3, None, 1000, 4),
        strict=True,
    ):
        assert torch.equal(x, y[:, :22])


def test_frames_that_stand_together_are_hidden_together():
    mask = prefix([100, 61, 7, 1, 0] * 80, 120)
    hidden = view_hidden(MANY[:400], 1, mask, SMPL22.parts, JOINTS, 0.6, together=4)
    assert not (hidden & ~mask[..., None]).any()
    groups = hidden.unflatten(1, (-1, 4))
    real = mask.unflatten(1, (-1, 4))[..., None]
    assert torch.equal((groups | ~real).all(2) & real.any(2), groups.any(2))  # all real frames of a group, or none
    longs = hidden[mask.sum(1) == 100, :100]
    spans = longs[(longs.all(2) == longs.any(2)).all(1)][..., 0]
    assert len(spans) and (spans.sum(1) == 60).all()


def test_a_group_is_real_where_a_frame_of_it_is():
    assert in_groups(prefix([5, 4, 0], 6), 4).tolist() == [[True, True], [True, False], [False, False]]
    assert torch.equal(in_groups(prefix([5], 6), 1), prefix([5], 6))

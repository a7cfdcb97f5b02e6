from __future__ import annotations

import pytest
import torch

from motionlang_pl.data.batch import Motion, MotionSpec
from motionlang_pl.models.grid_motion_encoder import GridAdapter, GridMotionEncoder
from motionlang_pl.models.masking import view_hidden
from motionlang_pl.models.motion_encoder import encode_windows
from motionlang_pl.motion.features import COLUMNS
from motionlang_pl.motion.skeleton import MMM21, SMPL22, Skeleton

PARTS = 5


def spec(kind: str = "joints", skeleton: Skeleton = SMPL22) -> MotionSpec:
    size = 3 * len(skeleton.joints) if kind == "joints" else COLUMNS[kind]
    return MotionSpec(kind, skeleton.name, 20.0, torch.full((size,), 2.0), torch.full((size,), 4.0))


@pytest.fixture
def encoder() -> GridMotionEncoder:
    torch.manual_seed(0)
    return GridMotionEncoder(SMPL22, 16, 2, 2, 32, 0.0, patches=4)


@pytest.fixture
def adapter(encoder: GridMotionEncoder) -> GridAdapter:
    torch.manual_seed(1)
    return encoder.adapter(spec())


def motion(lengths: list[int], total: int, columns: int = 66) -> Motion:
    x = torch.randn(len(lengths), total, columns, generator=torch.Generator().manual_seed(total))
    mask = torch.arange(total) < torch.tensor(lengths)[:, None]
    return Motion(x * mask[..., None], mask)


def encode(encoder: GridMotionEncoder, adapter: GridAdapter, given: Motion):
    return encode_windows(encoder, adapter(given), adapter.real_tokens(given.mask))


@pytest.mark.parametrize(
    ("kind", "skeleton"),
    [
        ("joints", SMPL22),
        ("humanml3d", SMPL22),
        ("ik_rot6d", SMPL22),
        ("angles", SMPL22),
        ("joints", MMM21),
        ("kitml", MMM21),
    ],
)
def test_every_column_belongs_to_one_part_that_it_tells_about(kind: str, skeleton: Skeleton):
    module = GridAdapter(spec(kind, skeleton), 8)
    assert sorted(module.order.tolist()) == list(range(len(module.mean))) and min(module.sizes) > 0
    for part, places in enumerate(torch.split(module.order, module.sizes)):
        touched = module.column_joints[places].float() @ module.member[part]
        assert ((touched > 0) | ~module.column_joints[places].any(1)).all()


def test_cells_go_to_frames_as_frames_go_to_cells(adapter):
    """With projections that copy the first numbers of a cell, its frames come back where they were."""
    given = motion([8, 8], 8)
    wide = GridAdapter(spec(), 4 * max(adapter.sizes))
    with torch.no_grad():
        for layer in (*wide.input, *wide.output):
            layer.weight.copy_(torch.eye(*layer.weight.shape)), layer.bias.zero_()
    torch.testing.assert_close(wide.reconstruct(wide(given)), wide.standardise(given.features))


def test_tokens_are_the_cells_patch_by_patch(encoder, adapter):
    encoding = encode(encoder, adapter, motion([9, 4, 0], 10))
    assert encoding.tokens.shape == (3, 3 * PARTS, 16)
    assert encoding.mask.sum(1).tolist() == [15, 5, 0] and encoding.tokens.isfinite().all()
    assert (encoding.tokens[~encoding.mask] == 0).all()
    assert adapter.reconstruct(encoding.tokens).shape == (3, 12, 66)


def test_padding_and_batch_order_change_no_cell(encoder, adapter):
    given = motion([9, 5], 9)
    tight = encode(encoder, adapter, given)
    more = Motion(torch.nn.functional.pad(given.features, (0, 0, 0, 6)), torch.nn.functional.pad(given.mask, (0, 6)))
    wide = encode(encoder, adapter, more)
    torch.testing.assert_close(wide.tokens[:, :15], tight.tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(wide.summary, tight.summary, atol=1e-5, rtol=1e-5)
    swapped = encode(encoder, adapter, Motion(given.features.flip(0), given.mask.flip(0)))
    torch.testing.assert_close(swapped.tokens.flip(0), tight.tokens, atol=1e-5, rtol=1e-5)


def test_long_motions_are_read_in_windows_of_whole_patches(encoder, adapter):
    given = motion([29, 6], 29)
    long = encode(encoder, adapter, given)
    assert long.tokens.shape == (2, 8 * PARTS, 16)
    first = encode(encoder, adapter, Motion(given.features[:, :16], given.mask[:, :16]))
    torch.testing.assert_close(long.tokens[0, : 3 * PARTS], first.tokens[0, : 3 * PARTS], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(long.tokens[1, : 2 * PARTS], first.tokens[1, : 2 * PARTS], atol=1e-5, rtol=1e-5)


def test_a_hidden_cell_tells_nothing_of_its_frames_and_the_trunk_is_told(adapter):
    given = motion([12, 12], 12)
    key = torch.arange(2)
    hidden = view_hidden(key, 1, given.mask, SMPL22.parts, len(SMPL22.joints), 0.6, together=4)
    tokens = adapter(given, hidden)
    changed = given.features + 7.0 * adapter.hidden_columns(hidden)
    assert torch.equal(adapter(Motion(changed, given.mask), hidden), tokens)
    cells = (hidden.float() @ adapter.member.T).unflatten(1, (-1, 4)).sum(2).flatten(1) > 0
    plain = adapter(given)
    differs = (tokens - plain).abs().amax(-1) > 1e-6
    assert torch.equal(differs, cells)  # of joints, whose columns tell of one joint and frame, the rest stays as it was


def test_parts_and_patches_have_places_of_their_own(encoder):
    places = encoder.places(1 + 4 * PARTS)
    assert places.shape == (21, 16) and len(places.unique(dim=0)) == 21
    torch.testing.assert_close(places[1 + PARTS] - places[1], places[2 + PARTS] - places[2])


def test_every_parameter_is_trained(encoder, adapter):
    given = motion([12, 12], 12)
    hidden = view_hidden(torch.arange(2), 1, given.mask, SMPL22.parts, len(SMPL22.joints), 0.6, together=4)
    encoding = encode_windows(encoder, adapter(given, hidden), adapter.real_tokens(given.mask))
    adapter.reconstruct(encoding.tokens).square().sum().backward()
    assert all(p.grad is not None for module in (encoder, adapter) for p in module.parameters())


def test_an_odd_number_of_patches_is_refused():
    with pytest.raises(ValueError, match="patches 3: give an even number"):
        GridMotionEncoder(SMPL22, 16, 1, 2, 32, patches=3)

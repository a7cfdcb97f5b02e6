from __future__ import annotations

import pytest
import torch
from torch import nn

from motionlang_pl.models.motion_encoder import (
    GraphBottleneck,
    MotionEncoder,
    PrintedGraphBottleneck,
    encode_windows,
)
from motionlang_pl.motion.skeleton import SMPL22

WIDTH = 32


@pytest.fixture
def encoder() -> MotionEncoder:
    torch.manual_seed(0)
    return MotionEncoder(SMPL22, WIDTH, 3, 4, 64, 0.0, max_frames=20, graph_after=2)


def prefix(lengths: list[int], total: int) -> torch.Tensor:
    return torch.arange(total) < torch.tensor(lengths)[:, None]


def frames(count: int, total: int) -> torch.Tensor:
    return torch.randn(count, total, WIDTH, generator=torch.Generator().manual_seed(count))


def close(a, b) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_padding_frames_and_batch_order_do_not_change_the_encoding(encoder):
    x, lengths = frames(3, 12), [12, 7, 1]
    together = encoder(x, prefix(lengths, 12))
    for order in ([2, 0, 1], [1, 2, 0]):
        permuted = encoder(x[order], prefix(lengths, 12)[order])
        close(permuted.tokens, together.tokens[order])
        close(permuted.summary, together.summary[order])
    for i, length in enumerate(lengths):
        alone = encoder(x[i : i + 1, :length], torch.ones(1, length, dtype=torch.bool))
        close(alone.summary, together.summary[i : i + 1])
        close(alone.tokens, together.tokens[i : i + 1, :length])
        assert (together.tokens[i, length:] == 0).all()
    other = x.masked_fill(~prefix(lengths, 12)[..., None], 99.0)
    close(encoder(other, prefix(lengths, 12)).summary, together.summary)


def test_every_frame_reaches_the_summary_and_every_token(encoder):
    x = frames(1, 8).requires_grad_()
    encoding = encoder(x, torch.ones(1, 8, dtype=torch.bool))
    for value in (encoding.summary[0, 0], encoding.tokens[0, 7, 0], encoding.tokens[0, 0, 0]):
        (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
        assert (gradient.abs().sum(-1) > 0).all()


def test_positions_tell_frames_apart(encoder):
    x = frames(1, 6)
    mask = torch.ones(1, 6, dtype=torch.bool)
    assert not torch.allclose(encoder(x, mask).summary, encoder(x.flip(1), mask).summary, atol=1e-4)


def test_a_clip_of_nothing_but_padding_is_finite_in_value_and_gradient(encoder):
    x = frames(2, 5).requires_grad_()
    encoding = encoder(x, prefix([5, 0], 5))
    assert encoding.summary.isfinite().all() and encoding.tokens.isfinite().all()
    (encoding.summary.sum() + encoding.tokens.sum()).backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
    assert x.grad.isfinite().all() and (x.grad[1] == 0).all()


def test_without_dropout_training_equals_evaluation(encoder):
    x, mask = frames(2, 9), prefix([9, 4], 9)
    close(encoder.train()(x, mask).summary, encoder.eval()(x, mask).summary)


def test_dropout_changes_training_only():
    module = MotionEncoder(SMPL22, WIDTH, 1, 4, 64, 0.5, 20, 0)
    x, mask = frames(2, 9), prefix([9, 4], 9)
    assert not torch.allclose(module(x, mask).summary, module(x, mask).summary)
    assert torch.equal(module.eval()(x, mask).summary, module(x, mask).summary)


def test_bfloat16_autocast_runs_forward_and_backward(encoder):
    with torch.autocast("cpu", torch.bfloat16):
        encoding = encode_windows(encoder, frames(2, 30), prefix([30, 4], 30))
    (encoding.summary.float().square().sum() + encoding.tokens.float().sum()).backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_the_graph_bottleneck_mixes_a_joint_with_its_neighbours_only():
    torch.manual_seed(0)
    mixing = GraphBottleneck(WIDTH, SMPL22).mixing
    wrist, elbow, pelvis = (SMPL22.joints.index(name) for name in ("left_wrist", "left_elbow", "pelvis"))
    assert mixing[wrist].nonzero()[:, 0].tolist() == sorted([elbow, wrist])
    assert mixing[wrist, wrist].item() == pytest.approx(1 / 2)
    assert mixing[wrist, elbow].item() == pytest.approx(1 / (2**0.5 * 3**0.5))
    assert mixing[pelvis].count_nonzero() == 4
    torch.testing.assert_close(mixing, mixing.T)


def test_the_printed_bottleneck_sums_over_the_neighbours_without_the_joint_itself():
    joints = SMPL22.joints
    wrist, elbow, pelvis = (joints.index(name) for name in ("left_wrist", "left_elbow", "pelvis"))
    printed = PrintedGraphBottleneck(WIDTH, SMPL22)
    assert printed.mixing[wrist].nonzero()[:, 0].tolist() == [elbow]
    assert set(printed.mixing.unique().tolist()) == {0.0, 1.0}
    with torch.no_grad():
        printed.along_bones.weight.copy_(torch.eye(32))
    own = torch.ones(1, 1, len(joints), 32)
    seen = []
    printed.unfold.register_forward_hook(lambda *_: own.flatten(-2))
    printed.fold.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].unflatten(-1, (len(joints), 32))))
    printed(torch.zeros(1, 1, WIDTH))
    torch.testing.assert_close(seen[0][0, 0, pelvis], nn.functional.gelu(torch.full((32,), 3.0)))
    torch.testing.assert_close(seen[0][0, 0, wrist], nn.functional.gelu(torch.ones(32)))


def test_the_two_bottlenecks_cannot_take_over_each_others_weights():
    normalised, printed = (graph(WIDTH, SMPL22).state_dict() for graph in (GraphBottleneck, PrintedGraphBottleneck))
    assert set(normalised) - set(printed) == {"along_bones.bias"} and set(printed) <= set(normalised)


def test_graph_after_0_leaves_the_bottleneck_out_and_a_layer_too_many_is_refused():
    names = dict(MotionEncoder(SMPL22, WIDTH, 2, 4, 64, 0.0, 20, graph_after=0).named_modules())
    assert not any(isinstance(module, GraphBottleneck) for module in names.values())
    with pytest.raises(ValueError, match="graph_after 4 must be 0"):
        MotionEncoder(SMPL22, WIDTH, 2, 4, 64)
    with pytest.raises(ValueError, match="5 heads do not divide the width 32"):
        MotionEncoder(SMPL22, WIDTH, 2, 5, 64, graph_after=0)


def test_too_many_frames_are_refused_by_name_of_the_way_out(encoder):
    with pytest.raises(ValueError, match="21 frames exceed the encoder's 20; crop them or use encode_windows"):
        encoder(frames(1, 21), torch.ones(1, 21, dtype=torch.bool))


def test_a_motion_that_fits_is_one_window_whatever_else_is_in_the_batch(encoder):
    x, lengths = frames(4, 47), [47, 20, 5, 0]
    mask = prefix(lengths, 47)
    together = encode_windows(encoder, x, mask)
    assert together.tokens.shape == (4, 47, WIDTH)
    for i in (1, 2, 3):
        alone = encoder(x[i : i + 1, :20], mask[i : i + 1, :20])
        close(together.summary[i : i + 1], alone.summary)
        close(together.tokens[i : i + 1, :20], alone.tokens)


def test_a_long_motion_is_the_mean_of_windows_that_overlap_by_half(encoder):
    x = frames(1, 47)
    mask = prefix([37], 47)
    encoding = encode_windows(encoder, x, mask)
    windows = [encoder(x[:, start : start + 20], mask[:, start : start + 20]) for start in (0, 10, 20)]
    close(encoding.summary, torch.stack([one.summary for one in windows]).mean(0))
    close(encoding.tokens[:, :15], windows[0].tokens[:, :15])
    close(encoding.tokens[:, 15:25], windows[1].tokens[:, 5:15])
    close(encoding.tokens[:, 25:37], windows[2].tokens[:, 5:17])
    assert (encoding.tokens[:, 37:] == 0).all()


@pytest.mark.parametrize("length", [21, 29, 30, 31, 40, 41])
def test_long_motions_are_encoded_alike_under_any_padding(encoder, length):
    x = frames(1, 63)
    tight = encode_windows(encoder, x[:, :length], prefix([length], length))
    padded = encode_windows(encoder, x, prefix([length], 63))
    close(tight.summary, padded.summary)
    close(tight.tokens, padded.tokens[:, :length])


def test_every_parameter_of_the_trunk_is_trained_by_its_tokens(encoder):
    encoder(frames(2, 9), prefix([9, 4], 9)).tokens.square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


def test_layers_start_at_a_deviation_of_a_fiftieth(encoder):
    weights = torch.cat([m.weight.flatten() for m in encoder.modules() if isinstance(m, nn.Linear | nn.Embedding)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)
    assert all((m.bias == 0).all() for m in encoder.modules() if isinstance(m, nn.Linear))

"""The variational encoders are ACTOR's: torch's own transformer layers with the same weights compute the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from motionlang_pl.models.variational import Gaussian, LatentDecoder, Sizes, VariationalEncoder, sinusoids

SIZES = Sizes(width=16, depth=2, heads=4, feedforward=32, dropout=0.1)
TORCHS = {"dim_feedforward": 32, "dropout": 0.1, "activation": "gelu", "batch_first": True}


def lengths_mask(*lengths: int) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def copy_shared(ours: VariationalEncoder | LatentDecoder, theirs: nn.Module, norms: tuple[str, str]) -> None:
    """The weights of self-attention, feed-forward and their norms."""
    for own, layer in zip(ours.layers, theirs.layers, strict=True):
        attention, feedforward = own.attention, own.feedforward
        layer.self_attn.in_proj_weight.copy_(attention.qkv.weight)
        layer.self_attn.in_proj_bias.copy_(attention.qkv.bias)
        layer.self_attn.out_proj.load_state_dict(attention.attended.state_dict())
        layer.linear1.load_state_dict(feedforward.layers[0].state_dict())
        layer.linear2.load_state_dict(feedforward.layers[3].state_dict())
        getattr(layer, norms[0]).load_state_dict(attention.norm.state_dict())
        getattr(layer, norms[1]).load_state_dict(feedforward.norm.state_dict())


@torch.no_grad()
def test_the_encoder_equals_torchs_transformer_encoder():
    encoder = VariationalEncoder(SIZES).eval()
    theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, **TORCHS), 2, enable_nested_tensor=False).eval()
    copy_shared(encoder, theirs, ("norm1", "norm2"))
    states, mask = torch.randn(3, 7, 16), lengths_mask(7, 5, 2)
    x = torch.cat((encoder.tokens.expand(3, 2, 16), states), dim=1)
    real = torch.cat((torch.ones(3, 2, dtype=torch.bool), mask), dim=1)
    expected = theirs(x + sinusoids(9, x), src_key_padding_mask=~real)
    mean, log_variance = encoder(states, mask)
    torch.testing.assert_close(mean, expected[:, 0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(log_variance, expected[:, 1], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_decoder_equals_torchs_transformer_decoder_over_one_latent():
    decoder = LatentDecoder(SIZES).eval()
    theirs = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 4, **TORCHS), 2).eval()
    copy_shared(decoder, theirs, ("norm1", "norm3"))
    for own, layer in zip(decoder.layers, theirs.layers, strict=True):
        told, cross = own.latent, layer.multihead_attn
        values, out = cross.in_proj_weight[32:], cross.out_proj  # attention to one vector is two linear maps of it
        told.value.weight.copy_(out.weight @ values)
        told.value.bias.copy_(out.bias + out.weight @ cross.in_proj_bias[32:])
        layer.norm2.load_state_dict(told.norm.state_dict())
    latent, mask = torch.randn(3, 16), lengths_mask(7, 5, 2)
    queries = sinusoids(7, latent).expand(3, 7, 16)
    expected = theirs(queries, latent[:, None], tgt_key_padding_mask=~mask)
    torch.testing.assert_close(decoder(latent, mask)[mask], expected[mask], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_padding_and_company_change_no_latent_and_no_decoded_frame():
    encoder, decoder = VariationalEncoder(SIZES).eval(), LatentDecoder(SIZES).eval()
    states, mask = torch.randn(2, 9, 16), lengths_mask(9, 4)
    together, alone = encoder(states, mask), encoder(states[1:, :4], mask[1:, :4])
    torch.testing.assert_close(together.mean[1:], alone.mean, rtol=1e-5, atol=1e-5)
    latent = torch.randn(2, 16)
    torch.testing.assert_close(decoder(latent, mask)[1:, :4], decoder(latent[1:], mask[1:, :4]), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_motion_of_nothing_but_padding_has_finite_latents_and_frames():
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    gaussian = VariationalEncoder(SIZES).eval()(torch.randn(2, 3, 16), nothing)
    assert gaussian.mean.isfinite().all() and gaussian.log_variance.isfinite().all()
    assert LatentDecoder(SIZES).eval()(gaussian.mean, nothing).isfinite().all()


def test_a_sample_is_the_mean_plus_deviation_times_noise():
    gaussian = Gaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]).log1p())  # variances 1 and 5
    noise = torch.tensor([[2.0, -1.0]])
    torch.testing.assert_close(gaussian.sample(noise), torch.tensor([[3.0, 2 - 5**0.5]]))


def test_positions_are_sines_and_cosines_in_turn():
    positions = sinusoids(3, torch.zeros(1, 4))
    expected = [[0, 1, 0, 1], [0.841471, 0.540302, 0.01, 0.99995], [0.909297, -0.416147, 0.019999, 0.9998]]
    torch.testing.assert_close(positions, torch.tensor(expected), rtol=0, atol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="3 heads do not divide the width 16"):
        VariationalEncoder(Sizes(width=16, heads=3))

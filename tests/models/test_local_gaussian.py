from __future__ import annotations

import pytest
import torch

from motionlang_pl.models.local_gaussian import (
    GaussianBias,
    GaussianPoses,
    LocalGaussian,
    LocalGaussianJoints,
    LocalLayer,
    PoseRefiner,
    Unrefined,
    bones_between,
)
from motionlang_pl.motion.skeleton import skeleton

SMPL = skeleton("smpl22")
ALL = [LocalGaussian, LocalGaussianJoints, GaussianPoses, Unrefined]


def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(4, 12, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(12) < torch.tensor([12, 7, 1, 0])[:, None]
    return x.masked_fill(~mask[..., None], 0.0), mask


def build(kind: type[PoseRefiner]) -> PoseRefiner:
    torch.manual_seed(0)
    return kind(32, SMPL).eval()


def test_the_bias_of_a_head_is_minus_half_a_squared_distance_in_its_sigma() -> None:
    bias = GaussianBias(3, 1.0, 4.0)
    torch.testing.assert_close(bias.sigma, torch.tensor([1.0, 2.0, 4.0]))
    distance = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    expected = torch.tensor([[0, -2.0], [-2.0, 0]])[None] / torch.tensor([1.0, 4.0, 16.0])[:, None, None]
    torch.testing.assert_close(bias(distance), expected)


def test_heads_start_from_2_to_16_frames() -> None:
    torch.testing.assert_close(LocalLayer(32, 4, 64, 0.0).locality.sigma, torch.tensor([2.0, 4.0, 8.0, 16.0]))


def test_attention_falls_off_as_a_gaussian_of_time() -> None:
    """With equal queries and keys everywhere the attention weights are the Gaussian itself."""
    layer = LocalLayer(8, 1, 8, 0.0, least=2.0, most=2.0)
    with torch.no_grad():
        for module in (layer.attended, layer.feedforward[3]):
            module.weight.zero_(), module.bias.zero_()
        layer.qkv.weight.zero_(), layer.qkv.bias.zero_()
        layer.qkv.weight[16:].copy_(torch.eye(8)), layer.attended.weight.copy_(torch.eye(8))
        x = torch.zeros(1, 9, 8)
        x[0, 4, 0] = 1.0  # one frame says something; the others are constant, so 0 after normalisation
        mask = torch.ones(1, 9, dtype=torch.bool)
        change = (layer(x, mask) - x)[0, :, 0]
        place = torch.arange(9.0)
        gauss = (-((place[:, None] - place) ** 2) / 8).softmax(dim=1)[:, 4]
        torch.testing.assert_close(change, gauss * layer.attention_norm(x)[0, 4, 0])


def test_a_long_clip_is_refined_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refiner, (x, mask) = build(LocalGaussian), tokens()
    whole = refiner(x, mask)[0]
    monkeypatch.setattr("motionlang_pl.models.local_gaussian.ROWS", 5)
    torch.testing.assert_close(refiner(x, mask)[0], whole)


def test_sigmas_are_learnt() -> None:
    refiner = build(LocalGaussian)
    x, mask = tokens()
    refiner(x, mask)[0].square().sum().backward()
    assert (refiner.layers[0].locality.raw.grad != 0).all()


def test_bones_between_joints() -> None:
    hops = bones_between(SMPL)
    name = SMPL.joints.index
    assert hops[name("pelvis"), name("pelvis")] == 0
    assert hops[name("left_hip"), name("right_hip")] == 2  # over the pelvis
    assert hops[name("left_knee"), name("left_foot")] == 2
    assert torch.equal(hops, hops.T) and hops.max() < len(SMPL.joints)


@pytest.mark.parametrize("kind", ALL)
def test_padding_and_company_do_not_change_a_token(kind: type[PoseRefiner]) -> None:
    refiner, (x, mask) = build(kind), tokens()
    whole, costs = refiner(x, mask)
    assert (whole[~mask] == 0).all() and (costs[~mask] == 0).all()
    alone, cost = refiner(x[1:2, :7], mask[1:2, :7])
    torch.testing.assert_close(whole[1:2, :7], alone)
    torch.testing.assert_close(costs[1:2, :7], cost)
    rubbish = x + 9.0 * ~mask[..., None]
    torch.testing.assert_close(refiner(rubbish, mask)[0][mask], whole[mask])


@pytest.mark.parametrize("kind", [LocalGaussian, LocalGaussianJoints, GaussianPoses])
def test_gradients_are_finite_beside_a_clip_of_nothing_but_padding(kind: type[PoseRefiner]) -> None:
    refiner, (x, mask) = build(kind).train(), tokens()
    out, cost = refiner(x.requires_grad_(), mask, torch.arange(4))
    assert out.isfinite().all()
    (out.square().sum() + cost.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in refiner.parameters())
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("kind", ALL)
def test_only_poses_as_gaussians_cost_anything(kind: type[PoseRefiner]) -> None:
    _, costs = build(kind)(*tokens())
    assert (costs > 0).any() == (kind is GaussianPoses)


def test_unrefined_tokens_are_the_trunks() -> None:
    x, mask = tokens()
    assert torch.equal(Unrefined(32, SMPL)(x, mask)[0], x)
    assert not list(Unrefined(32, SMPL).parameters())


def test_refining_works_under_bfloat16_autocast() -> None:
    x, mask = tokens()
    for kind in ALL:
        refiner = build(kind)
        with torch.autocast("cpu", torch.bfloat16):
            mixed, _ = refiner(x, mask)
        torch.testing.assert_close(mixed.float(), refiner(x, mask)[0], rtol=0.05, atol=0.05)


class TestGaussianPoses:
    def test_evaluation_reads_the_mean(self) -> None:
        refiner, (x, mask) = build(GaussianPoses), tokens()
        mean = x + refiner.shift(refiner.norm(x))
        torch.testing.assert_close(refiner(x, mask)[0][mask], mean[mask])

    def test_a_draw_depends_on_the_key_alone(self) -> None:
        refiner, (x, mask) = build(GaussianPoses), tokens()
        key = torch.tensor([5, 6, 7, 8])
        drawn, _ = refiner(x, mask, key)
        torch.testing.assert_close(refiner(x[1:2, :7], mask[1:2, :7], key[1:2])[0], drawn[1:2, :7])
        assert not torch.equal(refiner(x, mask, key + 1)[0], drawn)

    def test_draws_deviate_by_sigma_from_the_mean(self) -> None:
        refiner = build(GaussianPoses)
        x, mask = torch.randn(64, 20, 32), torch.ones(64, 20, dtype=torch.bool)
        noise = refiner(x, mask, torch.arange(64))[0] - refiner(x, mask)[0]
        sigma = (refiner.log_variance(refiner.norm(x)) / 2).exp()
        assert (noise / sigma).std().item() == pytest.approx(1.0, abs=0.02)
        assert sigma.mean().item() == pytest.approx(0.1, abs=0.02)

    def test_the_cost_is_the_divergence_from_the_standard_gaussian(self) -> None:
        refiner, (x, mask) = build(GaussianPoses), tokens()
        mean = refiner(x, mask)[0]
        sigma = (refiner.log_variance(refiner.norm(x)) / 2).exp()
        gaussian = torch.distributions.Normal(mean, sigma)
        expected = torch.distributions.kl_divergence(gaussian, torch.distributions.Normal(0.0, 1.0)).mean(-1)
        torch.testing.assert_close(refiner(x, mask)[1][mask], 1e-5 * expected[mask])
        assert refiner.divergence == 1e-5

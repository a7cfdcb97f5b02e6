from __future__ import annotations

import math

import pytest
import torch

from motionlang_pl.models import heads
from motionlang_pl.models.encoding import Encoding
from motionlang_pl.models.heads import (
    DisentanglementHead,
    FrameProjection,
    LexicalHead,
    ResidualProjection,
    WordKeepingHead,
    lexical_max,
    lexical_vector,
)
from motionlang_pl.models.tokenizer import Tokens


@pytest.fixture
def head() -> LexicalHead:
    torch.manual_seed(0)
    return LexicalHead(8, 30)


def states(rows: int = 5, tokens: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, words = torch.randn(rows, tokens, 8, generator=generator), torch.randn(30, 8, generator=generator)
    mask = torch.arange(tokens) < torch.tensor([7, 3, 1, 0, 5])[:rows, None]
    return x, mask, words


def test_pooling_takes_the_largest_logit_of_real_tokens_only():
    logits = torch.tensor([[[1.0, -5.0], [3.0, -4.0], [9.0, 9.0]]])
    mask = torch.tensor([[True, True, False]])
    maxima = lexical_max(logits, mask)
    assert maxima.tolist() == [[3.0, -4.0]]
    torch.testing.assert_close(lexical_vector(maxima), torch.tensor([[4.0, 1.0]]).log())


def test_padding_and_batch_order_do_not_change_term_weights(head):
    x, mask, words = states()
    vectors = lexical_vector(head.maxima(x, mask, words))
    padded = torch.cat((x, torch.full((5, 4, 8), 50.0)), dim=1)
    torch.testing.assert_close(
        lexical_vector(head.maxima(padded, torch.nn.functional.pad(mask, (0, 4)), words)), vectors, atol=1e-5, rtol=1e-5
    )
    order = [3, 1, 4, 0, 2]
    torch.testing.assert_close(lexical_vector(head.maxima(x[order], mask[order], words)), vectors[order])


def test_a_row_without_tokens_has_no_terms_and_finite_gradients(head):
    x, mask, words = states()
    x.requires_grad_()
    vectors = lexical_vector(head.maxima(x, mask, words))
    assert (vectors[3] == 0).all() and vectors.isfinite().all()
    vectors.sum().backward()
    assert x.grad.isfinite().all() and (x.grad[3] == 0).all()
    assert all(p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("most", [1, 3 * 30, 7 * 30, 2 * 7 * 30, 3 * 7 * 30])
def test_pooling_in_parts_gives_the_value_and_gradient_of_pooling_at_once(head, monkeypatch, most):
    x, mask, words = states()
    x.requires_grad_(), words.requires_grad_()
    weights = torch.randn(5, 30, generator=torch.Generator().manual_seed(1))
    results = []
    for bound in (heads._MOST_LOGITS, most):
        monkeypatch.setattr(heads, "_MOST_LOGITS", bound)
        maxima = head.maxima(x, mask, words)
        gradients = torch.autograd.grad((lexical_vector(maxima) * weights).sum(), [x, words, *head.parameters()])
        results.append([maxima, *gradients])
    for at_once, in_parts in zip(*results, strict=True):
        torch.testing.assert_close(in_parts, at_once, rtol=2e-5, atol=1e-5)
    torch.testing.assert_close(results[0][0], lexical_max(head(x, words), mask))


def test_term_weights_are_float32_under_bfloat16_autocast(head):
    x, mask, words = states()
    with torch.autocast("cpu", torch.bfloat16):
        vectors = lexical_vector(head.maxima(x, mask, words))
    assert vectors.dtype == torch.float32
    vectors.sum().backward()
    assert head.dense.weight.grad.isfinite().all()


def test_a_head_like_another_starts_as_its_copy_and_goes_its_own_way(head):
    other = LexicalHead.like(head)
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), other.parameters(), strict=True))
    with torch.no_grad():
        other.bias.add_(1)
    assert (head.bias == 0).all()


def test_tokens_of_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="frame_stride 0"):
        FrameProjection(1, 1, stride=0)


def test_a_projected_token_is_the_mean_of_the_real_frames_of_its_group():
    module = FrameProjection(1, 1, stride=4)
    with torch.no_grad():
        module.linear.weight.fill_(1), module.linear.bias.fill_(0)
    frames = torch.tensor([[1.0, 2, 3, 6, 10, 20, 99]])[..., None]
    mask = torch.tensor([[True] * 6 + [False]])
    projected = module(Encoding(frames, mask, torch.tensor([[7.0]])))
    assert projected.tokens[..., 0].tolist() == [[3.0, 15.0]]
    assert projected.mask.tolist() == [[True, True]] and projected.summary.tolist() == [[7.0]]


@pytest.mark.parametrize("total", [9, 12, 17])
def test_padding_frames_do_not_change_projected_tokens(total):
    torch.manual_seed(0)
    module, frames = FrameProjection(6, 5), torch.randn(2, 9, 6)
    mask = torch.arange(9) < torch.tensor([9, 3])[:, None]
    summary = torch.zeros(2, 6)
    tight = module(Encoding(frames, mask, summary))
    more = total - 9
    padded = torch.cat((frames, torch.full((2, more, 6), 9.0)), dim=1)
    wide = module(Encoding(padded, torch.nn.functional.pad(mask, (0, more)), summary))
    torch.testing.assert_close(wide.tokens[:, :3][tight.mask], tight.tokens[tight.mask])
    assert tight.mask.tolist() == [[True, True, True], [True, False, False]]
    assert wide.mask.sum(1).tolist() == [3, 1]


def test_a_motion_of_padding_projects_to_finite_tokens():
    module = FrameProjection(6, 5)
    tokens = torch.randn(1, 5, 6, requires_grad=True)
    projected = module(Encoding(tokens, torch.zeros(1, 5, dtype=torch.bool), torch.zeros(1, 6)))
    assert not projected.mask.any() and projected.tokens.isfinite().all()
    projected.tokens.sum().backward()
    assert (tokens.grad == 0).all()


def test_every_parameter_is_trained_by_the_tokens_alone():
    module = FrameProjection(6, 5)
    module(
        Encoding(torch.randn(1, 5, 6), torch.ones(1, 5, dtype=torch.bool), torch.zeros(1, 6))
    ).tokens.sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_a_residual_projection_is_the_norm_of_a_projection_and_its_perceptron():
    torch.manual_seed(0)
    head, x = ResidualProjection(6, 4, dropout=0.5).eval(), torch.randn(3, 6)
    projected = head.projection(x)
    expected = projected + head.dense(torch.nn.functional.gelu(projected))
    expected = (expected - expected.mean(1, keepdim=True)) / (expected.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(head(x), expected)


def test_settling_makes_every_term_active_in_a_share_of_the_samples():
    maxima = torch.tensor([[1.0, 90.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0], [5.0, 50.0], [-math.inf] * 2])
    head = LexicalHead(8, 2)
    head.settle(maxima, 0.5)
    assert head.bias.tolist() == [-3.0, -40.0]  # medians: a word that is always likely is as often active as a rare one
    head.settle(maxima, 0.25)
    assert head.bias.tolist() == [-3.0 - 4.0, -40.0 - 50.0]
    head.settle(torch.full((1, 2), -math.inf), 0.5)
    assert head.bias.isfinite().all()


def test_disentangled_weights_are_elu_plus_1_of_the_strongest_terms():
    head = DisentanglementHead(8, 5, k=2, skip=1)
    maxima = torch.tensor([[-math.inf, 1.0, 0.0, -1.0, -9.0]])
    torch.testing.assert_close(head.weights(maxima), torch.tensor([[0.0, 2.0, 1.0, 0.0, 0.0]]))
    everything = DisentanglementHead(8, 5, k=768).weights(maxima)
    torch.testing.assert_close(everything, torch.tensor([[0.0, 2.0, 1.0, math.exp(-1), math.exp(-9)]]))
    assert (everything[0, 1:] > 0).all()  # elu + 1 has no exact zeros


def test_a_word_keeping_head_also_keeps_the_words_that_a_text_says():
    head = WordKeepingHead(8, 5, k=1)
    maxima = torch.tensor([[0.0, 1.0, 0.0, -1.0, -2.0]])
    ids, real = torch.tensor([[0, 3, 2]]), torch.tensor([[False, True, False]])  # special, a word, padding
    said = head.weights(maxima, Tokens(ids, torch.ones(1, 3, dtype=torch.bool), real))
    torch.testing.assert_close(said, torch.tensor([[0.0, 2.0, 0.0, math.exp(-1), 0.0]]))
    torch.testing.assert_close(head.weights(maxima), torch.tensor([[0.0, 2.0, 0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("kind", [DisentanglementHead, WordKeepingHead])
def test_disentangled_weights_ignore_padding_and_are_0_without_tokens(kind):
    x, mask, words = states()
    x.requires_grad_()
    head = kind(8, 30, k=7, skip=2)
    vectors = head.weights(head.maxima(x, mask, words))
    padded = torch.cat((x, torch.full((5, 4, 8), 50.0)), dim=1)
    wide = head.weights(head.maxima(padded, torch.nn.functional.pad(mask, (0, 4)), words))
    torch.testing.assert_close(wide, vectors)
    assert (vectors > 0).sum(1).tolist() == [7, 7, 7, 0, 7] and (vectors[:, :2] == 0).all()
    vectors.sum().backward()
    assert x.grad.isfinite().all() and (x.grad[3] == 0).all()


def test_a_head_that_skips_all_terms_is_refused():
    with pytest.raises(ValueError, match="skip 999 leaves none of the 30 terms"):
        DisentanglementHead(8, 30, skip=999)

from __future__ import annotations

import math

import pytest
import torch

from motionlang_pl.losses.masked import masked_cross_entropy
from motionlang_pl.models.bottleneck import LexicalDecoder, saturated_bottleneck, softmax_bottleneck
from motionlang_pl.models.masking import mask_tokens
from motionlang_pl.models.tokenizer import Tokens


@pytest.fixture
def decoder() -> LexicalDecoder:
    torch.manual_seed(0)
    return LexicalDecoder(16, 20, depth=1, heads=2, feedforward=32, dropout=0.0, max_words=12)


def tokens(lengths: list[int], total: int) -> Tokens:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 20, (len(lengths), total), generator=generator)
    mask = torch.arange(total) < torch.tensor(lengths)[:, None]
    content = mask.clone()
    content[:, 0] = False
    return Tokens(ids, mask, content)


def test_the_bottleneck_is_the_mean_word_under_the_softmax():
    words = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    maxima = torch.tensor([[math.log(3), 0.0, -math.inf]])
    torch.testing.assert_close(softmax_bottleneck(maxima, words), torch.tensor([[0.75, 0.25]]))


def test_the_saturated_bottleneck_is_the_mean_word_under_log_saturated_weights():
    words = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    maxima = torch.tensor([[3.0, 1.0, -2.0], [-1.0, 0.0, -math.inf]])  # log 4 and log 2, that is 2 to 1; none
    torch.testing.assert_close(saturated_bottleneck(maxima, words), torch.tensor([[2 / 3, 1 / 3], [0.0, 0.0]]))


def test_only_the_saturated_bottleneck_sees_a_common_offset_of_the_logits():
    words, maxima = torch.randn(6, 3), torch.randn(2, 6)
    torch.testing.assert_close(softmax_bottleneck(maxima + 5, words), softmax_bottleneck(maxima, words))
    assert not torch.allclose(saturated_bottleneck(maxima + 5, words), saturated_bottleneck(maxima, words), atol=1e-2)
    assert (saturated_bottleneck(maxima - 50, words) == 0).all()


@pytest.mark.parametrize("bottleneck", [softmax_bottleneck, saturated_bottleneck])
def test_a_row_without_tokens_is_zero_and_has_finite_gradients(bottleneck):
    maxima = torch.randn(2, 4)
    maxima[1] = -math.inf
    maxima.requires_grad_()
    mean = bottleneck(maxima, torch.randn(4, 3))
    assert (mean[1] == 0).all() and (mean[0] != 0).any()
    mean.sum().backward()
    assert maxima.grad.isfinite().all() and (maxima.grad[1] == 0).all()


@pytest.mark.parametrize("bottleneck", [softmax_bottleneck, saturated_bottleneck])
def test_the_bottleneck_trains_the_maxima_and_not_the_words(bottleneck):
    maxima, words = torch.randn(2, 4, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    bottleneck(maxima, words).square().sum().backward()
    assert words.grad is None and maxima.grad.abs().sum() > 0


@pytest.mark.parametrize("bottleneck", [softmax_bottleneck, saturated_bottleneck])
def test_the_bottleneck_is_exact_under_bfloat16_autocast(bottleneck):
    maxima, words = torch.randn(2, 400), torch.randn(400, 3)
    with torch.autocast("cpu", torch.bfloat16):
        inside = bottleneck(maxima, words)
    assert inside.dtype == torch.float32 and torch.equal(inside, bottleneck(maxima, words))


def test_the_first_word_is_replaced_by_the_bottleneck(decoder):
    read, embeddings, first = tokens([6, 4], 6), torch.randn(2, 6, 16), torch.randn(2, 16)
    other = embeddings.clone()
    other[:, 0] = 9.0
    assert torch.equal(decoder(first, embeddings, read), decoder(first, other, read))
    states = decoder(first, embeddings, read)
    moved = decoder(first + torch.randn(2, 16), embeddings, read)
    assert ((states - moved).abs().amax(-1)[read.mask] > 1e-4).all()  # it reaches every word


def test_padding_and_batch_order_do_not_change_the_states(decoder):
    read, embeddings, first = tokens([6, 4, 1], 6), torch.randn(3, 6, 16), torch.randn(3, 16)
    states = decoder(first, embeddings, read)
    wide = Tokens(*(torch.nn.functional.pad(x, (0, 3)) for x in read))
    padded = decoder(first, torch.cat((embeddings, torch.full((3, 3, 16), 7.0)), dim=1), wide)
    torch.testing.assert_close(padded[:, :6][read.mask], states[read.mask], atol=1e-5, rtol=1e-5)
    order = [2, 0, 1]
    permuted = decoder(first[order], embeddings[order], Tokens(*(x[order] for x in read)))
    torch.testing.assert_close(permuted, states[order], atol=1e-5, rtol=1e-5)


def test_the_decoder_learns_to_read_words_from_the_bottleneck(decoder):
    """Captions of one random word: only the bottleneck can tell it, so shuffled bottlenecks must cost much more."""
    words = torch.randn(20, 16, generator=torch.Generator().manual_seed(2))
    ids = torch.stack((torch.full((60,), 1), torch.arange(60) % 15 + 5), dim=1)
    mask = torch.ones(60, 2, dtype=torch.bool)
    read = Tokens(ids, mask, mask & (torch.arange(2) > 0))
    masked, chosen = mask_tokens(torch.arange(60), read, 1, 1.0, None, 20, 4)
    masked[:, 1] = 4
    maxima = torch.zeros(60, 20).scatter(1, ids[:, 1:], 8.0)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        states = decoder(softmax_bottleneck(maxima[rows], words), words[masked], read)
        return masked_cross_entropy(decoder.lexical_head(states[chosen], words), ids[chosen])

    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
    same = torch.arange(60)
    for _ in range(60):
        optimizer.zero_grad()
        loss(same).backward()
        optimizer.step()
    assert loss(same) < 0.2
    assert loss(same.roll(7)) > 2

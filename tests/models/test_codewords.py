from __future__ import annotations

import pytest
import torch
from entmax import sparsemax

from motionlang_pl.models.codebook import Codebook, CodebookQuery, ContentHead, cosine_match, dot_match
from motionlang_pl.models.restart import Candidates, Restart, between, candidates, either


@pytest.fixture
def codebook() -> Codebook:
    torch.manual_seed(0)
    return Codebook(64, 16)


def queries() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(4, 6, 16, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(6) < torch.tensor([6, 3, 1, 0])[:, None]


def test_assignments_stand_on_the_simplex_with_exact_zeros(codebook):
    x, mask = queries()
    weights = codebook.assign(x, mask, 1.0)
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert (weights >= 0).all() and (weights[:3] == 0).sum() > 64


def test_sparsemax_is_the_projection_onto_the_simplex():
    """Against the bisection of its defining equation sum(max(0, z - t)) = 1."""
    z = torch.randn(8, 50, generator=torch.Generator().manual_seed(0)).double()
    low, high = z.amin(1, keepdim=True) - 1, z.amax(1, keepdim=True)
    for _ in range(60):
        middle = (low + high) / 2
        above = (z - middle).relu().sum(1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    torch.testing.assert_close(sparsemax(z, dim=-1), (z - low).relu())
    assert torch.autograd.gradcheck(lambda x: sparsemax(x, dim=-1), z[:2, :6].clone().requires_grad_())


def test_assignments_by_their_formula(codebook):
    x, mask = queries()
    unit = [rows / rows.norm(dim=1, keepdim=True) for rows in (x[1, :3], codebook.codewords)]
    best = (unit[0] @ unit[1].T * (4 / 2.0)).amax(0)
    torch.testing.assert_close(codebook.assign(x, mask, 2.0)[1], sparsemax(best, dim=-1))


def test_matches_are_cosines_or_inner_products():
    x, _ = queries()
    codewords = 3 * torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    products = torch.einsum("bnd,kd->bnk", x, codewords)
    torch.testing.assert_close(dot_match(x, codewords), products / 4)
    lengths = x.norm(dim=2)[..., None] * codewords.norm(dim=1)
    torch.testing.assert_close(cosine_match(x, codewords), 4 * products / lengths)


def test_a_higher_temperature_is_denser(codebook):
    x, mask = queries()
    support = [(codebook.assign(x, mask, t)[:3] > 0).sum().item() for t in (0.1, 3.0, 10.0)]
    assert support == sorted(set(support))


def test_a_row_without_tokens_is_uniform_and_has_finite_gradients(codebook):
    x, mask = queries()
    x.requires_grad_()
    weights = codebook.assign(x, mask, 5.0)
    assert torch.allclose(weights[3], torch.tensor(1 / 64))
    codebook.vector(weights).square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad[3] == 0).all() and (x.grad[0] != 0).any()
    assert codebook.codewords.grad.isfinite().all()


def test_padding_and_batch_order_do_not_change_an_assignment(codebook):
    x, mask = queries()
    weights = codebook.assign(x, mask, 1.0)
    padded = torch.cat((x, torch.full((4, 3, 16), 9.0)), dim=1)
    torch.testing.assert_close(codebook.assign(padded, torch.nn.functional.pad(mask, (0, 3)), 1.0), weights)
    torch.testing.assert_close(codebook.assign(x[[2, 0, 3, 1]], mask[[2, 0, 3, 1]], 1.0), weights[[2, 0, 3, 1]])


def test_assignments_are_exact_under_bfloat16_autocast(codebook):
    x, mask = queries()
    with torch.autocast("cpu", torch.bfloat16):
        inside = codebook.assign(x, mask, 1.0)
        mixed = codebook.vector(inside)
    assert inside.dtype == mixed.dtype == torch.float32
    assert torch.equal(inside, codebook.assign(x, mask, 1.0))


def test_a_vector_mixes_codewords_by_their_weights(codebook):
    weights = torch.zeros(1, 64)
    weights[0, 3], weights[0, 5] = 0.25, 0.75
    expected = 0.25 * codebook.codewords[3] + 0.75 * codebook.codewords[5]
    torch.testing.assert_close(codebook.vector(weights)[0], expected)


def test_logits_start_near_unit_variance_so_that_temperatures_mean_what_they_say():
    torch.manual_seed(0)
    query, book = CodebookQuery(48, 64), Codebook(512, 64)
    states = 5 * torch.randn(8, 30, 48) + 2
    mask = torch.ones(8, 30, dtype=torch.bool)
    logits = query(states) @ book.codewords.T / 8
    assert logits.std().item() == pytest.approx(1.0, abs=0.3)
    active = (book.assign(query(states), mask, 1.0) > 0).sum(1).float().mean().item()
    assert 3 <= active <= 10


def test_an_assignment_is_the_sparsemax_of_its_logits(codebook):
    x, mask = queries()
    logits = codebook.logits(x, mask, 2.0)
    assert (logits[3] == 0).all() and logits.abs().max() <= 2.0001  # sqrt(16) cos / 2
    torch.testing.assert_close(codebook.assign(x, mask, 2.0), sparsemax(logits, dim=-1))


def test_words_are_told_from_the_direction_of_their_embeddings():
    torch.manual_seed(0)
    head, words = ContentHead(16, 8, 50), torch.randn(50, 8, requires_grad=True)
    vectors = torch.randn(4, 16)
    logits = head(vectors, words)
    torch.testing.assert_close(head(vectors, 0.01 * words), logits)
    logits.sum().backward()
    assert words.grad is None and logits.std().item() == pytest.approx(1.0, abs=0.4)


_LAST = torch.iinfo(torch.int64).max

# ---- restart ---------------------------------------------------------------------------------------------------------


def candidate(*numbers: float, order: list[int]) -> Candidates:
    """Pairs whose motion and sentence ask the same, (x, 0) and (-x, 0) for each x: their means are 0."""
    rows = torch.tensor([[[x, 0.0]] * 2 for x in numbers])
    return Candidates(torch.cat((rows, -rows)), torch.tensor([*order, *[_LAST - 1] * len(order)]))


def steps(restart: Restart, codewords: torch.Tensor, used: list[int], new: Candidates, times: int = 1) -> list[int]:
    """How many codewords each of some equal steps restarts."""
    weights = torch.zeros(1, len(codewords))
    weights[0, used] = 1 / len(used)
    counts = []
    for _ in range(times):
        restart.see(weights)
        counts.append(int(restart.step(codewords, new)))
    return counts


def test_a_codeword_restarts_after_so_many_steps_without_use():
    codewords = torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 2.0]])
    restart = Restart(3, after=3)
    assert steps(restart, codewords, [0, 2], candidate(5.0, order=[0]), 3) == [0, 0, 1]
    torch.testing.assert_close(codewords, torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 2.0]]))  # of mean length
    assert restart.idle.tolist() == [0, 0, 0]


def test_use_starts_the_count_again():
    codewords, restart = torch.eye(2), Restart(2, after=2)
    new = candidate(1.0, order=[0])
    assert steps(restart, codewords, [0], new) + steps(restart, codewords, [0, 1], new) == [0, 0]
    assert steps(restart, codewords, [0], new, 2) == [0, 1]


def test_a_use_in_any_part_of_a_step_counts():
    codewords, restart = torch.eye(2), Restart(2, after=1)
    restart.see(torch.tensor([[1.0, 0.0]]))
    restart.see(torch.tensor([[0.0, 1.0]]))
    assert restart.step(codewords, candidate(1.0, order=[0])) == 0


def test_codewords_take_candidates_in_their_order_each_once_and_the_rest_wait():
    codewords = torch.tensor([[0.0, 1.0]] * 4)
    restart = Restart(4, after=1)
    pairs = torch.tensor([[[-1.0, 0.0]] * 2, [[1.0, 0.0]] * 2, [[5.0, 9.0]] * 2])
    assert steps(restart, codewords, [0], Candidates(pairs, torch.tensor([7, -3, _LAST]))) == [2]
    assert codewords[:, 0].tolist() == [0, 1, -1, 0]
    assert restart.idle.tolist() == [0, 0, 0, 1]


def test_0_never_restarts():
    codewords, restart = torch.eye(2), Restart(2, after=0)
    assert steps(restart, codewords, [0], candidate(1.0, order=[0]), 50) == [0] * 50


def test_a_new_codeword_lies_between_a_pairs_queries_without_what_all_have_in_common():
    text, motion = torch.tensor([[3.0, 1, 0], [3.0, -1, 0]]), torch.tensor([[0.0, 5, 1], [0.0, 5, -1]])
    expected = torch.tensor([[0.0, 1, 1], [0.0, -1, -1]]) / 2**0.5
    torch.testing.assert_close(between(Candidates(torch.stack((text, motion), dim=1), torch.arange(2))), expected)


def test_the_usual_restart_takes_one_query_of_a_pair_as_it_is():
    text, motion = torch.tensor([[3.0, 1, 0], [3.0, -1, 0]]), torch.tensor([[0.0, 5, 1], [0.0, 5, -1]])
    taken = either(Candidates(torch.stack((text, motion), dim=1), torch.tensor([4, -3])))
    assert taken.tolist() == [text[0].tolist(), motion[1].tolist()]


def test_a_pair_without_a_direction_leaves_the_codeword_alone():
    codewords, restart = torch.eye(2), Restart(2, after=1)
    alone = Candidates(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([3]))  # less its own mean it is 0
    assert steps(restart, codewords, [0], alone) == [0]
    assert torch.equal(codewords, torch.eye(2)) and restart.idle.tolist() == [0, 1]


def test_candidates_depend_on_their_pair_and_key_alone():
    x, mask = queries()
    key = torch.tensor([4, 3, 2, 1])
    own, order = candidates(key, (x, mask), (x, mask))
    assert order.tolist() == [4, 3, 2, _LAST]  # the last pair has no token
    padded = torch.nn.functional.pad(x, (0, 0, 0, 3)), torch.nn.functional.pad(mask, (0, 3))
    torch.testing.assert_close(candidates(key[1:3], *[(padded[0][1:3], padded[1][1:3])] * 2).queries, own[1:3])
    drawn = torch.stack([candidates(key + i, (x, mask)).queries[0, 0] for i in range(50)])
    assert len(drawn.unique(dim=0)) == 6  # any of the six tokens

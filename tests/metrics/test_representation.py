from __future__ import annotations

import pytest
import torch

from motionlang_pl.metrics.representation import (
    active_terms,
    collapse,
    hub_terms,
    mean_active,
    mean_norm,
    term_grounding,
)

# 6 terms; motion 0 means terms 1 and 2, motion 1 means term 4; term 0 is always said.
VECTORS = torch.tensor([[3.0, 2.0, 1.0, 0.5, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0, 2.0, 1.0]])


def test_active_terms_are_those_above_zero() -> None:
    assert active_terms(VECTORS) == {"mean": 3.5, "median": 3.5, "min": 3.0, "max": 4.0}


def test_a_hub_is_active_in_all_samples() -> None:
    assert hub_terms(VECTORS)[0] == (0, 1.0)
    assert {term for term, share in hub_terms(VECTORS) if share == 0.5} == {1, 2, 3, 4, 5}


def test_grounding_is_the_share_of_a_sentences_words_among_the_strongest_k() -> None:
    found = term_grounding(VECTORS, [[1, 2], [4, 3]], ks=(1, 2, 3, 6))
    assert found["grounding@1"] == 0  # the hub stands first
    assert found["grounding@2"] == 50  # term 1 of two, term 4 of two
    assert found["grounding@3"] == 75
    assert found["grounding@6"] == 75  # term 3 weighs nothing for motion 1
    assert found["chance@3"] == 50 and found["chance@6"] == 100


def test_words_that_the_model_always_says_show_beside_grounding() -> None:
    found = term_grounding(VECTORS, [[0, 1], [0, 4]], ks=(2,))
    assert found["grounding@2"] == 100 and found["other@2"] == 50


def test_ties_and_empty_vectors_earn_nothing() -> None:
    assert term_grounding(torch.ones(2, 6), [[1], [2]], ks=(5,))["grounding@5"] == 0
    assert term_grounding(torch.zeros(2, 6), [[1], [2]], ks=(6,))["grounding@6"] == 0


def test_each_sentence_counts_once_however_many_motions_it_has() -> None:
    vectors = torch.stack([VECTORS[0]] * 3 + [VECTORS[1]])
    found = term_grounding(vectors, [[1], [3]], ks=(2,), owner=torch.tensor([0, 0, 0, 1]))
    assert found["grounding@2"] == 50


def test_a_subset_is_averaged_over_and_sentences_without_content_are_left_out() -> None:
    assert term_grounding(VECTORS, [[1], [3]], ks=(2,), subset=torch.tensor([True, False]))["grounding@2"] == 100
    assert term_grounding(VECTORS, [[1], []], ks=(2,))["grounding@2"] == 100
    with pytest.raises(ValueError, match="no sentence"):
        term_grounding(VECTORS, [[], []])


def test_random_vectors_are_grounded_at_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.rand(400, 1000, generator=generator)
    words = torch.randint(1000, (400, 5), generator=generator).tolist()
    found = term_grounding(vectors, words, ks=(50, 200))
    assert found["grounding@50"] == pytest.approx(found["chance@50"], abs=1.5)
    assert found["other@200"] == pytest.approx(20, abs=0.5)


def test_motions_must_match_sentences_or_name_their_owner() -> None:
    with pytest.raises(ValueError, match="2 motions but 1 sentences"):
        term_grounding(VECTORS, [[1]])


def test_collapse_is_seen_as_dead_dense_or_alike() -> None:
    healthy = collapse(torch.eye(4, 10))
    assert healthy == {"dead_share": 0, "dense_share": 0, "hub_share": 0, "same_strongest": 25}
    dead = collapse(torch.zeros(4, 10))
    assert dead == {"dead_share": 100, "dense_share": 0, "hub_share": 0, "same_strongest": 0}
    alike = collapse(torch.arange(10.0).expand(4, 10))
    assert alike["dense_share"] == 100 and alike["hub_share"] == 100 and alike["same_strongest"] == 100


def test_the_mean_number_of_active_terms_and_the_mean_length() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert mean_active(vectors) == 1.5 and mean_norm(vectors) == 3

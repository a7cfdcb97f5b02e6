"""TMRLexical learns to align a batch through the words, and its vectors are weights of terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.stages.retrieval import LexicalRetrievalStage


@pytest.fixture(scope="module")
def trained(fit: Callable[..., Path], synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that saw one batch."""
    return overfit(fit, "tmrlexical", synthetic, tmp_path_factory.mktemp("tmrlexical"), steps=120)


def test_tmrlexical_overfits_a_batch(trained: Path) -> None:
    assert fall(trained, "train/contrast") < 0.75


@torch.no_grad()
def test_its_vectors_are_weights_of_terms(trained: Path) -> None:
    stage = motionlang_pl.load(trained / "best.ckpt")
    vectors = stage.text_vectors(["a person walks forward.", ""])
    assert isinstance(stage, LexicalRetrievalStage)
    assert vectors.shape == (2, len(stage.terms))
    assert (vectors >= 0).all()

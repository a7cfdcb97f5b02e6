"""LexMLM learns, and its decoder reads the bottleneck."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.data.store import Store
from motionlang_pl.losses.masked import masked_cross_entropy
from motionlang_pl.models.bottleneck import softmax_bottleneck
from motionlang_pl.models.masking import mask_tokens


def test_lexmlm_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    assert fall(overfit(fit, "lexmlm", synthetic, tmp_path), "train/loss") < 0.5


@pytest.mark.slow
def test_information_passes_the_lexical_bottleneck(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    """With the bottlenecks shuffled between captions the decoder's loss is clearly higher."""
    fit("lexmlm", synthetic, tmp_path, "--trainer.max_epochs=-1", "--trainer.max_steps=1500")
    stage = motionlang_pl.load(tmp_path / "lexmlm/best.ckpt")
    captions = sorted(set(Store.open(synthetic).annotations.text))[:64]
    tokens, words = stage.tokenize(captions), stage.word_embeddings.weight
    key = torch.arange(len(captions))
    ids, chosen = mask_tokens(key, tokens, 2, 0.5, None, stage.tokenizer.vocabulary, stage.tokenizer.mask_id)
    with torch.no_grad():
        encoding = stage.encode_text(tokens)
        b = softmax_bottleneck(stage.text_lexical_head.maxima(encoding.tokens, encoding.mask, words), words)

        def loss(bottlenecks: torch.Tensor) -> float:
            states = stage.decoder(bottlenecks, stage.word_embeddings(ids), tokens)
            return float(masked_cross_entropy(stage.decoder.lexical_head(states[chosen], words), tokens.ids[chosen]))

        true, shuffled = loss(b), loss(b.roll(1, dims=0))
    assert shuffled > 1.2 * true

"""LexMLM learns, and its decoder reads the bottleneck."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from overfit import fall, overfit

import motionlang_pl
from motionlang_pl.data.store import Store
from motionlang_pl.losses.masked import masked_cross_entropy
from motionlang_pl.models.bottleneck import softmax_bottleneck
from motionlang_pl.models.masking import mask_tokens


def test_lexmlm_overfits_a_batch(fit: Callable[..., Path], synthetic: Path, tmp_path: Path) -> None:
    assert fall(overfit(fit, "lexmlm", synthetic, tmp_path, steps=100), "train/loss") < 0.5


def test_a_new_head_starts_at_how_common_words_are_and_a_trained_one_is_left_alone(
    fit: Callable[..., Path], synthetic: Path, tmp_path: Path
) -> None:
    still = ("--model.init_args.optimization.lr=1e-30", "--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    fit("lexmlm", synthetic, tmp_path, *still)
    stage = motionlang_pl.load(tmp_path / "lexmlm/best.ckpt")
    table = Store.open(synthetic).annotations
    captions = list({table.text[row] for row in table.rows("train")})
    said = Counter(word for caption in captions for word in stage.tokenizer([caption])[0][0, 1:-1].tolist())
    expected = torch.tensor([math.log1p(said[term]) for term in range(stage.tokenizer.vocabulary)])
    for head in (stage.text_lexical_head, stage.decoder.lexical_head):
        torch.testing.assert_close(head.bias, expected)

    stage.start_at_frequencies(
        [stage.text_lexical_head], SimpleNamespace(sentences=lambda: dict.fromkeys(captions, 2.0))
    )
    torch.testing.assert_close(stage.text_lexical_head.bias, expected)


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

"""Pairs that are no negatives: by equal captions, or by the sentence encoder of a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import column
from transformers import BertModel, PreTrainedTokenizerFast

from motionlang_pl.data.batch import Batch
from motionlang_pl.data.keys import text_key
from motionlang_pl.stages.false_negatives import EqualCaptions, NoFalseNegatives, SimilarSentences

CAPTIONS = ["a person walks forward.", "someone jumps twice.", "a person walks forward.", "a man walks ahead."]


def batch(captions: list[str]) -> Batch:
    numbers, said = torch.arange(len(captions)), torch.tensor([text_key(caption) for caption in captions])
    return Batch(numbers, numbers, said, said, None, captions)


def test_without_a_filter_equal_captions_are_negatives():
    assert NoFalseNegatives()(batch(CAPTIONS)).count_nonzero() == 0


def test_equal_captions_are_marked_off_the_diagonal():
    assert EqualCaptions()(batch(CAPTIONS)).nonzero().tolist() == [[0, 2], [2, 0]]


def test_captions_that_were_drawn_are_compared_as_well_as_first_captions():
    drawn = batch(CAPTIONS)._replace(sentence=torch.tensor([1, 2, 3, 2]))
    assert EqualCaptions()(drawn).nonzero().tolist() == [[0, 2], [1, 3], [2, 0], [3, 1]]


def test_the_threshold_is_that_of_the_papers_code():
    assert SimilarSentences("any", 0.80).least_cosine == pytest.approx(0.60)
    assert SimilarSentences("any", 0.95).least_cosine == pytest.approx(0.90)


def test_an_embedding_is_the_mean_token_state(sentence_encoder: Path):
    theirs = BertModel.from_pretrained(sentence_encoder).eval()
    tokens = PreTrainedTokenizerFast.from_pretrained(sentence_encoder)(CAPTIONS[3], return_tensors="pt")
    with torch.no_grad():
        expected = theirs(tokens["input_ids"]).last_hidden_state[0].mean(dim=0)
    embedding = SimilarSentences(str(sentence_encoder)).embed([CAPTIONS[3]], torch.device("cpu"))
    torch.testing.assert_close(embedding[0], expected, rtol=1e-5, atol=1e-5)


def test_pairs_above_the_cosine_are_marked(sentence_encoder: Path):
    similar = SimilarSentences(str(sentence_encoder))
    embeddings = similar.embed(CAPTIONS, torch.device("cpu"))
    cosines = torch.nn.functional.cosine_similarity(embeddings[:, None], embeddings[None], dim=-1)
    between = sorted(set(cosines.flatten().tolist()))[2]  # a threshold with pairs on both sides
    chosen = SimilarSentences(str(sentence_encoder), (between + 1 + 1e-6) / 2)
    marked = chosen(batch(CAPTIONS))
    assert torch.equal(marked, cosines > between + 1e-6)
    assert marked[0, 2] and not marked.all()


def test_a_sentence_is_embedded_once_and_draws_no_random_number(sentence_encoder: Path):
    similar = SimilarSentences(str(sentence_encoder))
    before = torch.get_rng_state()
    first = similar.embed(CAPTIONS, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(similar.embed(CAPTIONS[::-1], torch.device("cpu")), first.flip(0))
    assert len(similar._embeddings) == 3


@pytest.mark.parametrize("stage", ["tmr", "cstar", "codebook"])
def test_a_stage_leaves_out_similar_sentences_and_needs_no_encoder_to_load(
    fit: Callable[..., Path], synthetic: Path, sentence_encoder: Path, tmp_path: Path, stage: str
) -> None:
    import motionlang_pl

    steps = (
        "--trainer.max_steps=1",
        "--trainer.log_every_n_steps=1",
        "--data.batch_size=16",
        "--trainer.limit_val_batches=0",
    )
    fresh = "--model.init_args.init_from=[]"
    encoder = shutil.copytree(sentence_encoder, tmp_path / "encoder")
    least = []
    for threshold in (0.0, 1.0):  # every pair is similar; none but equal sentences are
        chosen = {
            "class_path": "SimilarSentences",
            "init_args": {"name": str(encoder), "threshold": threshold},
        }
        option = f"--model.init_args.false_negatives={json.dumps(chosen)}"
        run = fit(stage, synthetic, tmp_path / str(threshold), fresh, *steps, option)
        least.append(column(run, "train/contrast")[0])
    assert least[0] == 0 < least[1]
    shutil.rmtree(encoder)
    motionlang_pl.load(run / "best.ckpt")

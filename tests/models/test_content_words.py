from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from motionlang_pl.data.wordpiece import train_wordpiece
from motionlang_pl.models.content_words import content_ids
from motionlang_pl.models.tokenizer import Tokenizer as Words

TERMS = ["[UNK]", "the", "person", "wave", "##s", "right", "hand", ",", "both", "way", "in", "elder", "##ly", "a"]


def tokenizer() -> Tokenizer:
    model = Tokenizer(models.WordPiece({term: number for number, term in enumerate(TERMS)}, unk_token="[UNK]"))
    model.normalizer = normalizers.BertNormalizer()
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return model


def words(caption: str) -> list[str]:
    return [TERMS[number] for number in content_ids(caption, tokenizer())]


def test_function_words_persons_and_punctuation_are_left_out() -> None:
    assert words("The person waves the right hand, in a way.") == ["wave", "##s", "right", "hand"]


def test_all_pieces_of_a_content_word_count_and_each_once() -> None:
    assert words("waves in an elderly way, hand in hand") == ["wave", "##s", "elder", "##ly", "hand"]


def test_unknown_words_are_left_out() -> None:
    assert words("the person cartwheels") == []


def test_a_batch_of_content_words_is_padded_and_says_which_are_there() -> None:
    known = Words(train_wordpiece(["the person waves", "a person jumps and waves"]))
    ids, there = known.content_words(["the person waves", "a person jumps and waves", "the person"])
    assert there.tolist() == [[True, False], [True, True], [False, False]]
    assert [known.terms[number] for number in ids[there]] == ["waves", "jumps", "waves"]
    assert ids.min() == 0  # nothing that a gather would choke on
    assert torch.equal(known.content_words(["a person jumps and waves"])[0], ids[1:2])

from __future__ import annotations

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from motionlang_pl.tools.words import content_ids

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

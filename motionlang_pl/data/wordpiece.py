"""A WordPiece tokenizer of a store's training captions, the same for the same captions on every run.

The `tokenizers` library numbers continuation pieces in the order of a hash map and breaks ties by those numbers; naming
them in advance takes that chance away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_TERMS = 8192


def train_wordpiece(captions: Iterable[str], max_terms: int = MAX_TERMS) -> str:
    """A lowercase WordPiece of at most `max_terms` terms, from words that occur once or more, as tokenizers' JSON."""
    captions = list(captions)
    tokenizer = _tokenizer(WordPiece(unk_token="[UNK]"))
    words = [
        word
        for caption in captions
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(caption))
    ]
    letters = sorted(set("".join(words)))
    inner = sorted({letter for word in words for letter in word[1:]})
    named = [*SPECIALS, *letters, *(f"##{letter}" for letter in inner)]
    trainer = WordPieceTrainer(vocab_size=max_terms, min_frequency=1, special_tokens=named, show_progress=False)
    tokenizer.train_from_iterator(captions, trainer)
    found = tokenizer.get_vocab()
    # What was named in advance only to number it is no special token: the tokenizer is made anew from the terms.
    terms = sorted(found, key=lambda term: found[term])
    final = _tokenizer(WordPiece({term: number for number, term in enumerate(terms)}, unk_token="[UNK]"))
    final.add_special_tokens(list(SPECIALS))
    final.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, final.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return json.dumps(json.loads(final.to_str()), ensure_ascii=False, sort_keys=True, indent=1)


def _tokenizer(model: WordPiece) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer

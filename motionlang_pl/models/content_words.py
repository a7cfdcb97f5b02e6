"""Content words: the WordPieces of a caption that say something of the motion."""

from __future__ import annotations

from tokenizers import Tokenizer

# English function words, and the words by which captions name whoever moves: they are the same for every motion.
_LINES = (
    "a an the this that these those it its itself",
    "he him his himself she her hers herself they them their theirs themselves who whose which what",
    "person persons people someone somebody one man woman human figure character individual",
    "and or but then while as when before after until than so if",
    "in on of to with at by for from into onto like about during",
    "is are was were be been being am has have had do does did can could will would there",
    "not no very some any each every all both other another same such also just",
    "s t way manner",
)
STOP_WORDS = frozenset(word for line in _LINES for word in line.split())


def content_ids(caption: str, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a caption's content WordPieces, each once, in order.

    Left out: special and unknown tokens, punctuation, and all pieces of a word in `STOP_WORDS`.
    """
    encoding = tokenizer.encode(caption, add_special_tokens=False)
    spans: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
        if word is not None:
            spans[word] = (min(start, spans.get(word, (start, end))[0]), max(end, spans.get(word, (start, end))[1]))
    words = {word: caption[start:end].strip().lower() for word, (start, end) in spans.items()}
    kept = {word for word, text in words.items() if text.isalnum() and text not in STOP_WORDS}
    pieces = zip(encoding.ids, encoding.tokens, encoding.word_ids, strict=True)
    return list(dict.fromkeys(id for id, token, word in pieces if word in kept and token not in ("[UNK]", "<unk>")))

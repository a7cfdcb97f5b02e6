"""The words of a mirrored motion: left and right change places, clockwise and counterclockwise too."""

from __future__ import annotations

import re

# No side: "right away", "right now", "right here", "right there", "a right angle", "all right". "Upright" is one word.
_RIGHT = r"(?<!all )right(?!\s+(?:away|now|here|there)\b)(?!(?:\s+|-)angle(?:s|d)?\b)"
_SIDE = rf"(?:left|{_RIGHT})(?=(?:s|wards?|most|handed|hand|side)?\b)"
_TURN = r"(?:(?:counter|anti)[- ]?)?clock[- ]?wise\b"
_WORD = re.compile(rf"\b(?:{_SIDE}|{_TURN})", re.IGNORECASE)
_SIDES = {"left": "right", "right": "left"}


def mirror_words(text: str) -> str:
    """Return a sentence as it is said of the left-right twin of its motion; capitals stay.

    Swaps left and right (also leftward, rightmost, left-handed, ...), and clockwise with counterclockwise, for which
    anticlockwise and counter-clockwise count as other spellings. It does not parse: "he left the room" becomes wrong.
    """
    return _WORD.sub(_twin, text)


def _twin(found: re.Match[str]) -> str:
    word = found.group()
    other_turn = "counterclockwise" if word.lower().startswith("clock") else "clockwise"
    twin = _SIDES.get(word.lower(), other_turn)
    if word.isupper():
        return twin.upper()
    return twin.capitalize() if word[0].isupper() else twin

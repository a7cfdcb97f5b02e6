"""Argument parsers whose errors are one line that names the option, the problem and where to look."""

from __future__ import annotations

import re
import sys
from itertools import takewhile
from typing import NoReturn

from jsonargparse import ArgumentParser


class OneLineErrors(ArgumentParser):
    """A parser that says what is wrong on one line, without the usage, and exits with status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the message on one line and exits."""
        line = re.sub(r"\s*\n\s*", " ", message.strip())
        command = " ".join(["motionlang", *takewhile(lambda word: word[0] not in "[-", self.prog.split()[1:])])
        sys.stderr.write(f"motionlang: error: {line}; `{command} --help` lists the options\n")
        sys.exit(2)

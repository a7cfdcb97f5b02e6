"""Argument parsers whose errors are one line that names the option, the problem and where to look."""

from __future__ import annotations

import re
import sys
from typing import NoReturn

from jsonargparse import ArgumentParser

# what jsonargparse says of a value that is of none of an option's types: the option, the types, the value
_UNION = re.compile(r'Parser key "([^"]+)":.* Union subtypes Subtypes: \[(.*?)\] Errors: .* Given value: (.*)')
_CLASS = re.compile(r"<class '(?:\w+\.)*(\w+)'>")


class OneLineErrors(ArgumentParser):
    """A parser that says what is wrong on one line, without the usage, and exits with status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the message on one line and exits."""
        line = re.sub(r"\s*\n\s*", " ", message.strip())
        if found := _UNION.fullmatch(line):
            option, types, value = found.groups()
            types = re.sub(_CLASS, r"\1", types).replace("NoneType", "null").replace("typing.", "")
            line = f"{option}: {value} is none of {types}"
        sys.stderr.write(f"motionlang: error: {line}; {self.where_to_look()}\n")
        sys.exit(2)

    def where_to_look(self) -> str:
        """The end of an error: which command lists the options."""
        command, *_ = re.split(r" [\[-]", self.prog.removeprefix("motionlang"))
        return f"`motionlang{command} --help` lists the options"

"""Trains stages one after the other through the real CLI; run by test_distributed under two processes."""

from __future__ import annotations

import json
import sys

from motionlang_pl.cli import main

if __name__ == "__main__":
    for arguments in json.loads(sys.argv[1]):
        main(arguments)

"""The command `motionlang`: fit and validate by LightningCLI, the rest by functions in `tools`."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

HELP = """\
motionlang: staged pretraining of motion-language models

  motionlang fit --config stages/lexcmlp.yaml --data.store STORE     train a stage, at its published size unless further
                                                                     configs say otherwise (`make lexcmlp SIZE=small`
                                                                     adds them); `validate` computes its val metrics
  motionlang prepare {humanml3d,kitml,amass,babel,import,...} ...    raw data to a store (`prepare --help` lists all)
  motionlang check FOLDER                                            a store: what is in it, what is wrong with it;
                                                                     a raw folder: are its columns those we compute
  motionlang evaluate --checkpoint CKPT --store STORE                retrieval tables
  motionlang explain --checkpoint CKPT --store STORE                 the strongest terms of some motions
  motionlang lineage CKPT                                            where a checkpoint comes from
  motionlang init DIR                                                copy the stages and configs to edit them

`motionlang COMMAND --help` lists a command's options; MOTIONLANG_DEBUG=1 shows tracebacks.
"""

LISTS = ("--features", "--datasets", "--layouts")  # options that take several values
SWITCHES = ("--allow_skips", "--keep_transitions", "--keep_bones")  # options that need no value
LIGHTNING = ("fit", "validate")
TOOLS: dict[str, str | dict[str, str]] = {
    "prepare": {
        "humanml3d": "motionlang_pl.tools.prepare:humanml3d",
        "kitml": "motionlang_pl.tools.prepare:kitml",
        "amass": "motionlang_pl.tools.prepare:amass",
        "babel": "motionlang_pl.tools.prepare:babel",
        "unified": "motionlang_pl.tools.prepare:unified",
        "index": "motionlang_pl.tools.prepare:index",
        "humanact12": "motionlang_pl.tools.prepare:humanact12",
        "ntu13": "motionlang_pl.tools.prepare:ntu13",
        "uestc": "motionlang_pl.tools.prepare:uestc",
        "import": "motionlang_pl.tools.prepare:own",
        "text": "motionlang_pl.tools.prepare:text",
        "synthetic": "motionlang_pl.tools.prepare:synthetic",
    },
    "check": "motionlang_pl.tools.check:check",
    "evaluate": "motionlang_pl.tools.evaluate:evaluate",
    "explain": "motionlang_pl.tools.explain:explain",
    "lineage": "motionlang_pl.tools.lineage:lineage",
    "init": "motionlang_pl.tools.init:init",
}


def main(args: list[str] | None = None) -> None:
    """Runs one command; bad input ends with one line on stderr and exit status 1 (2 for unknown options)."""
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP)
        return
    if args[0] == "--version":
        from motionlang_pl import __version__

        print(f"motionlang {__version__}")
        return
    if args[0] not in (*LIGHTNING, *TOOLS):
        sys.exit(f"motionlang: error: unknown command {args[0]!r}; commands: {', '.join((*LIGHTNING, *TOOLS))}")
    try:
        _fit(args) if args[0] in LIGHTNING else _tool(args)
    except (ValueError, OSError) as error:
        told = _told(error)
        if os.environ.get("MOTIONLANG_DEBUG") or told is None:
            raise
        sys.exit(f"motionlang: error: {told}")
    except KeyboardInterrupt:
        sys.exit("motionlang: interrupted")


def _told(error: BaseException | None) -> object:
    """What is meant for the user: a file that cannot be used, or the first cause that the package raised, or Lightning.

    None where there is no such cause.
    """
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    speakers = (sys.modules.get(name) for name in ("motionlang_pl", "lightning"))
    folders = [Path(str(module.__file__)).parent for module in speakers if module is not None]
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        if frames and any(Path(frames[-1].filename).is_relative_to(folder) for folder in folders):
            break
        error = error.__cause__
    return error


def _tool(args: list[str]) -> None:
    from jsonargparse import auto_cli

    from motionlang_pl.parsing import OneLineErrors

    name, args = args[0], args[1:]
    prog, target = f"motionlang {name}", TOOLS[name]
    if isinstance(target, dict) and args and args[0] in target:
        prog, target, args = f"{prog} {args[0]}", target[args[0]], args[1:]
    components: Any = (
        {each: _resolve(where) for each, where in target.items()} if isinstance(target, dict) else _resolve(target)
    )
    positional = name in ("check", "lineage", "init")
    auto_cli(components, args=_spelled(args), as_positional=positional, prog=prog, parser_class=OneLineErrors)


def _spelled(args: list[str]) -> list[str]:
    """Spells `--allow-skips` and `--features joints humanml3d` as the parser reads them."""
    spelled: list[str] = []
    while args:
        word, args = args[0], args[1:]
        if word.startswith("--") and "=" not in word:
            word = "--" + word[2:].replace("-", "_")
            if word in LISTS:
                count = next((n for n, value in enumerate(args) if value.startswith("-")), len(args))
                values, args = args[:count], args[count:]
                word = (
                    f"{word}=[{','.join(values)}]"
                    if values and not values[0].startswith("[")
                    else "=".join([word, *values[:1]])
                )
            elif word in SWITCHES and (not args or args[0] not in ("true", "false")):
                word = f"{word}=true"
        spelled.append(word)
    return spelled


def _resolve(where: str) -> Callable[..., None]:
    module, name = where.split(":")
    function: Callable[..., None] = getattr(import_module(module), name)
    return function


def _fit(args: list[str]) -> None:
    from motionlang_pl.training import run

    run(args)


if __name__ == "__main__":
    main()

"""What text and image models share that transformers loads: quiet loading, configs as text, errors of one line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import PreTrainedConfig
from transformers.utils import logging as transformers_logging


def config_text(config: PreTrainedConfig) -> str:
    """All settings (JSON), defaults too, so that another version's change nothing; not where they came from."""
    settings = config.to_dict()
    return json.dumps({key: value for key, value in settings.items() if key not in ("_name_or_path", "architectures")})


def not_found(name: str, error: Exception, files: str) -> FileNotFoundError:
    """What to raise for a model that does not load; files: what a complete folder holds."""
    if Path(name).is_dir():
        return FileNotFoundError(
            f"{name}: not a complete model ({first_line(error)}); it needs {files}, as save_pretrained writes them"
        )
    return FileNotFoundError(
        f"{name}: neither a folder here nor a model that the Hugging Face hub gives; check the name and the "
        "network, or give the folder of a downloaded model"
    )


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n")[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' load report and bar off the screen: what matters of them is said in one line."""
    level = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]

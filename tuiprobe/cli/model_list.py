"""The file of `--models`: a model on each line, with a checkpoint of its own or without."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from tuiprobe.catalog.presets import presets
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import expand_home, read_regular
from tuiprobe.plaintext import text_of
from tuiprobe.plugins import MODELS, foreign_names, is_foreign

PAPER = "paper"
"""What a user types in place of a file for the encoders of the paper."""

ModelLine = tuple[str, str | None]
"""A model, and the file with its weights if the list names one."""


def paper_models() -> tuple[str, ...]:
    """Returns the presets of the paper: all but those that ship with the package."""
    return tuple(name for name, preset in presets().items() if not preset.shipped)


def read_models(path: str) -> tuple[ModelLine, ...]:
    """Returns the models that a file lists, each once, in its order.

    Args:
        path: A file with a line `MODEL [checkpoint=FILE]` for each model, quoted as in a shell,
            blank lines, and comments that begin with `#`; or `paper`. Relative paths of
            checkpoints start at the folder of the file.

    Raises:
        UsageError: If the file cannot be read, lists no model, or a line cannot be used; names
            file and line.
    """
    if path == PAPER:
        return tuple((name, None) for name in paper_models())
    file = Path(path)
    try:
        lines = text_of(read_regular(file)).splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the list of models {file}: {error.strerror}") from error
    except DataError as error:
        raise UsageError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{file} is no list of models: {error}") from error
    models = tuple(dict.fromkeys(_models(file, lines)))
    if not models:
        raise UsageError(f"{file} lists no model; write one on each line")
    return models


def _models(file: Path, lines: list[str]) -> Iterator[ModelLine]:
    foreign = foreign_names(MODELS)
    for number, line in enumerate(lines, start=1):
        place = f"{file}, line {number}"
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"{place}: {error}") from error
        if not words:
            continue
        model, *rest = words
        key, _, checkpoint = rest[0].partition("=") if rest else ("", "", "")
        if not model or len(rest) > 1 or (rest and (key != "checkpoint" or not checkpoint)):
            raise UsageError(f"{place}: write MODEL or MODEL checkpoint=FILE")
        if is_foreign(model, foreign):
            raise UsageError(f"{place}: {model!r} runs code; name it by --model yourself")
        base = file.absolute().parent
        yield model, str(base / expand_home(checkpoint)) if checkpoint else None

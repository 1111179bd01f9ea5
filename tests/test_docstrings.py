"""The first line of a function's docstring is in the indicative: "Returns …", "Merges …".

ruff checks the rest of the dialect. Commands are an exception: their first line is help text, which
tells the user what to do.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "tuiprobe"
_INDICATIVE = re.compile(r"[A-Z][a-z-]*s[,.:;]?")
_NOUNS = {"property", "cached_property"}


def first_words(file: Path) -> Iterator[tuple[str, str]]:
    """Yields name and first word of each documented function that is no property."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorators = {
            decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)
        }
        message = ast.get_docstring(node)
        if message and not decorators & _NOUNS:
            yield node.name, message.split(maxsplit=1)[0]


def test_functions_say_what_they_do() -> None:
    strange = [
        f"{file.relative_to(PACKAGE)}: {name}: {word}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.parent.name != "cli"
        for name, word in first_words(file)
        if not _INDICATIVE.fullmatch(word)
    ]
    assert strange == []

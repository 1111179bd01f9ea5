"""What the prose names exists in the program: options, screens, keys, versions."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from markdown_it import MarkdownIt
from textual.binding import Binding
from textual.dom import DOMNode

import tuiprobe.tui
from tests.docs.blocks import PAGES, ROOT, command_line, name, spans
from tuiprobe.probes import BUILT_IN

DOCS = ROOT / "docs"
OF_USERS = [page for page in PAGES if page.name not in ("CHANGELOG.md", "CONTRIBUTING.md")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OF_OTHERS = {"--max-restarts", "--index", "--from", "--spec"}
"""Options of torchrun, podman and uvx."""

KEYS = {
    "?": "question_mark", "/": "slash", "'": "apostrophe", "+": "plus", "-": "minus",
    "←": "left", "→": "right", "↑": "up", "↓": "down", "esc": "escape",
}  # fmt: skip
KEY = re.compile(r"[\w?'/+←→↑↓-]|ctrl\+\S|Enter|esc|tab|space|F\d+")


@pytest.mark.parametrize("page", OF_USERS, ids=name)
def test_options_in_sentences_are_options_of_a_command(page: Path) -> None:
    named = {flag for span in spans(page) for flag in re.findall(r"(?<!\S)--[a-z-]+", span)}
    assert named - {"--help", *flags(command_line())} <= OF_OTHERS


def flags(command: object) -> Iterator[str]:
    """Yields every option of a command and of its subcommands."""
    for option in getattr(command, "params", ()):
        yield from (*option.opts, *option.secondary_opts)
    for other in getattr(command, "commands", {}).values():
        yield from flags(other)


def modules() -> Iterator[ModuleType]:
    """Yields the modules of the screens."""
    for module in pkgutil.walk_packages(tuiprobe.tui.__path__, "tuiprobe.tui."):
        yield importlib.import_module(module.name)


def bound_keys(*some: ModuleType) -> set[str]:
    """Returns the keys that classes of these modules bind."""
    classes = [kind for module in some for kind in vars(module).values() if isinstance(kind, type)]
    return {
        binding.key
        for kind in classes
        if issubclass(kind, DOMNode) and kind.__module__ in {module.__name__ for module in some}
        for binding in Binding.make_bindings(kind.BINDINGS)
    }


def as_key(text: str) -> str:
    """Returns a key of a page as Textual calls it."""
    *modifiers, key = text.split("+") if len(text) > 1 else [text]
    return "+".join([*modifiers, KEYS.get(key, key if len(key) == 1 else key.lower())])


def test_the_page_of_the_screens_names_screens_and_their_keys() -> None:
    every = {module.__name__.removeprefix("tuiprobe.tui."): module for module in modules()}
    shared = [module for path, module in every.items() if not path.startswith("screens.")]
    shared += [every["screens.base"], every["screens.evidence"], every["screens.running"]]
    shared += [every["screens.choice"]]
    before, *sections = (DOCS / "tui.md").read_text("utf-8").split("\n## ")
    assert {as_key(key) for key in keys_in(before)} <= bound_keys(*every.values())
    for section in sections:
        title = section.partition("\n")[0].lower()
        screens = [every[f"screens.{word.removeprefix('run ')}"] for word in title.split(" and ")]
        bound = bound_keys(*shared, *screens)
        assert [key for key in keys_in(section) if as_key(key) not in bound] == [], title


def keys_in(text: str) -> list[str]:
    """Returns the keys of the first cells of a text's tables."""
    cells = re.findall(r"^\| (`.*?)\|", text, re.MULTILINE)
    named = re.findall(r"`([^`]+)`", " ".join(cells))
    return [key for key in named if KEY.fullmatch(key) and not key.startswith("--")]


def test_names_of_panels_and_keys_in_sentences_are_those_of_the_screens() -> None:
    sources = [Path(module.__file__ or "") for module in modules()]
    trees = [ast.parse(file.read_text("utf-8")) for file in sources]
    texts = [
        node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)
    ]
    words = " ".join([*BUILT_IN, *(text for text in texts if isinstance(text, str))]).lower()
    bound = bound_keys(*modules())
    for page in ("tui.md", "tutorial.md"):
        tokens = MarkdownIt().parse((DOCS / page).read_text("utf-8"))
        inline = [child for token in tokens for child in token.children or ()]
        panels = [text.content for mark, text in pairwise(inline) if mark.type == "em_open"]
        capitals = [panel for panel in panels if panel[0].isupper()]
        assert [panel for panel in capitals if panel.lower() not in words] == []
        keys = [key for key in spans(DOCS / page) if KEY.fullmatch(key)]
        assert [key for key in keys if as_key(key) not in bound] == []


def test_versions_and_extras_are_those_of_the_package() -> None:
    low, high = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    supported = f"3.{low} to 3.{int(high) - 1}"
    texts = "".join(page.read_text("utf-8") for page in OF_USERS)
    ranges = re.findall(r"Python (3\.\d+ to 3\.\d+)", texts)
    assert len(ranges) >= 2
    assert set(ranges) == {supported}
    install = (DOCS / "howto/install.md").read_text("utf-8")
    (torch,) = [line for line in PROJECT["dependencies"] if line.startswith("torch>")]
    assert f"torch {torch.removeprefix('torch>=')} or newer" in install
    extras = set(re.findall(r"^\| `(\w+)` \|", install, re.MULTILINE))
    assert extras == set(PROJECT["optional-dependencies"]) - {"test", "dev", "fuzz"}

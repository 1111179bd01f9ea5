"""What the prose names exists in the program: screens, keys, packages, versions."""

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from types import ModuleType

from textual.binding import Binding
from textual.dom import DOMNode

import tuiprobe.show.tui
from tests.docs.blocks import OF_USERS, ROOT, spans

DOCS = ROOT / "docs"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]

KEYS = {
    "?": "question_mark", "/": "slash", "'": "apostrophe", "+": "plus", "-": "minus",
    "←": "left", "→": "right", "↑": "up", "↓": "down", "esc": "escape",
}  # fmt: skip
KEY = re.compile(r"[\w?'/+←→↑↓-]|ctrl\+\S|Enter|esc|tab|space|F\d+")


def modules() -> Iterator[ModuleType]:
    """Yields the modules of the screens."""
    for module in pkgutil.walk_packages(tuiprobe.show.tui.__path__, "tuiprobe.show.tui."):
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
    others = {module.__name__.removeprefix("tuiprobe.show.tui."): module for module in modules()}
    before, *sections = (DOCS / "tui.md").read_text("utf-8").split("\n## ")
    titles = [section.partition("\n")[0].lower().removeprefix("run ") for section in sections]
    screens = [[others.pop(f"screens.{name}") for name in title.split(" and ")] for title in titles]
    for section, own in zip([before, *sections], [[], *screens], strict=True):
        bound = bound_keys(*others.values(), *own)
        assert [key for key in keys_in(section) if as_key(key) not in bound] == [], own


def keys_in(text: str) -> list[str]:
    """Returns the keys of the first cells of a text's tables."""
    cells = re.findall(r"^\| (`.*?)\|", text, re.MULTILINE)
    named = re.findall(r"`([^`]+)`", " ".join(cells))
    return [key for key in named if KEY.fullmatch(key) and not key.startswith("--")]


def test_keys_in_sentences_are_bound() -> None:
    named = {key for page in ("tui.md", "tutorial.md") for key in spans(DOCS / page)}
    keys = {as_key(key) for key in named if KEY.fullmatch(key)}
    assert len(keys) > 30
    assert keys <= bound_keys(*modules())


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


def test_the_architecture_has_the_layers_of_the_contract_and_files_that_exist() -> None:
    page = ROOT / "ARCHITECTURE.md"
    files = [span for span in spans(page) if span.endswith(".py")]
    assert len(files) > 4
    assert [file for file in files if not (ROOT / "tuiprobe" / file).exists()] == []
    text = page.read_text("utf-8").partition("## From a request")[0]
    rows = re.findall(r"^\| \**(`.*?) \|", text, re.MULTILINE)
    named = [name.replace("/", ".") for row in rows for name in re.findall(r"`([\w/]+)`", row)]
    contract = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"][1:]
    layers = [name for layer in contract for name in re.findall(r"tuiprobe\.([\w.]+)", layer)]
    probes = [name for name in layers if name not in named]
    assert all(name.startswith("choose.") for name in probes)
    assert [name for name in named if name in layers] == [
        name for name in layers if name not in probes
    ]

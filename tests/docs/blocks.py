"""Blocks of code on the pages, and the commands in them.

A block of commands is named `sh` and runs as it stands, in the order of the page. A second word
says what a block needs that tests do not have; then only its options are checked:

| word | needs |
|---|---|
| `weights` | published weights |
| `data` | images, vectors or runs that only a reader has |
| `gpu` | a GPU |
| `network` | a network |
| `screen` | a terminal |
| `clone` | a clone of the repository, not an installed package |
| `long` | minutes; `TUIPROBE_DOCS=all` runs it |
| `main`, `tests` | run by `.ci/run` from README.md |
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OF_USERS = [page for page in PAGES if page.name not in ("CHANGELOG.md", "CONTRIBUTING.md")]
MARKS = {"weights", "data", "gpu", "network", "screen", "clone", "long", "main", "tests"}

COMMAND = re.compile(r"^\s*(?:[A-Z_]+=\S+ )*(?:\S*/)?(?:tuiprobe|torchrun|python3?|pip|pytest)\s")
_SEPARATORS = set("|&;<>")


class Block(NamedTuple):
    """One block of code.

    Attributes:
        page: Its file.
        line: Where it begins, from 1.
        language: First word of its name; empty for none.
        marks: The further words.
        text: Its content.
    """

    page: Path
    line: int
    language: str
    marks: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        """Page and line, for messages."""
        return f"{name(self.page)}:{self.line}"


def name(page: Path) -> str:
    """Returns the name of a page in the list of tests."""
    return str(page.relative_to(ROOT))


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """Returns the blocks of a page in their order."""
    result = []
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type in ("fence", "code_block"):
            language, *marks = token.info.split() or [""]
            line = (token.map or [0])[0] + 1
            result.append(Block(page, line, language, tuple(marks), token.content))
    return tuple(result)


def spans(page: Path) -> list[str]:
    """Returns the code within the sentences of a page."""
    result = []
    for token in MarkdownIt().enable("table").parse(page.read_text("utf-8")):
        result += [item.content for item in token.children or () if item.type == "code_inline"]
    return result


def lines(text: str) -> list[str]:
    """Returns the command lines of a block, continued ones joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def words(line: str) -> list[str]:
    """Returns the words of a line as a shell splits it, without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="".join(_SEPARATORS))
    lexer.whitespace_split = True
    return list(lexer)


def programs(line: str) -> Iterator[list[str]]:
    """Yields the words of each program of a line, without variables and redirections."""
    program: list[str] = []
    given = iter([*words(line), ";"])
    for word in given:
        if set(word) <= set("<>"):
            next(given)  # a file
        elif not set(word) <= _SEPARATORS:
            program.append(word)
        else:
            while program and re.fullmatch(r"[A-Z_]+=.*", program[0]):
                program.pop(0)
            if program:
                yield program
            program = []


def arguments(program: list[str]) -> list[str] | None:
    """Returns the arguments of tuiprobe in a program; None where another program is called."""
    if Path(program[0]).name == "tuiprobe":
        return program[1:]
    for at in range(len(program) - 1):
        if program[at : at + 2] == ["-m", "tuiprobe"]:
            return program[at + 2 :]
    return None


def expected_code(line: str) -> int:
    """Returns the exit code that the comment of a line announces, 0 without one."""
    message = re.search(r"# exit code (\d+)", line)
    return int(message[1]) if message else 0

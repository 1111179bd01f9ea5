"""Compares the size of every package with the table in CONTRIBUTING.md: growth shows.

    python -m tools.sizes            # fails where a package is larger than its row
    python -m tools.sizes --write    # renews the figures of the table; reasons stay

Code lines are lines without blanks, comments and docstrings. Statements are counted in the syntax
tree, so that denser lines gain nothing.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]

PACKAGE = "tuiprobe"
WHOLE = ("tests", "benchmarks")
"""Folders that have one row for everything below them."""

_ROW = re.compile(r"\| `([\w/]+)` \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|(.*)\|\n")


class Size(NamedTuple):
    """How large a package is."""

    files: int
    code_lines: int
    statements: int

    def __str__(self) -> str:
        """Returns the cells of a row."""
        return " | ".join(f"{figure:,}" for figure in self)


def size_of(source: str) -> Size:
    r"""Returns the size of one file of Python.

    >>> size_of('"A docstring."\n\nx = 1  # a comment\n')
    Size(files=1, code_lines=1, statements=2)
    """
    tree = ast.parse(source)
    texts = {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    code = [
        line
        for number, line in enumerate(source.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#") and number not in texts
    ]
    return Size(1, len(code), sum(isinstance(node, ast.stmt) for node in ast.walk(tree)))


def measured(root: Path) -> dict[str, Size]:
    """Returns the size of every package below a checkout, by the name of its row."""
    sizes: dict[str, Size] = {}
    for package, file in _files(root):
        size, so_far = size_of(file.read_text("utf-8")), sizes.get(package, Size(0, 0, 0))
        sizes[package] = Size(*(a + b for a, b in zip(so_far, size, strict=True)))
    return dict(sorted(sizes.items()))


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted((root / PACKAGE).rglob("*.py")):
        folder, *inner = file.relative_to(root / PACKAGE).parts
        yield (f"{PACKAGE}/{folder}" if inner else PACKAGE), file
    for name in WHOLE:
        yield from ((name, file) for file in sorted((root / name).rglob("*.py")))


def rows_of(text: str) -> dict[str, Size]:
    """Returns the size in every row of the table."""
    return {
        package: Size(*(int(figure.replace(",", "")) for figure in figures))
        for package, *figures, _ in _ROW.findall(text)
    }


def renewed(text: str, sizes: dict[str, Size]) -> str:
    """Returns a text with the figures of its table renewed; reasons stay, rows without files go."""
    return _ROW.sub(
        lambda row: f"| `{row[1]}` | {sizes[row[1]]} |{row[5]}|\n" if row[1] in sizes else "", text
    )


def run(root: Path, write: bool) -> int:
    """Prints the sizes and what differs from the table; returns 1 where something grew."""
    table = root / "CONTRIBUTING.md"
    sizes, text = measured(root), table.read_text("utf-8")
    if write:
        table.write_text(renewed(text, sizes), "utf-8")
        return 0
    rows, failed = rows_of(text), False
    for name, size in sizes.items():
        row = rows.get(name)
        message = "" if size == row else f"  was {row}" if row else "  is new: add its row"
        print(f"{name:24} {size}{message}")
        if row is None or any(now > before for now, before in zip(size, row, strict=True)):
            failed = True
            print(f"{name} grew: edit its row in {table.name}, and say why in one line")
    return int(failed)


def main() -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(",")[0])
    parser.add_argument("--write", action="store_true", help="renew the figures of the table")
    return run(CHECKOUT, parser.parse_args().write)


if __name__ == "__main__":
    raise SystemExit(main())

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

HEAD = "| package | files | code lines | statements | why it last grew |\n|---|---|---|---|---|\n"
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


def rows_of(text: str) -> dict[str, tuple[Size, str]]:
    """Returns size and reason of every row of the table.

    Raises:
        ValueError: If the text has no such table.
    """
    _, head, rest = text.partition(HEAD)
    if not head:
        raise ValueError(f"there is no table with the head {HEAD.partition(chr(10))[0]}")
    rows: dict[str, tuple[Size, str]] = {}
    while match := _ROW.match(rest):
        package, *figures, reason = match.groups()
        rows[package] = (
            Size(*(int(figure.replace(",", "")) for figure in figures)),
            reason.strip(),
        )
        rest = rest[match.end() :]
    return rows


def renewed(text: str, sizes: dict[str, Size]) -> str:
    """Returns a text with the figures of its table renewed; reasons stay."""
    before, head, rest = text.partition(HEAD)
    rows = rows_of(text)
    while match := _ROW.match(rest):
        rest = rest[match.end() :]
    lines = [
        f"| `{name}` | {size} | {rows.get(name, (size, ''))[1]} |\n" for name, size in sizes.items()
    ]
    return before + head + "".join(lines).replace("|  |\n", "| |\n") + rest


def verdict(name: str, size: Size | None, row: Size | None) -> tuple[str, bool]:
    """Returns what is to be said about a package, and whether it grew beyond its row."""
    if row is None:
        return f"{name} is new: add its row, and say in it why", True
    if size is None:
        return f"{name} is gone: delete its row", False
    if any(now > before for now, before in zip(size, row, strict=True)):
        return (
            f"{name} grew from {row} to {size}: edit its row, and say in it why in one line",
            True,
        )
    if size != row:
        return (
            f"{name} shrank from {row} to {size}: `python -m tools.sizes --write` notes it",
            False,
        )
    return "", False


def run(root: Path, write: bool) -> int:
    """Prints the sizes and what differs from the table; returns 1 where something grew."""
    table = root / "CONTRIBUTING.md"
    sizes, text = measured(root), table.read_text("utf-8")
    if write:
        table.write_text(renewed(text, sizes), "utf-8")
        return 0
    rows = rows_of(text)
    print(f"{'package':24}{'files':>7}{'code lines':>12}{'statements':>12}")
    for name, size in sizes.items():
        print(f"{name:24}{size.files:7,}{size.code_lines:12,}{size.statements:12,}")
    inside = [size for name, size in sizes.items() if name.startswith(PACKAGE)]
    print(f"{PACKAGE + ' in all':24}", end="")
    print("{:7,}{:12,}{:12,}".format(*map(sum, zip(*inside, strict=True))))
    failed = False
    for name in sorted({*sizes, *rows}):
        message, grew = verdict(name, sizes.get(name), rows[name][0] if name in rows else None)
        failed |= grew
        if message:
            print(f"{table.name}: {message} (files | code lines | statements)")
    return int(failed)


def main() -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(",")[0])
    parser.add_argument("--write", action="store_true", help="renew the figures of the table")
    return run(CHECKOUT, parser.parse_args().write)


if __name__ == "__main__":
    raise SystemExit(main())

"""Prints the size of every package, and holds the ceilings of CONTRIBUTING.md: one in, one out.

    python -m tools.sizes            # fails where a tree is above its ceiling
    python -m tools.sizes --write    # lowers the ceilings to today's sizes; never raises one

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

TREES = ("benchmarks", "tests", "tuiprobe")

_ROW = re.compile(r"\| `(\w+)` \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|\n")


class Size(NamedTuple):
    """How large a package or a tree is."""

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
    """Returns the size of every package below a checkout, of `TREES` last."""
    sizes: dict[str, Size] = {}
    for names, file in _files(root):
        size = size_of(file.read_text("utf-8"))
        for name in names:
            so_far = sizes.get(name, Size(0, 0, 0))
            sizes[name] = Size(*(a + b for a, b in zip(so_far, size, strict=True)))
    return dict(sorted(sizes.items(), key=lambda row: (row[0] in TREES, row[0])))


def _files(root: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    for tree in TREES:
        for file in sorted((root / tree).rglob("*.py")):
            package = file.relative_to(root).parts[:-1][:2]
            yield (tree, "/".join(package)) if tree == "tuiprobe" and package[1:] else (tree,), file


def ceilings_of(text: str) -> dict[str, Size]:
    """Returns the size in every row of the table."""
    return {
        tree: Size(*(int(figure.replace(",", "")) for figure in figures))
        for tree, *figures in _ROW.findall(text)
    }


def lowered(text: str, sizes: dict[str, Size]) -> str:
    """Returns a text with the figures of its table lowered to the sizes; none is raised."""

    def row(match: re.Match[str]) -> str:
        ceiling = ceilings_of(match[0])[match[1]]
        return f"| `{match[1]}` | {Size(*map(min, zip(ceiling, sizes[match[1]], strict=True)))} |\n"

    return _ROW.sub(row, text)


def run(root: Path, write: bool) -> int:
    """Prints the sizes; returns 1 where a tree is larger than its row."""
    table = root / "CONTRIBUTING.md"
    sizes, text = measured(root), table.read_text("utf-8")
    if write:
        table.write_text(lowered(text, sizes), "utf-8")
        return 0
    for name, size in sizes.items():
        print(f"{name:24} {size}")
    failed = False
    for tree, ceiling in ceilings_of(text).items():
        if any(now > most for now, most in zip(sizes[tree], ceiling, strict=True)):
            failed = True
            print(f"{tree} is above its ceiling, {ceiling}: something else must go")
    return int(failed)


def main() -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(",")[0])
    parser.add_argument("--write", action="store_true", help="lower the ceilings to the sizes")
    return run(CHECKOUT, parser.parse_args().write)


if __name__ == "__main__":
    raise SystemExit(main())

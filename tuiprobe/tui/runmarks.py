"""What tells runs apart on every screen, a sign and a colour for each."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

SIGNS: Final = "■▼□▽"
DARK: Final = ("#d4a8f2", "#f9a0c0", "#7fdbca", "#c3e88d", "#d7ba7d", "#a3bcff")
LIGHT: Final = ("#5f2a85", "#8a1f4e", "#00524a", "#3a5400", "#5c4210", "#2b3a94")
"""Colours of runs by theme: readable on the row under the cursor too."""


class RunMark(NamedTuple):
    """The sign of a run, and the name of its colour among the variables of a theme."""

    sign: str
    colour: str


def run_mark(run: Path) -> RunMark:
    """Returns the mark of a run, which follows from the name of its directory and of the one above.

    >>> run_mark(Path("/a/runs/mini_clip")) == run_mark(Path("/b/runs/mini_clip"))
    True
    """
    number = crc32("/".join(run.absolute().parts[-2:]).encode(errors="surrogateescape"))
    return RunMark(SIGNS[number // len(DARK) % len(SIGNS)], f"run-{number % len(DARK)}")


def run_colours(dark: bool) -> dict[str, str]:
    """Returns the colours of runs by their names.

    Args:
        dark: Whether the theme has a dark background.
    """
    return {f"run-{i}": colour for i, colour in enumerate(DARK if dark else LIGHT)}

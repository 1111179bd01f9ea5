"""What tells runs apart on every screen, a sign and a colour for each."""

from __future__ import annotations

from typing import Final, NamedTuple

SIGNS: Final = "■▽□▼◣◹▮▯"
DARK: Final = ("#d4a8f2", "#f9a0c0", "#7fdbca", "#c3e88d", "#d7ba7d", "#a3bcff")
LIGHT: Final = ("#5f2a85", "#8a1f4e", "#00524a", "#3a5400", "#5c4210", "#2b3a94")
"""Colours of runs by theme: readable on the row under the cursor too."""


class RunMark(NamedTuple):
    """The sign of a run, and the name of its colour among the variables of a theme."""

    sign: str
    colour: str


def run_mark(number: int) -> RunMark:
    """Returns the mark of the run that was shown as the nth; those of 24 in a row differ.

    The first six differ in both, so that they are told apart without colours too.

    >>> len({run_mark(n) for n in range(24)}), len({run_mark(n).sign for n in range(8)})
    (24, 8)
    """
    return RunMark(SIGNS[number % len(SIGNS)], f"run-{number % len(DARK)}")


def run_colours(dark: bool) -> dict[str, str]:
    """Returns the colours of runs by their names.

    Args:
        dark: Whether the theme has a dark background.
    """
    return {f"run-{i}": colour for i, colour in enumerate(DARK if dark else LIGHT)}

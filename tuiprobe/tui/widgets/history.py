"""Kurtosis of every set of a run so far: what is done, what is under way, what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.numbers import interval, number, plus_minus
from tuiprobe.plaintext import plain
from tuiprobe.tui.livewatch import Snapshot
from tuiprobe.tui.text import fitted

LONGEST_NAME = 16


@dataclass(frozen=True)
class SetLine:
    """One set.

    Attributes:
        sign: State as a sign: done, now, partial, waiting; blank if the engine did not say.
        name: Name of the set.
        forms: The rest of the line, from the longest form to the shortest.
        shown: Whether the other panels show this set.
        now: Whether it is under way; sets take turns.
    """

    sign: str
    name: str
    forms: tuple[str, ...]
    shown: bool = False
    now: bool = False


def sets_so_far(snapshot: Snapshot, tap: str, shown: str, going: bool = True) -> list[SetLine]:
    """Returns a line for every set of a run, in the order of measuring.

    Args:
        snapshot: The run.
        tap: Of which tap the kurtosis is.
        shown: The set that the other panels show.
        going: Whether the run goes on; if not, no set is under way.
    """
    going = going and snapshot.state != "ended"
    names = list(snapshot.sets) or list(dict.fromkeys(place[0] for place in snapshot.taps))
    return [_line(snapshot, name, tap, shown, going) for name in names]


def _line(snapshot: Snapshot, name: str, tap: str, shown: str, going: bool) -> SetLine:
    sign, word = _state(snapshot, name, going)
    figures = snapshot.taps.get((name, tap))
    if figures is None or figures.kurtosis is None:
        before = sign == "✓"
        forms: tuple[str, ...] = ("measured before this start", "before") if before else (word,)
    else:
        ends = figures.kurtosis, figures.low, figures.high
        long, short = interval(*ends), plus_minus(*ends)
        n = f"n\xa0{figures.n:,}"
        forms = (
            f"{long}  {n}  {word}", f"{long}  {word}", f"{short}  {n}  {word}",
            f"{short}  {word}", short, number(figures.kurtosis),
        )  # fmt: skip
    return SetLine(sign, name, forms, shown=name == shown, now=sign == "●")


def _state(snapshot: Snapshot, name: str, going: bool) -> tuple[str, str]:
    progress = snapshot.sets.get(name)
    if progress is None:
        return " ", ""
    if progress.total and progress.done >= progress.total:
        return "✓", "done"
    if progress.done:
        return ("●", "now") if going else ("◐", f"{progress.done:,} of {progress.total:,}")
    return "○", "waiting" if going else "not measured"


class SetHistory(Widget):
    """The sets of the run with their kurtosis; as many as fit, around one under way."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"history--dim"}
    DEFAULT_CSS = """
    SetHistory { height: 1fr; color: $foreground; }
    SetHistory > .history--dim { color: $foreground 70%; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._sets: Sequence[SetLine] = ()

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the list."""
        return ("set", "shift", "kurtosis", "interval", "n")

    def show(self, sets: Sequence[SetLine]) -> None:
        """Shows other sets in place."""
        self._sets = sets
        self.refresh()

    def _form(self, width: int) -> int:
        """Returns the longest form that fits for every set."""
        most = max((len(one.forms) for one in self._sets), default=1)
        for form in range(most):
            if all(len(self._rest(one, form)) <= width for one in self._sets):
                return form
        return most - 1

    @staticmethod
    def _rest(one: SetLine, form: int) -> str:
        return one.forms[min(form, len(one.forms) - 1)]

    def _first(self) -> int:
        """Returns the first set that is shown: one under way and what came before it."""
        now = next((i for i, one in enumerate(self._sets) if one.now), len(self._sets) - 1)
        last = min(max(now + 2, self.size.height), len(self._sets))
        return max(last - self.size.height, 0)

    def render_line(self, y: int) -> Strip:
        """Returns one set."""
        width, row = self.size.width, self._first() + y
        dim = self.get_component_rich_style("history--dim")
        if row >= len(self._sets):
            text = "no set measured yet" if not self._sets and y == 0 else ""
            return Strip([Segment(fitted(text, width), dim)], width)
        one = self._sets[row]
        longest = min(max(len(plain(one.name)) for one in self._sets), LONGEST_NAME, width // 2)
        rest = self._rest(one, self._form(width - longest - 3))
        text = f"{one.sign} {fitted(plain(one.name), longest)} {rest}"
        style = dim if one.sign == "○" else self.rich_style
        if one.shown:
            style += Style(bold=True)
        return Strip([Segment(fitted(text, width), style)], width)

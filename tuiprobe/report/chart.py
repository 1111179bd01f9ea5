"""The shape of a chart: series of points with bands, in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mark = Literal["line", "bars", "points"]
Role = Literal["main", "second", "third", "control", "reference", "context"]

_BACK_TO_FRONT = ("context", "reference", "control", "third", "second", "main")


@dataclass(frozen=True)
class Series:
    """One series of a chart.

    Attributes:
        name: For the legend; may come from outside.
        x: One value a point, ascending for lines; for bars the place from 0.
        y: One value a point.
        low: Lower ends of the 95 % intervals; empty without.
        high: Upper ends.
        mark: How it is drawn.
        role: What it stands for: the thing itself, up to two companions, a control, a reference
            line, or the context behind it.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    mark: Mark = "line"
    role: Role = "main"

    @property
    def banded(self) -> bool:
        """Whether a line is drawn with its intervals; companions would only hide each other."""
        told = self.low and (self.low != self.y or self.high != self.y)
        return bool(told) and self.role in ("main", "control")

    @property
    def labelled(self) -> bool:
        """Whether the name stands beside the only point, and in no legend."""
        return self.mark == "points" and self.role == "main" and len(self.x) == 1

    def __post_init__(self) -> None:
        """Checks that there is one value of each kind a point."""
        lengths = {len(self.x), len(self.y)}
        lengths |= {len(ends) for ends in (self.low, self.high) if ends}
        if len(lengths) != 1:
            raise ValueError(f"series {self.name!r} has parts of lengths {sorted(lengths)}")


@dataclass(frozen=True)
class Chart:
    """A picture of figures.

    Attributes:
        name: Of the file, ASCII letters, digits, dots and underscores.
        title: One line; may quote names from outside.
        x_label: What x is.
        y_label: What y is.
        series: What is drawn.
        ticks: Names of the places along x; empty where x is a number.
        note: What a reader must know to read it.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    ticks: tuple[str, ...] = ()
    note: str = ""

    def back_to_front(self) -> list[Series]:
        """The series as they are drawn, what matters most last."""
        return sorted(self.series, key=lambda one: _BACK_TO_FRONT.index(one.role))

    def x_range(self) -> tuple[float, float]:
        """Least and largest x; bars get half a place on either side.

        >>> Chart("c", "", "", "", (Series("s", (0, 4), (1, 2)),)).x_range()
        (0, 4)
        """
        values = [x for one in self.series for x in one.x]
        low, high = min(values, default=0.0), max(values, default=1.0)
        bars = any(one.mark == "bars" for one in self.series)
        return (low - 0.5, high + 0.5) if bars else _apart(low, high)

    def y_range(self) -> tuple[float, float]:
        """Least and largest y, intervals included; bars start at zero.

        >>> Chart("c", "", "", "", (Series("s", (0,), (1,), (0.5,), (3.0,)),)).y_range()
        (0.5, 3.0)
        """
        values = [y for one in self.series for y in (*one.y, *one.low, *one.high)]
        low, high = min(values, default=0.0), max(values, default=1.0)
        if any(one.mark == "bars" for one in self.series):
            low = min(low, 0.0)
        return _apart(low, high)


def _apart(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)

"""How a number and its interval are written for people; files for programs keep full precision.

Shares are written as per cent and differences of shares in points. The width of the interval
decides how many digits are written, never more than three: 93.2 (92.1 to 94.3), but 54 (49 to 59).
Without an interval, points and shares above 1 % have tenths, other numbers three digits. Counts
are written in full.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import ceil, copysign, floor, isfinite, log10
from typing import Final, TypeAlias

NORMAL_95: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: half the width of a 95 % interval, in sigma."""

MISSING: Final = "-"
"""What stands where there is no number."""

SUFFIXES: Final = {"share": " %", "points": " points", "count": "", "none": ""}
"""What is written behind a number; other units are written as they are, as in 36.4 dB."""

Span: TypeAlias = "tuple[float | None, float | None, float | None]"
"""A value, and the ends of its interval."""

_MINUS = "\N{MINUS SIGN}"
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
"""Stands for a blank at which no line breaks."""

_BROKEN = re.compile(
    rf"(?<=\d) (?=%|±|points?\b|dB\b|sigma\b|to [+{_MINUS}]?\d|of \d)|(?<=\d (?:to|of)) |(?<=±) "
    rf"|(?<=[\d%s]) (?=\([+{_MINUS}]?[\d.,]+ to [+{_MINUS}]?[\d.,]+\))"
)
_MOST_DIGITS = 3
_TINY, _HUGE = 1e-4, 1e15
_TENTH = 0.95


def number(
    value: float | None,
    unit: str = "none",
    low: float | None = None,
    high: float | None = None,
    *,
    signed: bool = False,
    bare: bool = False,
    decimals: int | None = None,
) -> str:
    """Returns a number with its unit, with the digits that its interval allows.

    Args:
        value: The number; shares and points as fractions. None and values that are not finite
            are missing.
        unit: `share`, `points`, `dB`, `count`, `none`, or any other, which is written as it is.
        low: Lower end of the interval.
        high: Upper end.
        signed: Whether a positive number gets a plus sign.
        bare: Whether the unit is left out, because a heading says it.
        decimals: Decimal places, up to three digits; None for those that the interval allows.

    >>> number(0.932), number(0.9, "share"), number(0.54321, "share", 0.49, 0.59)
    ('0.932', '90.0 %', '54 %')
    >>> number(0.00833, "points"), number(0.012, "points", -0.03, 0.06), number(0.00832, "share")
    ('0.8 points', '1 point', '0.832 %')
    >>> number(-0.035, "points", signed=True), number(12_345, "count"), number(2492.36)
    ('−3.5 points', '12,345', '2,490')
    >>> number(None), number(float("nan")), number(36.42, "dB")
    ('-', '-', '36.4 dB')
    """
    if value is None or not isfinite(value):
        return MISSING
    text = _bare(value, unit, _decimals(value, unit, low, high, decimals), signed)
    if bare:
        return text
    singular = unit == "points" and text.lstrip(f"+{_MINUS}") == "1"
    return text + (" point" if singular else suffix(unit))


def interval(
    value: float | None,
    low: float | None,
    high: float | None,
    unit: str = "none",
    *,
    signed: bool = False,
    bare: bool = False,
    decimals: int | None = None,
    outward: bool = False,
) -> str:
    """Returns a number with its unit and its interval; arguments as for `number` and `ends`.

    What is proven is an interval without a number, unless it is exact.

    >>> interval(0.9324, 0.921, 0.943, "share"), interval(-0.1, -0.12, -0.08, "points")
    ('93.2 % (92.1 to 94.3)', '−10.0 points (−12.0 to −8.0)')
    >>> interval(0.62, 0.378, 0.871, "share", outward=True), interval(1, 1, 1, outward=True)
    ('37 to 88 %', '1')
    """
    text = number(value, unit, low, high, signed=signed, bare=bare, decimals=decimals)
    between = ends(value, low, high, unit, signed=signed, decimals=decimals, outward=outward)
    if between and outward:
        return between if bare else between + suffix(unit)
    return f"{text} ({between})" if between else text


def ends(
    value: float | None,
    low: float | None,
    high: float | None,
    unit: str = "none",
    *,
    signed: bool = False,
    decimals: int | None = None,
    outward: bool = False,
    joined: str = " to ",
) -> str:
    """Returns the ends of an interval with the digits of `number`, without unit.

    Empty without one, and where both ends are the value.

    Args:
        value: As for `number`, like all that follow.
        low: Lower end.
        high: Upper end.
        unit: Of all of them.
        signed: Whether positive ends get a plus sign.
        decimals: Decimal places.
        outward: Whether the lower end is rounded down and the upper one up, as of what is proven.
        joined: What stands between the ends.

    >>> ends(0.9324, 0.921, 0.943, "share"), ends(0.5, None, None), ends(0.5, 0.5, 0.5)
    ('92.1 to 94.3', '', '')
    >>> ends(0.5, 0.025, 0.965, "share"), ends(0.5, 0.025, 0.961, "share", outward=True)
    ('3 to 97', '2 to 97')
    """
    if value is None or not isfinite(value) or not _half(low, high):
        return ""
    decimals = _decimals(value, unit, low, high, decimals)
    if outward and low is not None and high is not None and decimals is not None:
        low, high = -_rounded_up(-low, unit, decimals), _rounded_up(high, unit, decimals)
    return joined.join(_bare(end, unit, decimals, signed) for end in (low, high) if end is not None)


def same_decimals(column: Iterable[Span], unit: str = "none") -> int | None:
    """Returns the decimal places that all numbers of a column are written with.

    These are the decimals of the most precise number, as far as three digits go.

    Args:
        column: Value, low end and high end of each; ends are None without an interval.
        unit: Of all of them.

    >>> same_decimals([(0.7, None, None), (0.657, None, None), (210.0, None, None)])
    3
    >>> same_decimals([(0.54, 0.49, 0.59), (0.932, 0.921, 0.943)], "share")
    1
    """
    if unit == "count":
        return None
    texts = [
        _bare(value, unit, _decimals(value, unit, low, high), signed=False)
        for value, low, high in column
        if value is not None and isfinite(value)
    ]
    return max((len(text.partition(".")[2]) for text in texts if "e" not in text), default=None)


def unbroken(text: str) -> str:
    r"""Returns text in which no line breaks between a number, its unit and its range, or inside it.

    >>> unbroken("56 % (37 to 75) right, 3 of 13 wrong").split(" ")
    ['56\xa0%\xa0(37\xa0to\xa075)', 'right,', '3\xa0of\xa013', 'wrong']
    """
    return _BROKEN.sub(NO_BREAK, text)


def percent_done(part: float) -> str:
    """Returns how much of a work is done; 100 % only when all of it is.

    >>> percent_done(0.9996), percent_done(1.0)
    ('99 %', '100 %')
    """
    return f"{floor(100 * part + 1e-9)} %"


def short_count(count: float) -> str:
    """Returns a large count in millions or billions (parameters of a model).

    >>> short_count(1_450_392), short_count(38_316_896), short_count(2_539_567_000)
    ('1.5 M', '38 M', '2.5 B')
    """
    size, unit = (count / 1e9, "B") if count >= 999.5e6 else (count / 1e6, "M")
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"


def suffix(unit: str) -> str:
    """Returns the text behind a number of this unit.

    >>> suffix("share"), suffix("none"), suffix("dB")
    (' %', '', ' dB')
    """
    return SUFFIXES.get(unit, f" {unit}")


def as_written(value: float, unit: str) -> float:
    """Returns a value as it is written: shares and points times 100.

    >>> as_written(0.25, "share"), as_written(0.25, "none")
    (25.0, 0.25)
    """
    return 100 * value if unit in ("share", "points") else value


def unit_of_difference(unit: str) -> str:
    """Returns the unit of a difference of two figures: points for shares.

    >>> unit_of_difference("share"), unit_of_difference("dB")
    ('points', 'dB')
    """
    return "points" if unit == "share" else unit


def with_minus(text: str) -> str:
    """Returns the text of a number with a minus sign of the width of its plus sign.

    >>> with_minus("-1.5e-07")
    '−1.5e−07'
    """
    return text.replace("-", _MINUS)


def _half(low: float | None, high: float | None) -> float | None:
    if low is None or high is None or not (isfinite(low) and isfinite(high)):
        return None
    return (high - low) / 2


def _decimals(
    value: float,
    unit: str,
    low: float | None,
    high: float | None,
    decimals: int | None = None,
) -> int | None:
    """Returns the decimal places that an interval allows.

    `decimals` comes first.

    Half its width gets two digits where it begins with 1, 2 or 3, and else one; whole counts none.
    """
    if decimals is not None:
        return None if isinstance(value, int) else decimals
    half = as_written(_half(low, high) or 0.0, unit)
    if half <= 0 or not isfinite(half):
        return None
    if unit == "count" and all(n == int(n) for n in (value, low or 0.0, high or 0.0)):
        return 0
    exponent = floor(log10(half))
    return max(0, (1 if half / 10.0**exponent < 3.55 else 0) - exponent)


def _rounded_up(value: float, unit: str, decimals: int) -> float:
    """Returns the smallest number of so many decimals, and of three digits, that is no smaller."""
    scaled = as_written(value, unit)
    most = _MOST_DIGITS - 1 - floor(log10(abs(scaled))) if scaled else decimals
    step = as_written(10.0 ** min(decimals, most), unit)
    return ceil(value * step - 1e-9) / step


def _bare(value: float, unit: str, decimals: int | None, signed: bool) -> str:
    scaled = as_written(value, unit)
    sign = "+" if signed and scaled else "-"
    integral = isinstance(scaled, int) or (unit == "count" and scaled == int(scaled))
    if decimals is None and integral:
        return with_minus(f"{int(scaled):{sign},}")
    if decimals is None and (unit == "points" or (unit == "share" and abs(scaled) >= _TENTH)):
        decimals = 1
    exponent = floor(log10(abs(scaled))) if scaled else 0
    visible = _MOST_DIGITS if decimals is None else decimals + exponent + 1
    if scaled and visible > 0 and not _TINY <= abs(scaled) < _HUGE:
        return with_minus(f"{scaled:{sign}.{min(visible, _MOST_DIGITS) - 1}e}")
    return with_minus(_rounded(scaled, decimals, sign))


def _rounded(value: float, decimals: int | None, sign: str) -> str:
    """Returns a value with three digits at most; without an interval no zeros end it."""
    rounded, count = value, 0
    for _ in range(2):  # rounding may add a digit: 9.996 is 10.0
        count = _MOST_DIGITS - 1 - (floor(log10(abs(rounded))) if rounded else 0)
        count = count if decimals is None else min(count, decimals)
        step = 10.0**count
        rounded = copysign(floor(abs(value) * step + 0.5 + 1e-9) / step, value)  # half goes up
    count = max(count, 0)
    text = f"{rounded:{sign},.{count}f}" if rounded else f"{0:.{count}f}"
    return text.rstrip("0").rstrip(".") if decimals is None and count else text

"""Numbers for people; full precision is in results.json.

`number` and `figure` are for text, with four significant digits; `few`, `short` and `interval` are
for narrow columns and screens, with about three and no leading zero. An interval is written
"low to high" in brackets, rounded like its value.
"""

from __future__ import annotations

from tuiprobe.results import Figure, given


def number(value: float) -> str:
    """Returns a value with four significant digits.

    >>> number(23.456), number(1024.0), number(0.00012345), number(38316896)
    ('23.46', '1024', '0.0001234', '38,316,896')
    """
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))
    return f"{value:.4g}"


def figure(one: Figure) -> str:
    """Returns value and interval, or why there is none; the reason is text from outside.

    >>> from tuiprobe.results import Estimate, NotRun
    >>> figure(Estimate(value=8.213, low=8.16, high=8.27, n=500, method="bootstrap"))
    '8.213 (8.16 to 8.27)'
    >>> figure(NotRun(reason="no concept set", remedy="pass --concepts broden:DIR"))
    'not run: no concept set; pass --concepts broden:DIR'
    """
    if not given(one):
        return f"not run: {one.reason}{f'; {one.remedy}' if one.remedy else ''}"
    if one.low is None or one.high is None:
        return number(one.value)
    return f"{number(one.value)} ({number(one.low)} to {number(one.high)})"


def few(value: float) -> str:
    """Returns a value to about three digits, without a leading zero.

    >>> few(3.8959), few(0.92164), few(-0.25), few(2492.36), few(1e-7)
    ('3.90', '.922', '-.250', '2492', '1.0e-07')
    """
    if (value and abs(value) < 0.0005) or abs(value) >= 1e6:
        return f"{value:.1e}"
    return _rounded(value, _places(value))


def short(figure: Figure) -> str:
    """Returns value and half the width of its interval; a dash where there is no figure.

    >>> from tuiprobe.results import Estimate, NotRun
    >>> short(Estimate(value=3.896, low=3.829, high=3.964, n=96, method="m"))
    '3.90 ±.07'
    >>> short(NotRun(reason="none")), short(Estimate(value=.5, low=None, high=None, n=1, method=""))
    ('-', '.500')
    """
    if not given(figure):
        return "-"
    if figure.low is None or figure.high is None:
        return few(figure.value)
    half = (figure.high - figure.low) / 2
    return f"{few(figure.value)} ±{_rounded(half, _places(figure.value))}"


def interval(figure: Figure) -> str:
    r"""Returns the interval and n, or why there is no figure; "n" and its number stay on one line.

    >>> from tuiprobe.results import Estimate, NotRun
    >>> interval(Estimate(value=3.896, low=3.829, high=3.964, n=2304, method="m"))
    '(3.83 to 3.96)  n\xa02,304'
    >>> interval(NotRun(reason="one channel"))
    'not run: one channel'
    """
    if not given(figure):
        return f"not run: {figure.reason}"
    counted = f"n\N{NO-BREAK SPACE}{figure.n:,}" if figure.n else ""
    if figure.low is None or figure.high is None:
        return counted
    places = _places(figure.value)
    ends = f"({_rounded(figure.low, places)} to {_rounded(figure.high, places)})"
    return f"{ends}  {counted}".rstrip()


def change(value: float, low: float | None, high: float | None) -> str:
    """Returns a difference with its sign and interval, all to the places that the interval has.

    >>> change(-2.0, -2.5, -1.5), change(0.00017, -0.0011, 0.0015), change(0.5, None, None)
    ('-2.00 (-2.50 to -1.50)', '+.000 (-.001 to +.002)', '+.500')
    """
    ends = [end for end in (low, high) if end is not None]
    places = _places(max(abs(one) for one in (value, *ends)))
    told = _signed(value, places)
    if low is None or high is None:
        return told
    return f"{told} ({_signed(low, places)} to {_signed(high, places)})"


def _signed(value: float, places: int) -> str:
    text = _rounded(value, places)
    return text if text.startswith("-") else f"+{text}"


def _places(value: float) -> int:
    magnitude = abs(value)
    return 3 if magnitude < 1 else 2 if magnitude < 10 else 1 if magnitude < 1000 else 0


def _rounded(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text

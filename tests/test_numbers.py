"""How numbers are written for people: digits, signs, thousands, and what is missing."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tuiprobe.numbers import MISSING, as_written, ends, interval, number, same_decimals

MINUS = "\N{MINUS SIGN}"
UNITS = ("share", "points", "dB", "none", "ms")
VALUES = st.floats(-1e14, 1e14)
FRACTIONS = st.floats(0.0, 1.0)


def parsed(text: str) -> float:
    """Reads a number back."""
    return float(text.replace(",", "").replace(MINUS, "-"))


def digits(text: str) -> int:
    """Counts the significant digits of a number that is not whole by definition."""
    mantissa = text.replace(",", "").lstrip(f"+{MINUS}").partition("e")[0]
    if "." not in mantissa:
        return len(mantissa.rstrip("0"))
    return len(mantissa.replace(".", "").lstrip("0"))


@given(VALUES, st.sampled_from(UNITS))
def test_a_number_reads_back_within_its_digits(value: float, unit: str) -> None:
    text = number(value, unit, bare=True)
    exact = as_written(value, unit)
    assert digits(text) <= 3
    least = 0.0501 if unit in ("share", "points") else 0.0  # they end with the tenths
    assert parsed(text) == pytest.approx(exact, rel=0.00501, abs=least)


@given(FRACTIONS, FRACTIONS, FRACTIONS, st.sampled_from(UNITS))
def test_an_interval_reads_back_within_its_width(a: float, b: float, c: float, unit: str) -> None:
    low, value, high = sorted((a, b, c))
    assume(high - low > 1e-3)
    value_text, _, rest = interval(value, low, high, unit, bare=True).partition(" (")
    low_text, _, high_text = rest.removesuffix(")").partition(" to ")
    for text, exact in ((value_text, value), (low_text, low), (high_text, high)):
        assert digits(text) <= 3
        error = abs(parsed(text) - as_written(exact, unit))
        half = as_written(high - low, unit) / 2
        assert error <= max(0.15 * half, 0.005 * abs(as_written(exact, unit))) + 1e-12


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.921, 0.943, "93.2"), (0.88, 0.98, "93"), (0.930, 0.934, "93.2"), (0.4, 1.4, "93")],
)
def test_the_width_of_the_interval_decides_the_digits(low: float, high: float, text: str) -> None:
    assert number(0.932, "share", low, high) == f"{text} %"


@given(VALUES, st.sampled_from(UNITS))
def test_the_minus_sign_is_not_a_hyphen(value: float, unit: str) -> None:
    text = number(value, unit, bare=True)
    assert "-" not in text
    assert text.startswith(MINUS) == (value < 0 and parsed(text) != 0)


@given(st.floats(1e-6, 1e6))
def test_a_difference_has_its_sign_either_way(value: float) -> None:
    assert number(value, signed=True) == f"+{number(value)}"
    assert number(-value, signed=True) == f"{MINUS}{number(value)}"


@given(st.floats(-0.0004, 0.0004))
def test_what_rounds_to_zero_has_no_sign(value: float) -> None:
    assert number(value, "points", value - 0.1, value + 0.1, signed=True) == "0 points"


@given(st.integers(-(2**53), 2**53))
def test_counts_are_written_in_full_with_their_thousands_apart(count: int) -> None:
    text = number(count, "count")
    assert parsed(text) == count
    assert number(float(count), "count") == text
    assert [len(group) for group in text.lstrip(MINUS).split(",")[1:]] == [3] * text.count(",")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_missing(value: float | None) -> None:
    assert number(value, "share", 0.1, 0.2) == MISSING
    assert interval(value, 0.1, 0.2, "share") == MISSING


@pytest.mark.parametrize("end", [None, math.nan, math.inf])
def test_an_interval_without_an_end_is_left_out(end: float | None) -> None:
    assert interval(0.5, 0.4, end) == interval(0.5, end, 0.6) == "0.5"


def test_the_ends_have_the_places_of_the_value() -> None:
    assert (
        interval(0.006, -0.0092, 0.022, "points", signed=True)
        == f"+0.6 points ({MINUS}0.9 to +2.2)"
    )
    assert interval(99.96, 99.7, 100.2) == "100 (99.7 to 100)"
    assert interval(38_316.0, 37_800.0, 38_800.0) == "38,300 (37,800 to 38,800)"


def test_what_is_known_exactly_stands_alone() -> None:
    """All labelled, 44 % was written 44.0 (44.0 to 44.0)."""
    assert interval(0.44, 0.44, 0.44, "share") == "44.0 %"


@given(st.lists(FRACTIONS, min_size=2, max_size=6))
def test_the_numbers_of_a_column_have_the_same_places_up_to_three_digits(values):
    cells = [(value, value - 0.01, value + 0.01) for value in values]
    shared = same_decimals(cells, "share")
    texts = [interval(*cell, "share", decimals=shared).partition(" ")[0] for cell in cells]
    decimals = {len(text.partition(".")[2]) for text in texts if text.lstrip(MINUS) != "100"}
    assert len(decimals) <= 1


@given(st.floats(0, 1), st.floats(1e-6, 1), st.sampled_from(["share", "points", "none"]))
def test_ends_of_what_is_proven_are_rounded_outward(low: float, width: float, unit: str) -> None:
    high, times = low + width, 1 if unit == "none" else 100
    for least, most in ((low, high), (-high, -low)):
        written = ends((least + most) / 2, least, most, unit, outward=True)
        first, last = (float(end.replace("\N{MINUS SIGN}", "-")) for end in written.split(" to "))
        assert first <= times * least + 1e-6
        assert last >= times * most - 1e-6
    assert ends(0.5, 5 / 200, 193 / 200, "share", outward=True) == "2 to 97"

"""What a section may hold: what a renderer relies on is refused at the door."""

import pytest
from pydantic import ValidationError

from tuiprobe.results.section import Chart, Column, Series, Table


def points(**changes):
    return Series(**{"name": "s", "x": (0.0, 1.0), "y": (1.0, 2.0)} | changes)


def chart(*series):
    return Chart(id="c", title="", x_label="", y_label="", series=series)


def test_a_row_has_one_value_a_column():
    columns = (Column(id="a", title=("a",)), Column(id="b", title=("b",)))
    with pytest.raises(ValidationError, match="a row of table t has not one value a column"):
        Table(id="t", columns=columns, rows=(("x", 1), ("x",)))


@pytest.mark.parametrize("changes", [{"y": (1.0,)}, {"low": (0.0,)}, {"high": (1.0, 2.0, 3.0)}])
def test_a_series_has_one_value_a_point(changes):
    with pytest.raises(ValidationError, match="series 's' has parts of lengths"):
        points(**changes)


def test_numbers_of_a_chart_are_finite():
    with pytest.raises(ValidationError):
        points(y=(1.0, float("nan")))


def test_ranges_hold_every_interval_and_bars_start_at_zero():
    one = points(low=(0.5, 1.5), high=(1.5, 4.0))
    assert chart(one).y_range() == (0.5, 4.0)
    assert chart(one).x_range() == (0.0, 1.0)
    bars = points(mark="bars", y=(3.0, 2.0))
    assert chart(bars).y_range() == (0.0, 3.0)
    assert chart(bars).x_range() == (-0.5, 1.5)
    assert chart().y_range() == chart().x_range() == (0.0, 1.0)
    alike = points(x=(2.0, 2.0), y=(2.0, 2.0))
    assert (chart(alike).x_range(), chart(alike).y_range()) == ((1.5, 2.5), (1.5, 2.5))


def test_only_the_thing_itself_and_its_control_have_bands():
    told = {"low": (0.5, 1.5), "high": (1.5, 4.0)}
    assert points(**told).banded
    assert points(**told, role="control").banded
    assert not points(**told, role="second").banded
    assert not points(low=(1.0, 2.0), high=(1.0, 2.0)).banded
    assert not points().banded

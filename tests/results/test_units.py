"""Every figure says what it counts, and its field declares it."""

from typing import Annotated

import pytest
from pydantic import ValidationError

from tests.show.report.samples_head import head_report
from tuiprobe.choose.comparing.inference import second_minus_first
from tuiprobe.results import Estimate, Figure, NotRun, is_known
from tuiprobe.results.base import Frozen, Share, in_unit
from tuiprobe.results.figures import BY_ID
from tuiprobe.show.report.formats import json_schema

UNITS = {
    "labelled": "share",
    "top1": "share",
    "mean_shift": "share",
    "effective_robustness": "points",
    "target": "share",
    "height": "sigma",
    "offset.share": "share",
    "kurtosis": "none",
}


class Timed(Frozen):
    """A result of a plugin with a unit of its own."""

    share: Share
    latency: Annotated[Figure, *in_unit("ms")]


def plain(value: float, **more: str) -> Estimate:
    return Estimate(value=value, low=value - 0.1, high=value + 0.1, n=9, method="", **more)


def test_a_field_gives_its_unit_to_a_figure_that_says_none() -> None:
    result = Timed(share=plain(0.5), latency=plain(3.0))
    assert result.share.with_interval() == "50 % (40 to 60)"
    assert result.latency.with_interval() == "3.00 ms (2.90 to 3.10)"
    read = Timed.model_validate_json(result.model_dump_json())
    assert read == result
    assert Timed(share=NotRun(reason="x"), latency=plain(3.0)).share == NotRun(reason="x")


def test_a_figure_of_another_unit_is_refused() -> None:
    with pytest.raises(ValidationError, match="says dB where share belongs"):
        Timed(share=plain(0.5, unit="dB"), latency=plain(3.0))


@pytest.mark.parametrize("unit", ["", "x" * 33, "a\nb", "\x1b[31m", "<b>"])
def test_a_unit_is_a_short_word(unit: str) -> None:
    with pytest.raises(ValidationError):
        plain(1.0, unit=unit)


def test_the_schema_names_the_unit_of_a_field() -> None:
    fields = json_schema()["$defs"]["SetAccuracy"]["properties"]
    assert fields["top1"]["unit"] == "share"
    assert "unit" in json_schema()["$defs"]["Estimate"]["properties"]


def test_every_headline_figure_says_its_unit() -> None:
    assert set(UNITS) == set(BY_ID)
    for part in head_report().parts:
        for one in part.figures:
            if one.headline is not None and one.id in UNITS and is_known(one.figure):
                assert one.figure.unit == UNITS[one.id], one.id


def test_the_difference_of_two_shares_is_in_points() -> None:
    first, second = plain(0.5, unit="share"), plain(0.6, unit="share")
    found = second_minus_first(first, second)
    assert is_known(found)
    assert found.with_interval(signed=True) == "+10 points (\N{MINUS SIGN}4 to +24)"
    other = second_minus_first(plain(3.0, unit="dB"), plain(2.0, unit="dB"))
    assert is_known(other)
    assert other.unit == "dB"

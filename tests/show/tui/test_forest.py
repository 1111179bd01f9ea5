"""The forest: one axis for all lines, and ranges in digits that no width cuts."""

import pytest

from tests.show.tui.conftest import screens, until
from tuiprobe.numbers import interval
from tuiprobe.results.accuracy import Accuracy, Evidence
from tuiprobe.show.tui.app import TuiprobeApp
from tuiprobe.show.tui.widgets.forest import Forest, ForestRow, RangeEnds, accuracy_row


def accuracy(data: str, value: float, evidence: Evidence = "measured") -> Accuracy:
    return Accuracy(
        data=data, value=value, low=value - 0.19, high=value + 0.19, range="images",
        evidence=evidence, n=500,
    )  # fmt: skip


SETS = (
    accuracy("a set whose name is as long as names of folders are", 0.562, "estimate"),
    accuracy("val", 0.81), accuracy("labelled", 0.2, "labels"),
)  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("width", [28, 60, 80, 120])
async def test_a_range_is_never_cut_and_values_lie_where_the_axis_says(width: int) -> None:
    forest = Forest(accuracy_row, ("set", "right", "evidence"), ())
    forest.styles.width = width
    app = TuiprobeApp()
    async with app.run_test(size=(max(width, 60), 30)) as pilot:
        await app.screen.mount(forest)
        forest.show_rows(SETS)
        await until(pilot, lambda: forest.size.width == width)
        heading, *lines = (forest.render_line(y).text for y in range(4))
        assert all(len(line) == width for line in (heading, *lines))
        for known, line in zip(SETS, lines, strict=True):
            assert interval(known.value, known.low, known.high, "share") in line
        if width == 28:
            return  # figures stand alone
        start, end = heading.index(" 0") + 1, heading.index("100 %") + len("100 %") - 1
        for known, line, sign in zip(SETS, lines, "◇◆◆", strict=True):
            cell = start + known.value * (end - start)
            assert abs(line.index(sign) - cell) <= 1
            assert abs(line.index("├") - start - known.low * (end - start)) <= 1


@pytest.mark.asyncio
async def test_differences_share_a_scale_around_zero() -> None:
    rows = [
        ForestRow(("a", "x"), "+10 (6 to 15)", RangeEnds(0.06, 0.10, 0.15), "212"),
        ForestRow(("b", "y"), "-", None, "-"),
        ForestRow(("c", "x"), "−20 (−40 to 0)", RangeEnds(-0.40, -0.20, 0.0), "9"),  # noqa: RUF001
    ]
    titles = ("set", "model", "points", "differ")
    forest = Forest[ForestRow](lambda row: row, titles, (), differences=True)
    async with screens((100, 30)) as (pilot, app):
        await app.screen.mount(forest)
        forest.show_rows(rows)
        await until(pilot, lambda: forest.size.width > 60)
        heading, *lines = (forest.render_line(y).text for y in range(4))
        zero = lines[0].index("┼")
        assert lines[2][zero - 1 : zero + 2] == "─┼ "
        assert heading.rstrip().endswith("+40")
        assert lines[0].index("◆") - zero == pytest.approx((zero - lines[2].index("◆")) / 2, abs=1)
        assert "◆" not in lines[1]
        assert forest.current_cells() == dict(zip(titles, rows[0].texts, strict=True))

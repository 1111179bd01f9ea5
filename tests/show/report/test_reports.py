"""Golden reports; `TUIPROBE_RENEW=1 pytest tests/show/report` renews them after a wanted change."""

import csv
import io
import os
from pathlib import Path

import pytest

from tests.show.report.samples import model, outliers, report, without_outliers
from tests.show.report.samples_head import head_report
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.inside.concepts.compute import Concepts
from tuiprobe.inside.directions.compute import Directions
from tuiprobe.inside.outliers.result import Outcome, Persistence
from tuiprobe.numbers import MISSING
from tuiprobe.results import NotRun, SetSummary, Skipped
from tuiprobe.results.card import card
from tuiprobe.show.report.markdown import markdown
from tuiprobe.show.report.strings import line
from tuiprobe.show.report.tables import tables
from tuiprobe.show.report.terminal import summary

GOLDEN = Path(__file__).parent / "golden"


def layered():
    nothing = NotRun(reason="needs two images that count; there are 1")
    inner = outliers(
        tap="blocks.3", kind="token", tokens="all", final=False, top_images=(),
        persistence=Persistence(value=nothing, effective_channels=nothing), heights=nothing,
    )  # fmt: skip
    return report(outliers=(inner, outliers()))


def untrained():
    weights = model().weights.model_copy(update={"kind": "untrained", "source": "random"})
    withheld = outliers(**without_outliers(Outcome.WITHHELD, "the network is untrained"))
    return report(model=model(weights=weights), outliers=(withheld,))


@pytest.mark.parametrize("make", [report, layered, untrained])
def test_markdown_is_as_agreed(make):
    path = GOLDEN / f"{make.__name__}.md"
    content = markdown(make())
    rectangular(content)
    if os.environ.get("TUIPROBE_RENEW"):
        path.write_text(content, encoding="utf-8")
    assert content == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", tables(report()))
def test_tables_are_as_agreed(name):
    path = GOLDEN / f"{name}.csv"
    content = tables(layered())[name]
    if os.environ.get("TUIPROBE_RENEW"):
        path.write_text(content, encoding="utf-8")
    assert content == path.read_text(encoding="utf-8")


def rectangular(text):
    """Fails if a table has rows of unlike width."""
    for block in text.split("\n\n"):
        rows = [line for line in block.split("\n") if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1, block


def test_csv_tables_hold_every_point_as_numbers():
    def rows(name):
        return list(csv.DictReader(io.StringIO(tables(full)[name])))

    full = head_report()
    bases = full.part(Directions).bases
    assert len(rows("pruning")) == sum(len(c.points) for basis in bases for c in basis.curves)
    assert {row["control"] for row in rows("pruning")} == {"yes", "no"}
    assert float(rows("pruning")[0]["value"]) == bases[0].curves[0].points[0].accuracy.value
    assert len(rows("accuracies")) == 3 * len(full.part(Robustness).accuracies) - 2
    assert len(rows("ablation")) == 2 * 6
    assert any(row["not_run_because"] for row in rows("effective_robustness"))
    assert {row["family"] for row in rows("concepts_by_category")} == {
        item.family for item in full.part(Concepts).families
    }
    cells = {cell for name in tables(full) for row in rows(name) for cell in row.values()}
    assert "" in cells
    assert not cells & {"None", "nan", "NaN", "null", MISSING}
    rectangular(markdown(full))


def test_many_skipped_images_are_cut_in_the_report_only():
    skipped = tuple(Skipped(path=f"{i}.jpg", reason="truncated") for i in range(30))
    data = SetSummary(name="val", source="x", images=40, measured=10, skipped=skipped)
    assert "and 10 more" in markdown(report(data=(data,)))
    assert tables(report(data=(data,)))["skipped"].count("\n") == 31


def test_the_summary_is_the_card_in_rows_of_a_terminal():
    content = report()
    rows = summary(content).splitlines()
    assert max(map(len, rows)) <= 100
    blocks = card(content)
    assert [item.block for item in blocks] == ["inside", "how sure"]
    assert rows.pop() == "Measured     with tuiprobe 0.2.0"
    beside = [row[:13].strip() for row in rows[2:]]
    assert [item for item in beside if item] == ["Inside", "How sure"]
    words = " ".join(row[13:] for row in rows[2:])
    assert words == " ".join(line(text) for item in blocks for text in item.lines)
    assert rows[:2] == [content.title, "warning: 1 image skipped"]
    assert "Not known: Concepts: no concept set (pass --concepts broden:DIR)." in words


def test_a_part_that_asks_for_no_result_is_not_missed():
    content = report()
    parts = [item.model_copy(update={"applies": False}) for item in content.parts]
    assert "Not known" not in summary(content.model_copy(update={"parts": tuple(parts)}))


def test_blocks_that_explain_accuracies_have_four_lines_at_most_and_lose_none():
    content = report()
    inside = next(item for item in content.parts if item.block == "inside")
    section = inside.section.model_copy(update={"card": tuple((f"s{i}.",) for i in range(5))})
    more = inside.model_copy(update={"section": section})
    block = card(content.model_copy(update={"parts": (more,)}))[0]
    assert [line(text) for text in block.lines] == [f"s{i}." for i in range(5)]
    many = section.model_copy(update={"card": tuple((f"s{i}.",) for i in range(6))})
    answered = head_report().model_copy(
        update={"parts": (*head_report().parts[:1], inside.model_copy(update={"section": many}))}
    )
    (block,) = (one for one in card(answered) if one.block == "inside")
    assert [line(text) for text in block.lines] == ["s0.", "s1.", "s2.", "s3. s4. s5."]
    assert block.folded
    none = inside.model_copy(update={"section": section.model_copy(update={"card": ()})})
    assert [item.block for item in card(content.model_copy(update={"parts": (none,)}))] == [
        "how sure"
    ]

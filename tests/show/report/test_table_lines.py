"""Tables as text: what any width may do to words and ranges."""

import pytest

from tests.show.report.samples import estimate
from tuiprobe.results.section import Column, Section, Table
from tuiprobe.show.report.terminal import WIDTH, Terminal, section_text, table_lines

WORDS = (
    "representation of an ordinary photograph", "counterfactual",
    "a remark that is longer than any of these columns, so that it is wrapped",
)  # fmt: skip
NAMES = ("set", "what is measured on it", "accuracy", "difference", "n", "remark")
FIGURES = [(estimate(0.56 + i / 10, 0.19), estimate(-0.1, 0.04)) for i in range(2)]


def table() -> Table:
    """Returns a table of words, ranges and counts, with a column that says nothing."""
    columns = [Column(id=f"c{i}", title=(name,)) for i, name in enumerate((*NAMES, "empty"))]
    rows = [
        (name, f"{word} {i}", *FIGURES[i], 500, WORDS[2], None)
        for i, (name, word) in enumerate((("val", WORDS[0]), ("imagenet_sketch", WORDS[1])))
    ]  # fmt: skip
    return Table(id="t", columns=tuple(columns), rows=tuple(rows))


@pytest.mark.parametrize("width", [32, 60, 80, 120])
def test_no_word_and_no_range_is_broken(width: int) -> None:
    lines = table_lines(table(), width)
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    for cell in (*WORDS, *NAMES[1:5], "imagenet_sketch"):
        assert {word.rstrip(":") for word in words} >= set(cell.replace(":", "").split())
    for figure in (of for both in FIGURES for of in both):
        assert any(figure.with_interval() in line for line in lines)
    assert not any("empty" in line for line in lines)


def test_a_terminal_has_colours_and_its_width_and_a_pipe_none() -> None:
    section = Section(title="Decision", headline=("Take it.",), content=(table(),))
    plain, wide = section_text(section), section_text(section, Terminal(200, colour=True))
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= WIDTH < max(map(len, wide.splitlines()))
    assert "\x1b[1mTake it.\x1b[0m" in wide

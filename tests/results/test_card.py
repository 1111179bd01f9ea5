"""The card: which figures a block names for drawing."""

from tests.tui.finished import EVIL, full_report
from tuiprobe.results import NotRun
from tuiprobe.results.card import card


def test_a_block_names_the_figures_that_may_be_drawn() -> None:
    blocks = {one.block: one for one in card(full_report())}
    shifts = blocks["shifts"]
    assert [one.data for one in shifts.bars] == ["val", EVIL, "r", "sketch", "objectnet", "a"]
    assert {one.id for one in shifts.bars} == {"top1"}
    assert [(one.id, one.about[0]) for one in shifts.marks] == [("value", "standard")]
    assert not [one for one in blocks.values() if one.block != "shifts" and one.bars + one.marks]


def test_what_was_not_run_is_not_drawn() -> None:
    bare = card(full_report(robustness=NotRun(reason="no labels")))
    assert not [one for one in bare if one.bars or one.marks]

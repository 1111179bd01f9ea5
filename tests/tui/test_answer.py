"""The answer at the top of the overview."""

import pytest

from tests.tui.finished import full_report
from tuiprobe.results import Part
from tuiprobe.results.card import CardBlock
from tuiprobe.results.section import Section
from tuiprobe.tui.tabs.overview import answer_of


@pytest.mark.parametrize("joined", ["; such", ". Such", ": such"])
def test_what_follows_the_answer_begins_as_a_sentence(joined: str) -> None:
    clause = "about 56 % right (37 to 75)"
    text = ("street (500 images, no labels): ", clause, f"{joined} ranges hold.")
    section = Section(title="Target", headline=text, clause=clause, clause_on="street", content=())
    part = Part(probe="targets", title="Target", block="your images", section=section)
    report = full_report().model_copy(update={"parts": (part,)})
    block = CardBlock(block="your images", title="Your images", lines=(text,))
    assert answer_of(report, block) == (
        f"{clause} on street", "street (500 images, no labels)", ("Such ranges hold.",)
    )  # fmt: skip

"""The glossary: short, complete, and the same on its page."""

import re
from pathlib import Path

import pytest

from tuiprobe.catalog.glossary import mentioned, named, page, term, terms

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_terms_are_short_and_defined_on_a_page_of_the_docs() -> None:
    for one in terms():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.id)
        assert 20 < len(one.short) <= 180, one.id
        assert len(one.more) <= 180, one.id
        for sentence in (one.short, one.more):
            assert not sentence or sentence.endswith("."), one.id
            assert "\n" not in sentence
        assert (DOCS / one.page).is_file(), one.id


def test_no_two_terms_have_one_name() -> None:
    words = [word.casefold() for one in terms() for word in one.words]
    assert sorted(words) == sorted(set(words))


def test_an_unknown_id_is_an_error() -> None:
    assert term("outlier-channel").name == "outlier channel"
    with pytest.raises(KeyError):
        term("no-such-term")


def test_a_heading_is_found_by_any_of_its_names_and_nothing_else_is() -> None:
    assert named("Kept apart") == term("channels-apart")
    assert named("n") == term("n")
    assert named("n 2,000") is None
    assert named("") is None


def test_everyday_words_of_a_sentence_are_not_taken_for_terms() -> None:
    text = "Set to their mean, an even share of the images leads in n cases; INT8 leaves 36 dB."
    assert [one.id for one in mentioned(text)] == ["set-to-mean", "quantisation", "sqnr"]


def test_the_longest_name_in_a_sentence_counts() -> None:
    found = [one.id for one in mentioned("calibration error after temperature scaling")]
    assert found == ["ece", "temperature"]


def test_the_page_is_current() -> None:
    assert (DOCS / "glossary.md").read_text("utf-8") == page(), (
        "python -m tuiprobe.catalog.glossary > docs/glossary.md"
    )


def test_a_letter_is_a_term_as_a_heading_and_no_word_of_a_sentence() -> None:
    assert named("P") is not None
    assert mentioned("images of class P") == ()

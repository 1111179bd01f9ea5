"""The glossary: short, complete, and the same on its page."""

import re
from pathlib import Path

from tuiprobe.catalog.glossary import mentioned, named, page, term, terms

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_terms_are_short_and_defined_on_a_page_of_the_docs() -> None:
    for entry in terms():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.id)
        assert 20 < len(entry.short) <= 180, entry.id
        assert len(entry.more) <= 180, entry.id
        for sentence in (entry.short, entry.more):
            assert not sentence or sentence.endswith("."), entry.id
            assert "\n" not in sentence
        assert (DOCS / entry.page).is_file(), entry.id


def test_the_page_is_current() -> None:
    assert (DOCS / "glossary.md").read_text("utf-8") == page(), (
        "python -m tuiprobe.catalog.glossary > docs/glossary.md"
    )


def test_a_term_is_found_by_its_names_and_by_no_everyday_word() -> None:
    words = [word.casefold() for entry in terms() for word in entry.words]
    assert sorted(words) == sorted(set(words))
    assert named("Polysemantic") == term("unique-concept")
    assert named("n") == term("n")
    assert named("n 2,000") is named("") is None
    for text, ids in (
        ("Set to their mean, an even share of the images leads in n cases.",
         ["ablation"]),
        ("calibration error after temperature scaling", ["ece", "temperature"]),
        ("images of class P", []),
    ):  # fmt: skip
        assert [entry.id for entry in mentioned(text)] == ids

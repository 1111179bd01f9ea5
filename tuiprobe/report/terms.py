"""Terms of the glossary on a page: marked where a section first uses them, explained at its end."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from tuiprobe.catalog.glossary import Term, mentions
from tuiprobe.report.elements import append, inside


class Terms:
    """The terms that a page uses."""

    def __init__(self) -> None:
        self._used: dict[str, Term] = {}
        self._told: set[str] = set()

    def begin(self) -> None:
        """Begins a section, which marks its terms again."""
        self._told.clear()

    def explain(self, place: Element, text: str) -> None:
        """Appends text; each term that the section has not used yet leads to its explanation."""
        done = 0
        for start, end, term in mentions(text):
            named = text[start:end]
            # A set that is called "objectnet" is not the published ObjectNet.
            if term.id in self._told or (named.islower() and named not in term.words):
                continue
            self._told.add(term.id)
            self._used[term.id] = term
            append(place, text[done:start])
            told = f"{term.short} {term.more}".strip()
            inside(place, "a", named, class_="term", href=f"#term-{term.id}",
                   aria_describedby=f"term-{term.id}", data_tip=told)  # fmt: skip
            done = end
        append(place, text[done:])

    def write(self, place: Element) -> None:
        """Appends every term that was used, by name."""
        listed = inside(place, "dl", class_="terms")
        for term in sorted(self._used.values(), key=lambda one: one.name.casefold()):
            inside(listed, "dt", term.name)
            about = inside(listed, "dd", f"{term.short} ", id=f"term-{term.id}")
            if term.more:
                inside(about, "em", f"{term.more} ")

    def __bool__(self) -> bool:
        return bool(self._used)

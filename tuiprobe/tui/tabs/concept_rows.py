"""The encoded concepts as rows: one per concept, with the direction that separates it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuiprobe.numbers import number
from tuiprobe.plaintext import holds_all
from tuiprobe.probes.concepts.result import Concepts, EncodedConcept
from tuiprobe.tui.widgets.rows import RowColumn

COLUMNS = (
    RowColumn("concept", 14, term="concept"),
    RowColumn("category", 9, drop=2, term="concept-category"),
    RowColumn("AP", 5, right=True, term="average-precision"),
    RowColumn("direction", 9, drop=1, term="privileged-direction"),
    RowColumn("encoded", 7, drop=3, term="encodes"),
    RowColumn("polysemantic with", 22, drop=4, term="concepts-per-direction"),
)
THRESHOLDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class ConceptRow:
    """One concept.

    Attributes:
        concept: The concept, by the direction that separates it best.
        direction: Place of that direction by singular value.
        with_: Other concepts that the same direction encodes.
        encoded: Whether it passes the threshold of the report.
    """

    concept: EncodedConcept
    direction: int
    with_: tuple[str, ...]
    encoded: bool

    @property
    def precision(self) -> float:
        """The lower of the two splits' average precisions: what counts for the threshold."""
        return min(self.concept.train, self.concept.val)

    @property
    def sign(self) -> str:
        """The end of the direction that shows the concept."""
        return "+" if self.concept.sign > 0 else "-"


def concept_rows(found: Concepts) -> list[ConceptRow]:
    """Returns one row per concept that the leading directions encode, best first."""
    best: dict[tuple[str, str], tuple[int, EncodedConcept]] = {}
    for one in found.top:
        for concept in one.concepts:
            place = (concept.category, concept.name)
            known = best.get(place)
            if known is None or _precision(concept) > _precision(known[1]):
                best[place] = (one.index, concept)
    by_direction = {
        one.index: [c.name for c in one.concepts if _precision(c) >= found.threshold]
        for one in found.top
    }
    rows = [
        ConceptRow(
            concept,
            index,
            tuple(name for name in by_direction[index] if name != concept.name),
            _precision(concept) >= found.threshold,
        )
        for index, concept in best.values()
    ]
    return sorted(rows, key=lambda row: (-row.precision, row.concept.name))


def _precision(concept: EncodedConcept) -> float:
    return min(concept.train, concept.val)


def cells(row: ConceptRow) -> list[str]:
    """Returns the cells of one row of the table."""
    return [
        row.concept.name,
        row.concept.category,
        number(row.precision),
        f"v{row.direction} {row.sign}",
        "✓" if row.encoded else "-",
        ", ".join(row.with_) or "-",
    ]


def filtered(rows: Sequence[ConceptRow], query: str, least: float) -> list[ConceptRow]:
    """Returns the rows with all words in name or category, and at least this average precision."""
    return [
        row
        for row in rows
        if row.precision >= least
        and holds_all(f"{row.concept.name} {row.concept.category}", query.split())
    ]


def ordered(rows: Sequence[ConceptRow], column: int, down: bool) -> list[ConceptRow]:
    """Returns the rows sorted by a column, numbers by their value."""
    keys = (
        lambda row: row.concept.name.lower(),
        lambda row: row.concept.category.lower(),
        lambda row: row.precision,
        lambda row: row.direction,
        lambda row: row.encoded,
        lambda row: len(row.with_),
    )
    return sorted(rows, key=keys[column], reverse=down)

"""The concept section of report.md."""

from tuiprobe.report.text import code, escaped, figure, number, table
from tuiprobe.results import Concepts, Report

SHOWN_DIRECTIONS = 8


def concept_sections(report: Report) -> list[str]:
    """Unique concepts beside random directions; nothing where there is no concept set."""
    if report.concepts is None:
        return []
    found = report.concepts
    prevalence = (
        "the images as they are"
        if found.prevalence is None
        else f"prevalence {number(found.prevalence)}"
    )
    return [
        f"## Concepts on {code(found.data)}",
        "",
        f"**{figure(found.excess)}** more unique concepts than as many random directions of the "
        f"head's row space find (W minus its mean row: {figure(found.excess_centred)}). A "
        f"direction encodes a concept at average precision >= {number(found.threshold)} on the "
        f"{found.train} images that choose its sign and on the {found.val} that confirm, at "
        f"{prevalence}, against the images {_against(found)}. {found.tried} concepts were tried, "
        f"{found.left_out} have too few images. The number of unique concepts is no indicator of "
        "robustness.",
        "",
        *_families(found),
        *_top(found),
    ]


def _against(found: Concepts) -> str:
    return "annotated for its category" if found.negatives == "annotated" else "of all categories"


def _families(found: Concepts) -> list[str]:
    categories = [c.category for c in found.families[0].categories] if found.families else []
    header = ["directions", "how many", "unique concepts", "rarefied", "concepts a direction"]
    rows = [
        [
            one.family,
            str(one.directions),
            figure(one.unique),
            f"{figure(one.rarefied)} of {one.rarefied_to}",
            figure(one.polysemanticity),
            *(figure(c.concepts) for c in one.categories),
        ]
        for one in found.families
    ]
    return table([*header, *(escaped(name) for name in categories)], rows)


def _top(found: Concepts) -> list[str]:
    rows = [
        [
            str(one.index),
            "; ".join(
                f"{escaped(c.name)} ({'+' if c.sign > 0 else '-'}, {number(min(c.train, c.val))})"
                for c in one.concepts
            ),
        ]
        for one in found.top[:SHOWN_DIRECTIONS]
    ]
    note = "What the leading singular vectors of W tell best (sign, lower average precision):"
    return [note, "", *table(["direction", "concepts"], rows)] if rows else []

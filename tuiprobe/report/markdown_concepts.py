"""The concept section of report.md."""

from tuiprobe.probes.concepts.result import Concepts, DirectionConcepts, DirectionFamily
from tuiprobe.report.text import code, escaped, figure, number, table
from tuiprobe.results import given
from tuiprobe.results.report import Report

SHOWN_DIRECTIONS = 8
SHOWN_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


def concept_sections(report: Report) -> list[str]:
    """Unique concepts beside random directions; nothing where there is no concept set."""
    if report.concepts is None:
        return []
    found = report.concepts
    return [
        f"## Concepts on {code(found.data)}",
        "",
        _headline(found),
        "",
        _protocol(found),
        "",
        *_families(found),
        *_categories(found),
        *_curve(found),
        *_top(found),
    ]


def _headline(found: Concepts) -> str:
    if given(found.excess):
        return (
            f"**{figure(found.excess)}** more unique concepts than as many random directions of "
            f"the head's row space find (W minus its mean row: {figure(found.excess_centred)})."
        )
    said = f"Directions of a head: {figure(found.excess)}."
    channels = next((one for one in found.families if one.family == "channels"), None)
    if channels is None or channels.excess is None:
        return said
    return (
        f"**{figure(channels.excess)}** more unique concepts in {channels.rarefied_to} channels "
        f"than in as many random directions of the representation. {said}"
    )


def _protocol(found: Concepts) -> str:
    share = "" if found.share is None else f" on at least {found.share:.3g} of its area"
    lost = (
        f" {found.not_finite} images are left out: their representation is not finite."
        if found.not_finite
        else ""
    )
    return (
        f"A direction encodes a concept at average precision >= {number(found.threshold)} on the "
        f"{found.train} images that choose its sign and on the {found.val} that confirm, "
        f"{_prevalence(found)}, against the images {_against(found)}. An image shows a concept"
        f"{share or ' as its labels say'}. {found.tried} concepts were tried, {found.left_out} "
        f"have too few images.{lost} The number of unique concepts is no indicator of robustness."
    )


def _prevalence(found: Concepts) -> str:
    if found.balance == "sample":
        return "over as many negatives as positives, drawn once"
    if found.prevalence is None:
        return "with the images as they are"
    return f"calibrated to prevalence {number(found.prevalence)}"


def _against(found: Concepts) -> str:
    return "annotated for its category" if found.negatives == "annotated" else "of all categories"


def _families(found: Concepts) -> list[str]:
    header = ["directions", "how many", "unique concepts", "rarefied", "over random, rarefied",
              "concepts a direction"]  # fmt: skip
    rows = [
        [
            one.family,
            str(one.directions),
            figure(one.unique),
            f"{figure(one.rarefied)} of {one.rarefied_to}",
            "-" if one.excess is None else figure(one.excess),
            figure(one.polysemanticity),
        ]
        for one in found.families
    ]
    return table(header, rows)


def _categories(found: Concepts) -> list[str]:
    """Unique concepts by category, with how many could be tried."""
    if not found.families:
        return []
    header = [f"{escaped(c.category)} (of {c.tried})" for c in found.families[0].categories]
    rows = [[one.family, *(figure(c.concepts) for c in one.categories)] for one in found.families]
    return ["Unique concepts by category:", "", *table(["directions", *header], rows)]


def _curve(found: Concepts) -> list[str]:
    rows = [[one.family, *_at_thresholds(one)] for one in found.families]
    header = ["directions", *(f">= {at:g}" for at in SHOWN_THRESHOLDS)]
    return ["Unique concepts by threshold of average precision:", "", *table(header, rows)]


def _at_thresholds(one: DirectionFamily) -> list[str]:
    by_threshold = {point.threshold: point.concepts for point in one.curve}
    return [figure(by_threshold[at]) if at in by_threshold else "-" for at in SHOWN_THRESHOLDS]


def _top(found: Concepts) -> list[str]:
    shown = found.top[:SHOWN_DIRECTIONS]
    if not shown:
        return []
    pictured = any(one.largest for one in shown)
    rows = [[str(one.index), _told(one), *(_ends(one) if pictured else [])] for one in shown]
    header = ["direction", "concepts"]
    header += ["images at the + end", "images at the - end"] if pictured else []
    note = f"What the leading {found.top_of} tell best (sign, lower average precision):"
    return [note, "", *table(header, rows)]


def _told(one: DirectionConcepts) -> str:
    return "; ".join(
        f"{escaped(c.name)} ({'+' if c.sign > 0 else '-'}, {number(min(c.train, c.val))})"
        for c in one.concepts
    )


def _ends(one: DirectionConcepts) -> list[str]:
    return [
        ", ".join(code(str(image.sample_id) if image.path is None else image.path) for image in end)
        for end in (one.largest, one.smallest)
    ]

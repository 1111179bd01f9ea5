"""The description of the concept probe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tuiprobe.numbers import interval, number
from tuiprobe.probes.concepts.result import (
    OF_CENTRED_HEAD,
    OF_HEAD,
    Concepts,
    DirectionFamily,
    EncodedConcept,
)
from tuiprobe.probes.directions.pruning import SEEDS
from tuiprobe.probes.telling import heading, known, prose, series, table
from tuiprobe.results import Estimate, given
from tuiprobe.results.section import (
    Chart,
    Code,
    Content,
    Drawn,
    RowSubject,
    Section,
    Series,
    Strip,
    StripEnd,
    Strong,
    Text,
    Value,
)

SHOWN_CONCEPTS = 12
PICTURED = 16
"""Leading directions whose exemplar images are shown."""
UNFOLDED = 4
SHOWN_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)
ROLES: dict[str, Drawn] = {
    "singular vectors of W": "second",
    "singular vectors of centred W": "main",
    "channels": "third",
    "principal components": "context",
    "random directions": "control",
}


class EncodedRow(NamedTuple):
    """A concept, the direction that separates it best, and what else that one encodes."""

    concept: EncodedConcept
    direction: int
    precision: float
    others: tuple[str, ...]


def describe(found: Concepts) -> Section:
    """Describes unique concepts, random directions, and what the leading directions encode."""
    return Section(
        title="Concepts",
        headline=_headline(found),
        card=tuple(_card(found)),
        content=tuple(_content(found)),
    )


def _headline(found: Concepts) -> Text:
    if given(found.excess):
        return (
            found.excess,
            " more unique concepts than as many random directions of the head's row space "
            "(class weights, centred: ", found.excess_centred, ").",
        )  # fmt: skip
    said: Text = ("Directions of a head: ", found.excess, ".")
    channels = next((one for one in found.families if one.family == "channels"), None)
    if channels is None or channels.excess is None:
        return said
    return (
        channels.excess,
        f" more unique concepts in {channels.rarefied_to} channels than in as many random "
        "directions of the representation. ",
        *said,
    )


def _card(found: Concepts) -> Iterator[Text]:
    lead = found.families[0]
    over = found.excess if given(found.excess) else lead.excess
    if not given(lead.unique):
        return
    family = lead.family.removesuffix(" of W")
    said = f"{lead.directions} {family} separate {lead.unique.alone()} of {found.tried} concepts"
    if over is not None and given(over):
        said += f", {_than_random(over)}"
    yield (f"{said}.",)


def _than_random(over: Estimate) -> str:
    """Returns a difference from random directions in words, with its range over their draws."""
    sign, side = (1, "more") if over.value >= 0 else (-1, "fewer")
    ends = sorted(sign * end for end in (over.low, over.high) if end is not None)
    low, high = ends if ends else (None, None)
    value, _, spread = interval(sign * over.value, low, high, over.unit).partition(" (")
    draws = f" ({spread.removesuffix(')')} over {SEEDS} draws)" if spread else ""
    return f"{value}{draws} {side} than random ones"


def _content(found: Concepts) -> Iterator[Content]:
    yield prose("Concept set: ", Code(code=found.data), ". ", _protocol(found))
    yield table(
        "unique_concepts_by_directions",
        [("family", "directions"), ("directions", "number"), ("unique", "unique concepts"),
         ("rarefied", "rarefied"), ("rarefied_to", "to"), ("excess", "excess, rarefied"),
         ("polysemanticity", "concepts per direction")],
        [
            [one.family, one.directions, one.unique, one.rarefied, one.rarefied_to,
             "-" if one.excess is None else one.excess, one.polysemanticity]
            for one in found.families
        ],
        file=False,
    )  # fmt: skip
    yield unique_concepts(found)
    if found.families:
        yield table(
            "categories",
            [("family", "directions"), *((f"category_{i}", f"{c.category} (of {c.tried})")
                                         for i, c in enumerate(found.families[0].categories))],
            [[one.family, *(c.concepts for c in one.categories)] for one in found.families],
            "Unique concepts by category:",
            file=False,
            folded=True,
        )  # fmt: skip
    yield table(
        "thresholds",
        [("family", "directions"), *((f"at_{at:g}", f">= {at:g}") for at in SHOWN_THRESHOLDS)],
        [[one.family, *_at_thresholds(one)] for one in found.families],
        "Unique concepts by threshold of average precision:",
        file=False,
        folded=True,
    )
    yield from _top(found)
    yield from _files(found)


def _protocol(found: Concepts) -> str:
    share = (
        "" if found.share is None else f" on at least {number(found.share, 'share')} of its area"
    )
    lost = (
        f" Images left out because their representation is not finite: {found.not_finite:,}."
        if found.not_finite
        else ""
    )
    return (
        f"A direction encodes a concept at average precision >= {number(found.threshold)} on the "
        f"{found.train} images that choose its sign and on the {found.val} that confirm it, "
        f"{_prevalence(found)}, against the images {_against(found)}. An image shows a concept"
        f"{share or ' as its labels say'}. Concepts tested: {found.tried:,}; "
        f"left out for too few images: {found.left_out:,}.{lost} "
        "The number of unique concepts is no indicator of robustness."
    )


def _prevalence(found: Concepts) -> str:
    if found.balance == "sample":
        return "over as many negatives as positives, drawn once"
    if found.prevalence is None:
        return "with the images as they are"
    return f"calibrated to prevalence {number(found.prevalence)}"


def _against(found: Concepts) -> str:
    return "annotated for its category" if found.negatives == "annotated" else "of all categories"


def _at_thresholds(one: DirectionFamily) -> list[Value]:
    by_threshold = {point.threshold: point.concepts for point in one.curve}
    return [by_threshold.get(at, "-") for at in SHOWN_THRESHOLDS]


def unique_concepts(found: Concepts) -> Chart:
    """Returns unique concepts over thresholds of average precision, with random directions."""
    return Chart(
        id="concepts",
        title=f"Unique concepts on {found.data}",
        x_label="threshold of average precision",
        y_label="unique concepts",
        series=tuple(_family(one) for one in found.families),
    )


def _family(one: DirectionFamily) -> Series:
    places, figures = known([point.concepts for point in one.curve])
    x = [one.curve[int(place)].threshold for place in places]
    return series(one.family, x, figures, ROLES[one.family])


def _top(found: Concepts) -> Iterator[Content]:
    if not found.top:
        return
    yield heading("What the leading directions encode")
    rows = encoded_concepts(found)
    yield table(
        "best_concepts",
        [("concept", "concept"), ("category", "category"), ("precision", "average precision"),
         ("direction", "direction"), ("end", "end"), ("others", "also encoded by it")],
        [[row.concept.name, row.concept.category, row.precision, row.direction,
          "+" if row.concept.sign > 0 else "-", ", ".join(row.others)]
         for row in rows],
        f"The concepts that the leading {found.top_of} separate best (the lower of two average "
        "precisions; + or - is the end that shows it):",
        subjects=[_subject(found, row.direction) for row in rows],
        shown=SHOWN_CONCEPTS,
        file=False,
    )  # fmt: skip
    for place, one in enumerate(found.top[:PICTURED]):
        ends = (("largest", one.largest), ("smallest", one.smallest))
        named = ", ".join(concept.name for concept in one.concepts[:3])
        shown = tuple(StripEnd(label=label, images=images) for label, images in ends if images)
        if shown:
            yield Strip(
                id=f"direction_{one.index}",
                title=(f"Direction {one.index} ", Strong(strong=named)),
                data=found.data,
                ends=shown,
                folded=place >= UNFOLDED,
                subject=next(iter(_subject(found, one.index)), None),
            )


def encoded_concepts(found: Concepts) -> list[EncodedRow]:
    """Returns a row for each concept, with the direction that separates it best, best first."""
    best: dict[tuple[str, str], tuple[float, int, EncodedConcept]] = {}
    for one in found.top:
        for concept in one.concepts:
            place, precision = (concept.category, concept.name), min(concept.train, concept.val)
            if place not in best or precision > best[place][0]:
                best[place] = (precision, one.index, concept)
    encoded = {
        one.index: [c.name for c in one.concepts if min(c.train, c.val) >= found.threshold]
        for one in found.top
    }
    rows = [
        EncodedRow(c, index, precision, tuple(n for n in encoded[index] if n != c.name))
        for precision, index, c in best.values()
    ]
    return sorted(rows, key=lambda row: (-row.precision, row.concept.name))


def _subject(found: Concepts, number: int) -> list[RowSubject]:
    """Returns the direction of the head, if these are some: one that a reader can look into."""
    if found.top_of in (OF_HEAD, OF_CENTRED_HEAD):
        centred = found.top_of == OF_CENTRED_HEAD
        return [RowSubject(kind="direction", number=number, centred=centred)]
    return []


def _files(found: Concepts) -> Iterator[Content]:
    """Yields the tables that only files hold."""
    yield table(
        "concepts",
        [("family", "family"), ("directions", "directions"), ("count", "count"),
         ("threshold", "threshold"), ("category", "category"), ("figure", "figure")],
        _counts(found),
        reading=False,
    )  # fmt: skip
    yield table(
        "concepts_encoded",
        [("family", "family"), ("concept", "concept")],
        [[one.family, name] for one in found.families for name in one.encoded],
        reading=False,
    )
    yield table(
        "concepts_top",
        [("family", "family"), ("direction", "direction"), ("rank", "rank"),
         ("concept", "concept"), ("category", "category"), ("sign", "sign"),
         ("train_ap", "train_ap"), ("val_ap", "val_ap")],
        [
            [found.top_of, one.index, rank, c.name, c.category,
             "positive" if c.sign > 0 else "negative", c.train, c.val]
            for one in found.top
            for rank, c in enumerate(one.concepts, start=1)
        ],
        reading=False,
    )  # fmt: skip
    yield table(
        "concepts_images",
        [("family", "family"), ("direction", "direction"), ("end", "end"), ("rank", "rank"),
         ("sample_id", "sample_id"), ("path", "path"), ("value", "value")],
        [
            [found.top_of, one.index, end, rank, image.sample_id, image.path, image.value]
            for one in found.top
            for end, images in (("positive", one.largest), ("negative", one.smallest))
            for rank, image in enumerate(images, start=1)
        ],
        reading=False,
    )  # fmt: skip


def _counts(found: Concepts) -> Iterator[list[Value]]:
    at = found.threshold
    for one in found.families:
        about: list[Value] = [one.family, one.directions]
        yield [*about, "unique", at, None, one.unique]
        yield [*about, "rarefied", at, None, one.rarefied]
        if one.excess is not None:
            yield [*about, "rarefied excess over random", at, None, one.excess]
        yield [*about, "polysemanticity", at, None, one.polysemanticity]
        for point in one.curve:
            yield [*about, "unique", point.threshold, None, point.concepts]
        for category in one.categories:
            yield [*about, "unique", at, category.category, category.concepts]
    for matrix, figure in (("W", found.excess), ("centred W", found.excess_centred)):
        yield [f"singular vectors of {matrix}", None, "excess over random", at, None, figure]

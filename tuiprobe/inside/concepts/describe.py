"""The concept probe: what it reads, and its description."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tuiprobe.files import DamagedFileError
from tuiprobe.inside.concepts.compute import (
    OF_CENTRED_HEAD,
    OF_HEAD,
    PREVALENCE,
    RANDOM,
    Concepts,
    EncodedConcept,
    probe_concepts,
)
from tuiprobe.inside.concepts.concept_set import ConceptSet
from tuiprobe.inside.directions.pruning import SEEDS
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.numbers import ends, number
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import heading, prose, series, table
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Inapplicable, NotRun, is_known
from tuiprobe.results.figures import named_figures
from tuiprobe.results.section import (
    Chart,
    Code,
    NamedSet,
    RowSubject,
    Section,
    SectionContent,
    SeriesRole,
    Strip,
    StripEnd,
    Strong,
    Text,
)


@dataclass(frozen=True)
class Inputs:
    """Labels and representations of the concept images, and the head.

    Attributes:
        head: The linear head, or why there is none.
        concepts: Labels and representations.
        seed: Seed of random directions.
    """

    head: HeadArrays | NotRun
    concepts: ConceptSet
    seed: int


class UniqueConcepts(Probe[Inputs, Concepts]):
    """How many concepts single directions encode, compared with random directions."""

    id = "concepts"
    title = BUILT_IN["concepts"].title
    block = "inside"
    Result = Concepts

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads labels and representations of the concept images."""
        name = run.plan.concept_set
        if name is None:
            return Inapplicable(reason="no concept set", remedy="pass --concepts broden:DIR")
        if name not in run.measured.sets:
            return NotRun(reason=f"no image of {name} was measured")
        return Inputs(run.head, _concept_set(run, name), run.spec.seed)

    def compute(self, inputs: Inputs, options: Options) -> Concepts | NotRun:
        """Counts concepts in every family of directions."""
        return probe_concepts(inputs.head, inputs.concepts, inputs.seed)

    def describe(self, result: Concepts, subject: Subject) -> Section:
        """Describes counts by family, category and threshold, and the leading directions."""
        return Section(
            title=self.title,
            tab="concepts",
            headline=_headline(result),
            card=(),
            content=(*_unique(result), *_leading(result)),
        )

    def named(self, result: Concepts) -> Named:
        """Names what is declared, and the concepts of every family."""
        basis: dict[str, str | None] = {
            "images or labels": result.digest,
            "threshold": repr(result.threshold),
            "prevalence": repr(result.prevalence),
            "number of concepts tried": repr(result.tried),
        }
        sets = (
            NamedSet(
                id="concepts",
                name="encoded concepts",
                data=result.data,
                place=row.family,
                members=row.encoded,
                universe=result.tried,
                basis=basis,
            )
            for row in result.families
            if row.family != RANDOM
        )
        return Named(figures=tuple(named_figures(result)), sets=tuple(sets))


def _concept_set(run: RunReader, name: str) -> ConceptSet:
    """Returns labels and representations of the measured images in the same order."""
    labels, measured = run.concept_labels, run.all_features(name)
    samples = run.samples[name]
    row_of = {int(i): row for row, i in enumerate(labels.ids)}
    ids = measured["ids"].tolist()
    unlabelled = next((i for i in ids if i not in row_of), None)
    if unlabelled is not None:
        raise DamagedFileError(f"{name}: concepts.safetensors says nothing of image {unlabelled}")
    rows = np.array([row_of[i] for i in ids], dtype=np.int64)
    shares = labels.shares[rows]
    paths = [samples[i].path for i in ids]
    seen = json.dumps([labels.digest, LEAST_SHARE, paths])
    return ConceptSet(
        name=name,
        features=measured["features"],
        presence=shares.multiply(shares >= LEAST_SHARE),
        names=labels.names,
        categories=labels.categories,
        category_of=labels.category_of,
        annotated=labels.annotated[rows],
        train=labels.train[rows],
        ids=measured["ids"],
        paths=paths,
        digest=hashlib.sha256(seen.encode("utf-8", "replace")).hexdigest(),
    )


LEAST_SHARE: Final = 0.01
"""Part of an image from which a concept counts as present."""


LISTED_CONCEPTS = 12


PICTURED = 16
"""Leading directions whose exemplar images are shown."""


UNFOLDED = 4


ROLES: dict[str, SeriesRole] = {
    "singular vectors of W": "second",
    "singular vectors of centred W": "main",
    "channels": "third",
    "principal components": "context",
    "random directions": "control",
}


def _headline(result: Concepts) -> Text:
    """Returns how many concepts the leading family separates, and how many more than random."""
    lead = result.families[0]
    over = result.excess if is_known(result.excess) else lead.excess
    family = "singular vectors of the head" if lead.family == OF_HEAD else lead.family
    text = f"In image representations, {lead.directions} {family} separate "
    text += f"{lead.unique.point()} of {result.tried} concepts"
    if over is not None and is_known(over):
        sign, side = (1, "more") if over.value >= 0 else (-1, "fewer")
        low, high = sorted(sign * (end or 0.0) for end in (over.low, over.high))
        size = number(sign * over.value, over.unit, low, high)
        between = ends(sign * over.value, low, high, over.unit)
        text += f", {size} ({between} over {SEEDS} draws) {side} than random ones"
    return (f"{text}.",)


def _unique(result: Concepts) -> Iterator[SectionContent]:
    yield prose("Concept set: ", Code(code=result.data), ". ", _protocol(result))
    yield table(
        "unique_concepts_by_directions",
        [("family", "directions"), ("directions", "number"), ("unique", "unique concepts"),
         "rarefied", ("excess", "excess, rarefied"),
         ("polysemanticity", "concepts per direction")],
        [
            [row.family, row.directions, row.unique, row.rarefied,
             row.excess, row.polysemanticity]
            for row in result.families
        ],
        f"Rarefied: expected for {result.families[0].rarefied_to} directions of each, which are as "
        "many as the smallest family has.",
    )  # fmt: skip
    centred = any(family.family == OF_CENTRED_HEAD for family in result.families)
    yield Chart(
        id="concepts",
        title=f"Unique concepts on {result.data}",
        x_label="threshold of average precision",
        y_label="unique concepts",
        series=tuple(
            series(
                family.family,
                [point.concepts for point in family.curve],
                ROLES[family.family],
                x=[point.threshold for point in family.curve],
            )
            for family in result.families
            if not (centred and family.family == OF_HEAD)  # centred W stands for both
        ),
    )
    categories = [
        (f"category_{i}", f"{row.category} (of {row.tried})")
        for i, row in enumerate(result.families[0].categories)
    ]
    yield table(
        "concepts_by_category",
        [("family", "directions"), *categories],
        [[row.family, *(c.concepts for c in row.categories)] for row in result.families],
        "Unique concepts by category:",
        folded=True,
    )


def _protocol(result: Concepts) -> str:
    left_out = ""
    if result.not_finite:
        left_out = " Images left out because their representation is not finite: "
        left_out += f"{result.not_finite:,}."
    return (
        f"A direction encodes a concept at average precision >= {number(result.threshold)} on the "
        f"{result.train:,} images that choose its sign and on the {result.val:,} that confirm it, "
        f"calibrated to prevalence {number(PREVALENCE)}, against the images annotated for its "
        "category. An image shows a concept on at least "
        f"{number(LEAST_SHARE, 'share')} of its area. "
        f"Concepts tested: {result.tried:,}; left out for too few images: {result.left_out:,}."
        f"{left_out} The number of unique concepts is no indicator of robustness."
    )


def _leading(result: Concepts) -> Iterator[SectionContent]:
    yield heading("What the leading directions encode")
    best: dict[tuple[str, str], tuple[float, int, EncodedConcept]] = {}
    for row in result.top:
        for concept in row.concepts:
            key, precision = (concept.category, concept.name), min(concept.train, concept.val)
            if key not in best or precision > best[key][0]:
                best[key] = (precision, row.index, concept)
    ordered = sorted(best.values(), key=lambda row: (-row[0], row[2].name))
    yield table(
        "best_concepts",
        ["concept", "category", ("precision", "average precision"), "direction", "end"],
        [
            [concept.name, concept.category, precision, index, "+" if concept.sign > 0 else "-"]
            for precision, index, concept in ordered
        ],
        f"The concepts that the leading {result.top_of} separate best (the lower of two average "
        "precisions; + or - is the end that shows it):",
        subjects=[_subjects(result, index) for _, index, _ in ordered],
        shown=LISTED_CONCEPTS,
    )
    pictured = (row for row in result.top[:PICTURED] if row.largest)
    for index, row in enumerate(pictured):
        names = ", ".join(concept.name for concept in row.concepts[:3])
        yield Strip(
            id=f"direction_{row.index}",
            title=(f"Direction {row.index} ", Strong(strong=names)),
            data=result.data,
            ends=(
                StripEnd(label="largest", images=row.largest),
                StripEnd(label="smallest", images=row.smallest),
            ),
            folded=index >= UNFOLDED,
            subject=next(iter(_subjects(result, row.index)), None),
        )


def _subjects(result: Concepts, number: int) -> list[RowSubject]:
    """Returns the direction of the head, if these are some: one that a reader can look into."""
    if result.top_of not in (OF_HEAD, OF_CENTRED_HEAD):
        return []
    centred = result.top_of == OF_CENTRED_HEAD
    return [RowSubject(kind="direction", number=number, centred=centred)]

"""The concept probe."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from tuiprobe.files import DamagedFileError
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.concepts.compute import probe_concepts
from tuiprobe.probes.concepts.concept_set import ConceptSet
from tuiprobe.probes.concepts.describe import describe
from tuiprobe.probes.concepts.result import RANDOM, Concepts
from tuiprobe.probes.protocol import Named, Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.figures import named_figures
from tuiprobe.results.section import NamedSet, Section
from tuiprobe.run.checked_arrays import HeadArrays
from tuiprobe.spec import RunSpec


@dataclass(frozen=True)
class Inputs:
    """Labels and representations of the concept images, and the head.

    Attributes:
        head: The linear head, or why there is none.
        concepts: Labels and representations.
        spec: Says which images count as negatives, and how precision is calibrated.
    """

    head: HeadArrays | NotRun
    concepts: ConceptSet
    spec: RunSpec


class UniqueConcepts(Probe[Inputs, Concepts]):
    """How many concepts single directions encode, beside random directions."""

    id = "concepts"
    title = BUILT_IN["concepts"].title
    block = "inside"
    Result = Concepts

    def inputs(self, run: RunReader, options: Options, results: Results) -> Inputs | NotRun:
        """Reads labels and representations of the concept images."""
        name = run.plan.concept_set
        if name is None:
            return NotRun(reason="no concept set", remedy="pass --concepts broden:DIR")
        if name not in run.measured.sets:
            return NotRun(reason=f"no image of {name} was measured")
        return Inputs(run.head, _concept_set(run, name), run.spec)

    def compute(self, inputs: Inputs, options: Options) -> Concepts | NotRun:
        """Counts concepts in every family of directions."""
        head = inputs.head
        return probe_concepts(
            None if isinstance(head, NotRun) else head,
            inputs.concepts,
            no_head=head.reason if isinstance(head, NotRun) else "",
            negatives=inputs.spec.negatives,
            balance=inputs.spec.balance,
            seed=inputs.spec.seed,
        )

    def describe(self, result: Concepts, subject: Subject) -> Section:
        """Describes counts by family, category and threshold, and the leading directions."""
        return describe(result)

    def named(self, result: Concepts) -> Named:
        """Names what is declared, and the concepts of every family."""
        basis: dict[str, str | None] = {
            "images or labels": result.digest,
            "share": repr(result.share),
            "threshold": repr(result.threshold),
            "prevalence": repr(result.prevalence),
            "balance": result.balance,
            "negatives": result.negatives,
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
    share, samples = run.spec.concept_share, run.samples[name]
    place = {int(i): row for row, i in enumerate(labels.ids)}
    ids = measured["ids"].tolist()
    unlabelled = next((i for i in ids if i not in place), None)
    if unlabelled is not None:
        raise DamagedFileError(f"{name}: concepts.safetensors says nothing of image {unlabelled}")
    rows = np.array([place[i] for i in ids], dtype=np.int64)
    shares = labels.shares[rows]
    paths = [samples[i].path for i in ids]
    seen = json.dumps([labels.digest, share, paths])
    return ConceptSet(
        name=name,
        features=measured["features"],
        presence=shares.multiply(shares >= share),
        names=labels.names,
        categories=labels.categories,
        category_of=labels.category_of,
        annotated=labels.annotated[rows],
        train=labels.train[rows],
        ids=measured["ids"],
        paths=paths,
        share=share,
        digest=hashlib.sha256(seen.encode("utf-8", "replace")).hexdigest(),
    )

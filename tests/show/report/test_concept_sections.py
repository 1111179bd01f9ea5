"""Concepts in report.md, in the tables and on standard output, from the probe itself."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from tests.show.report.samples import report
from tuiprobe.inside.concepts.compute import Concepts, probe_concepts
from tuiprobe.inside.concepts.concept_set import ConceptSet
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.results.report import Report
from tuiprobe.show.report.tables import tables


def concept_set(n: int = 400) -> ConceptSet:
    rng = np.random.default_rng(0)
    presence = rng.random((n, 3)) < 0.5
    h = rng.standard_normal((n, 6)) + 8 * presence @ np.eye(3, 6)
    h[3] = np.nan
    return ConceptSet(
        name="toy", features=h.astype("f4"), presence=presence, names=("=red|", "dog", "sky"),
        categories=("color", "object"), category_of=np.array([0, 1, 1]),
        annotated=np.ones((n, 2), dtype=bool), train=rng.random(n) < 0.5, ids=np.arange(n),
        paths=[f"*{i}*.png" for i in range(n)], digest="d",
    )  # fmt: skip


@pytest.fixture(scope="module")
def with_head() -> Report:
    weight = np.diag([4, 3, 2, 1]).astype(np.float32) @ np.eye(4, 6, dtype=np.float32)
    return report(concepts=probe_concepts(HeadArrays(weight), concept_set()))


def rows(full: Report, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tables(full)[name])))


def test_tables_hold_every_family_and_the_leading_directions(with_head: Report) -> None:
    concepts = with_head.part(Concepts)
    counts = rows(with_head, "unique_concepts_by_directions")
    unique = {r["family"]: float(r["value"]) for r in counts if r["figure"] == "unique"}
    assert unique == {one.family: one.unique.value for one in concepts.families}
    assert {r["family"] for r in rows(with_head, "concepts_by_category")} == set(unique)
    best = rows(with_head, "best_concepts")
    assert {r["concept"] for r in best} >= {"'=red|", "dog", "sky"}
    other = HeadArrays(np.diag([4, 3, 2, 1]).astype(np.float32) @ np.eye(4, 6, dtype=np.float32))
    mirrored = replace(concept_set(), features=-concept_set().features)
    opposite = rows(report(concepts=probe_concepts(other, mirrored)), "best_concepts")
    ends = {r["concept"]: r["end"] for r in best}, {r["concept"]: r["end"] for r in opposite}
    assert {*ends[0].values(), *ends[1].values()} == {"'+", "'-"}
    assert all(ends[0][name] != ends[1][name] for name in ends[0])

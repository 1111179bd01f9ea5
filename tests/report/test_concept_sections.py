"""Concepts in report.md, in the tables and on standard output, from the probe itself."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from tests.report.samples import report
from tuiprobe.probes.concepts.compute import Concepts, probe_concepts
from tuiprobe.probes.concepts.concept_set import ConceptSet
from tuiprobe.report.tables import tables
from tuiprobe.results.report import Report
from tuiprobe.run.checked_arrays import HeadArrays


def concept_set(n: int = 400) -> ConceptSet:
    rng = np.random.default_rng(0)
    presence = rng.random((n, 3)) < 0.5
    h = rng.standard_normal((n, 6)) + 8 * presence @ np.eye(3, 6)
    h[3] = np.nan
    return ConceptSet(
        name="toy", features=h.astype("f4"), presence=presence, names=("=red|", "dog", "sky"),
        categories=("color", "object"), category_of=np.array([0, 1, 1]),
        annotated=np.ones((n, 2), dtype=bool), train=rng.random(n) < 0.5, ids=np.arange(n),
        paths=[f"*{i}*.png" for i in range(n)], share=0.02, digest="d",
    )  # fmt: skip


@pytest.fixture(scope="module")
def with_head() -> Report:
    weight = np.diag([4, 3, 2, 1]).astype(np.float32) @ np.eye(4, 6, dtype=np.float32)
    return report(concepts=probe_concepts(HeadArrays(weight), concept_set()))


def rows(full: Report, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tables(full)[name])))


def test_tables_hold_the_whole_curve_concepts_and_directions(with_head: Report) -> None:
    own = [r for r in rows(with_head, "concepts") if r["family"] == "singular vectors of W"]
    curve = [r for r in own if r["count"] == "unique" and not r["category"]]
    assert {float(r["threshold"]) for r in curve} >= {0.5, 0.77, 0.99}
    assert any(r["count"] == "rarefied excess over random" for r in own)
    headline = [r for r in rows(with_head, "concepts") if r["count"] == "excess over random"]
    assert [r["family"] for r in headline] == [
        "singular vectors of W", "singular vectors of centred W",
    ]  # fmt: skip
    assert float(headline[0]["value"]) == with_head.part(Concepts).excess.value
    encoded = rows(with_head, "concepts_encoded")
    assert {r["concept"] for r in encoded} == {"'=red|", "dog", "sky"}
    top = rows(with_head, "concepts_top")
    assert len(top) == 4 * 3
    assert {r["sign"] for r in top} <= {"positive", "negative"}

"""The steps of every built-in probe, on the results of planted data."""

import builtins
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.measure.engine.fake_run import FakeSet, write_run
from tuiprobe.catalog.glossary import mentioned, named, terms
from tuiprobe.measure.run.arrays import write_arrays
from tuiprobe.measure.run.records import write_preflight
from tuiprobe.probes import BUILT_IN, registry
from tuiprobe.probes.protocol import Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun, Part, ProbeResult
from tuiprobe.results.section import Chart, Section, Strip, Table, Text
from tuiprobe.results.subject import Check

IMAGES, CHANNELS = 300, 64
ABOUT = {"training": "zero-shot"}

Computed = dict[str, ProbeResult | NotRun]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunReader:
    """A run of ImageNet's sets with a head, an outlier channel, concepts, a preflight."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, CHANNELS)).astype("f4")
    labels, presence = np.arange(IMAGES) % 4, rng.random((IMAGES, 3)) < 0.5

    def planted(signal: np.ndarray) -> np.ndarray:
        h = signal + 0.5 * rng.standard_normal((IMAGES, CHANNELS))
        h[:, 4] += 60
        return h.astype("f4")

    shown = np.where(np.arange(IMAGES) % 5, labels, (labels + 1) % 4)  # four of five are right
    sets = {
        "val": FakeSet(planted(weight[shown]), labels, more={"published": "imagenet"}),
        "r": FakeSet(planted(weight[shown]), labels, more={"published": "imagenet_r"}),
        "street": FakeSet(planted(weight[shown]), None, more={"target": True}),
        "concepts": FakeSet(planted(6 * presence @ np.eye(CHANNELS)[6:9]), None),
    }
    directory = write_run(
        tmp_path_factory.mktemp("steps") / "run", sets, weight, about=ABOUT, normalize=True,
        extra_head={"answers/street": np.arange(4)}, spec={"head": "probe"},
    )  # fmt: skip
    plan = directory.plan_file.read_json()
    directory.plan_file.write_json({**plan, "concept_set": "concepts"})
    write_preflight(directory, [Check(name="dtype", status="pass", detail="float32")])
    write_arrays(
        directory.concepts_file,
        {
            "ids": np.arange(IMAGES),
            "indptr": np.concatenate([[0], presence.sum(1).cumsum()]).astype(np.int64),
            "indices": np.nonzero(presence)[1].astype(np.int64),
            "shares": np.full(int(presence.sum()), 0.5, np.float32),
            "annotated": np.ones((IMAGES, 2), np.uint8),
            "train": (np.arange(IMAGES) % 2).astype(np.uint8),
            "category_of": np.array([0, 1, 1]),
        },
        {
            "names": json.dumps(["red", "dog", "cat"]),
            "categories": json.dumps(["color", "object"]),
            "digest": "d" * 64,
        },
    )
    return RunReader(directory)


@pytest.fixture(scope="module")
def results(run: RunReader) -> Computed:
    results: Computed = {}
    for probe in registry().in_order():
        inputs = probe.inputs(run, probe.Options(), {id: results[id] for id in probe.after})
        results[probe.id] = (
            inputs if isinstance(inputs, NotRun) else probe.compute(inputs, probe.Options())
        )
    return results


def probe_of(id: str) -> Probe[Any, Any]:
    return next(probe for probe in registry().probes if probe.id == id)


def test_the_planted_run_gives_every_result(results: Computed) -> None:
    assert [id for id in BUILT_IN if isinstance(results[id], NotRun)] == []


@pytest.mark.parametrize("id", BUILT_IN)
def test_compute_opens_no_file(id, run, results, monkeypatch):
    probe = probe_of(id)
    inputs = probe.inputs(run, probe.Options(), {other: results[other] for other in probe.after})

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(f"{id} opens {arguments[0]}")

    with monkeypatch.context() as patch:
        for place, name in ((builtins, "open"), (io, "open"), (os, "open"), (Path, "open")):
            patch.setattr(place, name, refuse)
        again = probe.compute(inputs, probe.Options())
    assert again == results[id]


@pytest.mark.parametrize("id", BUILT_IN)
def test_descriptions_and_names_are_made_of_the_result_alone(id, run, results):
    """And of a result that was read back from a file as well as of a fresh one."""
    probe, result = probe_of(id), results[id]
    assert isinstance(result, probe.Result)
    assert probe.Result.probe == id
    subject = Subject(run.plan.model, run.id_and_shifts, run.plan.concept_set)
    text = json.dumps(result.model_dump(mode="json"), allow_nan=False)
    kept = probe.Result.model_validate_json(text)
    assert kept == result
    section, named = probe.describe(kept, subject), probe.named(kept)
    assert section == probe.describe(result, subject)
    assert named == probe.named(result)
    assert section.title
    assert section.content
    assert Section.model_validate_json(section.model_dump_json()) == section
    blocks = [block for block in section.content if isinstance(block, Table | Chart | Strip)]
    ids = [(block.kind, block.id) for block in blocks]
    assert len(ids) == len(set(ids))
    places = [(figure.id, figure.data, figure.place) for figure in named.figures]
    assert len(places) == len(set(places))
    assert all(figure.name and figure.data and figure.place for figure in named.figures)
    part = Part(
        probe=id, title=probe.title, result=result.model_dump(mode="json"), section=section,
        figures=named.figures, facts=named.facts, sets=named.sets,
    )  # fmt: skip
    assert Part.model_validate_json(part.model_dump_json()) == part


def test_names_are_those_that_programs_look_up(results: Computed) -> None:
    named = {id: probe_of(id).named(results[id]) for id in BUILT_IN}
    figures = {id: {figure.id for figure in each.figures} for id, each in named.items()}
    assert {
        "height",
        "offset.share",
        "kurtosis",
        "persistence",
        "outlier_channels",
    } <= figures["outliers"]
    assert {"top1", "mean_shift", "confidence"} <= figures["robustness"]
    assert {"linear", "linear.gain", "linear.difference"} <= figures["linear"]
    assert {"target", "target_error", "target.difference"} <= figures["targets"]
    assert {"temperature", "ece", "ece.before"} <= figures["calibration"]
    assert {"top_share", "effective_rank", "pruned_80"} <= figures["directions"]
    assert {"ablation.before", "ablation.after", "ablation.difference"} <= figures["ablation"]
    assert {"excess_concepts", "excess_concepts_centred", "unique_concepts"} <= figures["concepts"]
    assert [fact.id for fact in named["outliers"].facts] == ["outcome"]
    assert {each.id for each in named["outliers"].sets} == {"channels"}
    assert {each.id for each in named["concepts"].sets} == {"concepts"}


EVERYDAY = {
    "", "0% pruned", "50% pruned", "80% pruned", "90% pruned", "check", "of", "found", "on", "met",
    "left out", "figure", "mean", "std", "labels",
    "counts", "note", "source", "rule", "model", "models", "number", "to", "imagenet_r",
}  # fmt: skip
"""Headings that need no glossary."""


@pytest.mark.parametrize("id", BUILT_IN)
def test_every_heading_that_people_read_is_in_the_glossary(id, run, results):
    subject = Subject(run.plan.model, run.id_and_shifts, run.plan.concept_set)
    section = probe_of(id).describe(results[id], subject)
    term_ids = {term.id for term in terms()}
    for table in section.content:
        if not isinstance(table, Table) or not table.reading:
            continue
        for column in table.columns:
            heading = words(column.title)
            known = (
                term_ids & {column.term}
                or named(heading)
                or mentioned(heading)
                or heading in EVERYDAY
            )
            counted = heading.startswith(">=") or heading.endswith(")")  # thresholds, categories
            assert known or counted, f"{heading!r} of {id}: {table.id} is not in glossary.toml"


def words(text: Text) -> str:
    return "".join(piece for piece in text if isinstance(piece, str)).strip()

"""What earlier runs left: those that are finished, and answers that another question replaces.

No model is loaded. A run is finished if its options, the files that they name, its images and the
version of tuiprobe are those of now, its results can be read and no probe failed. Anything that
differs means that the run is opened, and then its key decides what has to be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tuiprobe import __version__
from tuiprobe.datasets import Suite
from tuiprobe.datasets.load import open_suite
from tuiprobe.files import DamagedFileError, unless_damaged
from tuiprobe.measure.engine.head_building import head_is_another
from tuiprobe.measure.engine.plan import Plan, option_files
from tuiprobe.measure.engine.stopping import explaining_failures
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import recorded_runs
from tuiprobe.measure.run.records import read_plan, read_spec
from tuiprobe.measure.run.results import read_results
from tuiprobe.measure.run.samples import SampleRecord, read_samples
from tuiprobe.plaintext import encodable, plain
from tuiprobe.request import differing_options
from tuiprobe.spec import RunSpec

_CHANGES: Final = ("measurement", "bits", "answers")  # by which runs are different ones
_LONGEST = 500  # characters of a value in a sentence


def finished_runs(specs: Sequence[RunSpec], runs: Path) -> list[RunDir | None]:
    """Returns, for each spec, the latest run that has finished it, if there is one.

    Args:
        specs: The specs of the runs.
        runs: Folder of run directories, which are not trusted.

    Raises:
        UsageError: If a source of images is unknown.
        DataError: If a source of images cannot be used.
    """
    suites: dict[tuple[object, ...], Suite] = {}
    finished: list[RunDir | None] = []
    with explaining_failures():
        for spec in specs:
            sources = (spec.data, spec.concepts, spec.target)
            if sources not in suites:
                suites[sources] = open_suite(spec)
        recorded = [*recorded_runs(runs, lambda run: run.results_file)]
        for spec in specs:
            suite = suites[spec.data, spec.concepts, spec.target]
            same = (
                run for run, before in recorded if not differing_options(spec, before, *_CHANGES)
            )
            finished.append(next((run for run in same if _finished(spec, run, suite)), None))
    return finished


def _finished(spec: RunSpec, run: RunDir, suite: Suite) -> bool:
    try:
        report, plan, samples = read_results(run), read_plan(run), read_samples(run)
    except (DamagedFileError, OSError):
        return False
    return (
        report.tuiprobe == __version__
        and report.key == plan.key == run.read_key()
        and not report.partial
        and not report.failures
        and report.model.weights.kind != "untrained"
        and plan.files == option_files(spec)
        and {record.name: record.found for record in plan.sets}
        == {name: len(dataset.samples) for name, dataset in suite.sets.items()}
        and all(_same_images(suite, name, samples.get(name, {})) for name in suite.sets)
    )


def _same_images(suite: Suite, name: str, records: Mapping[int, SampleRecord]) -> bool:
    """Returns whether the images of a set are those of a run, by path, label and stamp."""
    dataset = suite.sets[name]
    for i, record in records.items():
        if i >= len(dataset.samples):
            return False
        sample = dataset.samples[i]
        stamp = dataset.stamp(sample)
        now = (encodable(sample.path), sample.label, stamp.size, stamp.changed)
        if now != (record.path, record.label, record.size, record.changed):
            return False
    return bool(records)


def replaced_answers(plan: Plan) -> str:
    """Returns the warning before results are replaced; empty if the question is the same.

    The head is not part of a run's key: another head, other names and other options of probes are
    answered from the same measurements, in the same directory.
    """
    directory = plan.directory
    answered = directory.results_file.exists()
    before = unless_damaged(partial(read_spec, directory)) if answered else None
    if before is None:
        return ""
    changed = differing_options(plan.spec, before, "answers")
    if not changed and not head_is_another(plan):
        return ""
    questions = [
        ", ".join(f"{option.flag} {_value(spec, option.name)}" for option in changed)
        or f"{which} head or class names"
        for spec, which in ((before, "another"), (plan.spec, "this"))
    ]
    return (
        f"the results in {directory.path} come from a run with {questions[0]}; they will be "
        f"replaced by those with {questions[1]}. To keep both, copy the directory first"
    )


def _value(spec: RunSpec, name: str) -> str:
    value = getattr(spec, name)
    if value in (None, ()):
        return "left out"
    return plain(" ".join(value) if isinstance(value, tuple) else str(value))[:_LONGEST]

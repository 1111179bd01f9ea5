"""What a run would do, before it starts: `tuiprobe --headless --dry-run`.

The setup screen asks this with every change of the form, so it loads no model, opens no socket and
writes nothing; it imports torch only to describe vectors in a file of torch. What it says of images
comes from the functions that the engine plans with; what is done already comes from the plan in the
run directory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import numpy as np

from tuiprobe.catalog.class_names import (
    imagenet_labels,
    imagenet_templates,
    index_of_each,
    read_classes,
    read_lines,
)
from tuiprobe.catalog.model_list import missing_weights
from tuiprobe.datasets import Suite
from tuiprobe.datasets.dataset import safe_name
from tuiprobe.datasets.layout import layout_of
from tuiprobe.datasets.load import (
    add_concepts,
    add_targets,
    load_suite,
    planned_images,
    refuse_several_parts,
    with_options,
)
from tuiprobe.errors import DataError, TuiprobeError, UsageError, WeightsError
from tuiprobe.files import DamagedFileError, expand_home, unless_damaged
from tuiprobe.measure.engine.hooks import ProbeHooks
from tuiprobe.measure.engine.shards import set_record
from tuiprobe.measure.run.counting import images_done
from tuiprobe.measure.run.deletion import refuse_to_clear
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.listing import recorded_runs
from tuiprobe.measure.run.preview import (
    Download,
    PlannedDirectory,
    PlannedSet,
    Preview,
    SetRole,
    Unknown,
    Wrong,
    expected_head,
)
from tuiprobe.measure.run.records import (
    PlanRecord,
    load_baseline,
    read_plan,
    read_preflight,
    read_spec,
)
from tuiprobe.models.loaders.answer_table import AnswerTable
from tuiprobe.options import OptionError
from tuiprobe.request import FILES, RunRequest, differing_options, unreadable_files
from tuiprobe.results.subject import TYPES
from tuiprobe.spec import ANSWERS, FINAL_TAP, RunSpec

_SEPARATELY_KEYED = {"target", "concepts", "concept_sample"}
"""Options of sets with separate keys: another value leads to the same directory."""

_LATEST = 50
"""Runs that are searched for a trial of the same encoder."""

T = TypeVar("T")


@dataclass
class _Findings:
    """What was found so far.

    Attributes:
        spec: What is asked.
        wrong: What is wrong, by option; one for each.
        suite: The sets.
    """

    spec: RunSpec
    wrong: dict[str, Wrong] = field(default_factory=dict)
    suite: Suite | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the first set; empty without labels."""
        sets = self.suite.sets if self.suite is not None else {}
        return next((dataset.classes for dataset in sets.values()), ())

    def refuse(self, option: str, reason: str, exit_code: int) -> None:
        """Notes what is wrong with an option, unless something is noted."""
        self.wrong.setdefault(option, Wrong(option=option, reason=reason, exit_code=exit_code))

    def tried(self, option: str, work: Callable[[], T], exit_code: int = 4) -> T | None:
        """Returns the result of the work, or notes under an option why it failed.

        Args:
            option: The option.
            work: What may fail.
            exit_code: Exit code of the run for an error of the system.
        """
        try:
            return work()
        except TuiprobeError as error:
            self.refuse(option, str(error), error.exit_code)
        except ValueError as error:
            self.refuse(option, str(error), exit_code)
        except OSError as error:
            self.refuse(option, error.strerror or str(error), exit_code)
        return None


def preview(
    request: RunRequest, refused: Sequence[OptionError] = (), *, hooks: ProbeHooks
) -> Preview:
    """Returns a preview of a run.

    Args:
        request: What to measure, where and how.
        refused: Options that are left out of it because they are wrong.
        hooks: What is asked of probes.
    """
    spec = request.spec
    findings = _Findings(spec)
    for error in refused:
        findings.refuse(error.name, error.cause, error.exit_code)
    for name, reason in unreadable_files(vars(spec)):
        findings.refuse(name, reason, FILES[name].exit_code)
    # Only the run reads these: they open a socket.
    later = [
        source
        for source in (spec.data, *spec.target, spec.concepts or "")
        if source.startswith("hf:")
    ]
    if not later and "data" not in findings.wrong:
        _open_sets(findings)
        _check_baseline(findings, hooks)
    templates, names = _templates(findings), _names(findings)
    _check_answers(findings)
    sets = _described(findings)
    downloads = _downloads(spec, later)
    if spec.offline and any(download.kind == "weights" for download in downloads):
        reason = f"the weights of {spec.model} are not on this machine: fetch them before"
        findings.refuse("offline", reason, WeightsError.exit_code)
    directory, before = _directory(request, findings)
    result = Preview(
        spec=spec,
        sets=sets if findings.suite else Unknown(depends_on="data" if later else "options"),
        taps=_taps(spec, before),
        head=Unknown(depends_on="model"),
        probes=hooks.announced(),
        downloads=downloads,
        directory=directory,
        wrong=tuple(findings.wrong.values()),
        names=names,
        templates=templates,
        types=_types(request),
    )
    return result.with_head(expected_head(result))


def _open_sets(findings: _Findings) -> None:
    spec = findings.spec
    without = replace(spec, labels=None, classes=None)
    first = findings.tried("data", lambda: with_options(load_suite(spec.data), without))
    if first is None:
        return
    suite = first
    if "labels" not in findings.wrong:
        suite = findings.tried("labels", lambda: with_options(first, spec)) or first
    with_concepts = findings.tried("concepts", lambda: add_concepts(suite, spec)) or suite
    findings.suite = findings.tried("target", lambda: add_targets(with_concepts, spec)) or suite
    complete = findings.suite
    fitted = spec.head in (None, "probe") and not spec.model.startswith(ANSWERS)
    findings.tried("data", lambda: refuse_several_parts(complete, fitted))
    for dataset in findings.suite.sets.values():
        if not len(dataset.samples):
            findings.refuse("data", f"{dataset.source}: no image to measure", DataError.exit_code)
    classes = suite.in_distribution.classes
    if spec.head == "probe" and not classes:
        reason = "it fits a head to labels, and the images have none"
        findings.refuse("head", reason, UsageError.exit_code)


def _check_answers(findings: _Findings) -> None:
    """Compares a table of answers with the pictures; only a run reads them to compute SHA-256."""
    spec, suite = findings.spec, findings.suite
    loader, _, path = spec.model.partition(":")
    if loader != "answers":
        return
    table = findings.tried("model", lambda: AnswerTable.read(expand_home(path)))
    if table is None or suite is None or findings.wrong:
        return
    id_set = suite.in_distribution
    classes = id_set.classes if spec.classes is None else read_classes(spec.classes)
    findings.tried("model", lambda: table.log_probabilities(classes or table.names))
    if "model" not in findings.wrong:
        notes = table.notes(classes or table.names, suite.sets)
        findings.suite = replace(suite, notes=(*suite.notes, *notes))
    if table.named_by != "sha256" and "model" not in findings.wrong:
        counts = planned_images(suite, spec)
        images = {name: len(dataset.samples) for name, dataset in suite.sets.items()}
        ids = {name: np.arange(n if counts[name] == n else 0) for name, n in images.items()}
        findings.tried("model", lambda: table.rows_of(suite, ids))


def _described(findings: _Findings) -> tuple[PlannedSet, ...]:
    suite, spec = findings.suite, findings.spec
    if suite is None:
        return ()
    planned = planned_images(suite, spec)
    sets: list[PlannedSet] = []
    for name, dataset in suite.sets.items():
        role: SetRole = "labelled" if dataset.classes else "unlabelled"
        if name == suite.concept_set:
            role = "concepts"
        elif name in suite.targets:
            role = "target"
        sets.append(
            PlannedSet(
                name=name,
                source=dataset.source,
                role=role,
                found=len(dataset.samples),
                planned=planned[name],
                classes=len(dataset.classes),
                channels=layout_of(dataset).width or 0,
                notes=(*dataset.notes, *(() if sets else suite.notes)),  # as in the plan
            )
        )
    return tuple(sets)


def _names(findings: _Findings) -> int:
    """Returns how many classes the user names; notes names that do not fit the labels."""
    names, usage = findings.spec.classes, UsageError.exit_code
    if names is None:
        return 0
    written = findings.tried("classes", lambda: read_classes(names), usage) or ()
    if written and findings.classes:
        findings.tried("classes", lambda: index_of_each(findings.classes, written), usage)
    return len(written)


def _templates(findings: _Findings) -> int:
    """Returns how many prompts each class has; 0 for as many as the model has."""
    spec, usage = findings.spec, UsageError.exit_code
    if spec.templates is None:
        return len(imagenet_templates()) if imagenet_labels(findings.classes) is not None else 0
    path, lines = Path(spec.templates), None
    if "templates" not in findings.wrong:
        lines = findings.tried("templates", lambda: read_lines(path, "prompt templates"), usage)
    if spec.head not in (None, "zero-shot"):
        reason = "they belong to a zero-shot head; this run uses another one"
        findings.refuse("templates", reason, usage)
    return len(lines or ())


def _check_baseline(findings: _Findings, hooks: ProbeHooks) -> None:
    """Notes why a baseline does not fit the sets, as the engine does."""
    path, suite = findings.spec.baseline, findings.suite
    if path is not None and suite is not None and "baseline" not in findings.wrong:
        sets = [set_record(suite, name) for name in suite.sets]
        findings.tried("baseline", lambda: hooks.check_baseline(sets, load_baseline(path), path))


def _downloads(spec: RunSpec, later: Sequence[str]) -> tuple[Download, ...]:
    loads = spec.checkpoint is None and spec.kind == "images"
    weights = [
        Download(kind="weights", name=missing.model, least=missing.size or missing.tower or 0)
        for missing in (missing_weights([spec.model]) if loads else ())
    ]
    return (*weights, *(Download(kind="data", name=source) for source in later))


def _taps(spec: RunSpec, before: PlanRecord | None) -> tuple[str, ...] | Unknown:
    """Returns the layers, which only the model tells where globs name inner ones."""
    if not spec.layers:
        return (FINAL_TAP,)
    if before is not None:
        return tuple(tap.name for tap in before.taps)
    return Unknown(depends_on="model")


# The run directory.


def _directory(
    request: RunRequest, findings: _Findings
) -> tuple[PlannedDirectory, PlanRecord | None]:
    """Returns where the run goes, and the plan of an earlier attempt that it resumes."""
    spec = request.spec
    run = RunDir(request.output) if request.output is not None else _earlier(request)
    if run is None:
        suite = findings.suite.name if findings.suite is not None else safe_name(spec.data)
        path = request.runs / f"{safe_name(spec.model)}-{suite}-*"
        return PlannedDirectory(path=str(path)), None
    planned = PlannedDirectory(path=str(run.path))
    if request.fresh:
        findings.tried("output", lambda: refuse_to_clear(run))
        begun = run.read_key() is not None
        return planned.model_copy(update={"state": "deleted" if begun else "new"}), None
    findings.tried("output", lambda: run.refuse_foreign(run.read_key() or ""))
    if not run.plan_file.exists():
        return planned, None
    try:
        plan, before = read_plan(run), read_spec(run)
    except DamagedFileError as error:
        findings.refuse("output", str(error), error.exit_code)
        return planned, None
    if findings.suite is None:
        return planned.model_copy(update={"state": "resumed"}), None
    if plan.model.name != spec.model or not _fits(plan, findings.suite):
        reason = f"{run.path} holds a run of other images or of another model: choose another one"
        findings.refuse("output", reason, DataError.exit_code)
        return planned, None
    answers = differing_options(spec, before, "answers") if run.results_file.exists() else []
    done, images = images_done(run).done, sum(planned_images(findings.suite, spec).values())
    complete = run.results_file.exists() and done >= images
    update = {
        "state": "replaced" if complete else "resumed",
        "done": done,
        "replaced": tuple(option.name for option in answers),
    }
    same_taps = before.layers == spec.layers
    return planned.model_copy(update=update), plan if same_taps else None


def _earlier(request: RunRequest) -> RunDir | None:
    """Returns the latest run that the same measurements were begun in."""
    for run, before in recorded_runs(request.runs, lambda run: run.key_file):
        changed = {o.name for o in differing_options(request.spec, before, "measurement", "bits")}
        if changed <= _SEPARATELY_KEYED:
            return run
    return None


def _types(request: RunRequest) -> str:
    """Returns the findings about types of the latest run of the same encoder."""
    of_encoder = attrgetter("model", "checkpoint", "dtype")
    runs = recorded_runs(request.runs, lambda run: run.preflight_file)
    for run, before in islice(runs, _LATEST):
        same = of_encoder(before) == of_encoder(request.spec)
        checks = unless_damaged(partial(read_preflight, run)) if same else None
        if found := [check.detail for check in checks or () if check.name == TYPES]:
            return f"{found[0]} (found in {run.path})"
    return ""


def _fits(plan: PlanRecord, suite: Suite) -> bool:
    """Returns whether a run has the planned sets; sets with separate keys may differ."""
    recorded = [
        (record.name, record.found)
        for record in plan.sets
        if not record.target and record.name != plan.concept_set
    ]
    return recorded == [
        (name, len(dataset.samples))
        for name, dataset in suite.sets.items()
        if name not in suite.separately_keyed
    ]

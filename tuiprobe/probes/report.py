"""From a run directory to its report: every probe is asked, from files only.

Reports hold the last part of each path; `spec.json` and `plan.json` hold full paths.
"""

from __future__ import annotations

import math
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from tuiprobe import __version__, limits
from tuiprobe.datasets.registry import last_part
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import DamagedFileError, parse_json
from tuiprobe.measure.arrays.row_statistics import fixed_threads
from tuiprobe.measure.engine.hooks import Progress
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import require_manifest
from tuiprobe.measure.run.per_image import ImageValues, write_per_image
from tuiprobe.measure.run.records import (
    MeasuredRecord,
    PlanRecord,
    load_baseline,
    write_baseline,
    write_spec,
)
from tuiprobe.measure.run.results import withdraw_results, write_results
from tuiprobe.options import probe_options, with_options
from tuiprobe.plugins import in_words
from tuiprobe.probes import BUILT_IN, PROBES, check_baseline, registry
from tuiprobe.probes.base.image_values import NO_CONFIDENCES, has_confidence, image_values
from tuiprobe.probes.base.vector_forms import vector_notes
from tuiprobe.probes.doubts import run_doubts
from tuiprobe.probes.protocol import Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import (
    Failed,
    Inapplicable,
    NotRun,
    Part,
    ProbeResult,
    Report,
    SetSummary,
    Timings,
    is_known,
)
from tuiprobe.results.card import title
from tuiprobe.results.doubt import ordered
from tuiprobe.results.subject import NO_REPRESENTATION
from tuiprobe.spec import content_key, path_options

_PATTERN: Final = re.compile(r"[*?\[{]")


def without_folders(report: Report, sources: Iterable[str]) -> Report:
    """Returns the report with the last part of each path, in every text that it holds.

    Args:
        report: Of a run as it was specified and planned.
        sources: Further paths and data sources of the run.
    """
    fields = report.model_dump(mode="json")
    paths = [text for name in path_options() for text in _texts(fields["spec"].get(name))]
    paths += [data["source"] for data in fields["data"]]
    if report.model.weights.kind in ("checkpoint", "unknown", "answers"):
        paths.append(report.model.weights.source)
    shorter = {text: last_part(text) for text in paths}
    for text in (*sources, *paths, *_texts(fields["spec"])):
        for folder in _folders(text):
            shorter |= {f"{folder}/": "", folder: Path(folder).name}
    replace = _replacement({text: short for text, short in shorter.items() if text != short})
    return Report.model_validate(_changed(fields, replace))


def _folders(text: str) -> Iterator[str]:
    """Yields the folder of each absolute path in an option or a data source.

    >>> list(_folders("hf:/home/me/data:test")), list(_folders("open_clip:a/b"))
    (['/home/me'], [])
    """
    for part in re.split(r"[:=](?=[/~])", text):
        for path in {part, str(Path(part).expanduser())} if part.startswith(("/", "~/")) else ():
            folder = str(Path(_PATTERN.split(path)[0] + "x").parent)
            if folder not in ("/", "~"):
                yield folder


def _replacement(shorter: Mapping[str, str]) -> Callable[[str], str]:
    """Returns a function that shortens paths in a text, neither within words nor longer paths."""
    # Longest first, so that a folder goes before the folder that it lies in.
    ordered = sorted(shorter, key=len, reverse=True)
    ends = {
        text: re.escape(text) + ("" if text.endswith("/") else r"(?![\w-])") for text in ordered
    }
    absolute = "|".join(ends[text] for text in ordered if text.startswith(("/", "~")))
    relative = "|".join(ends[text] for text in ordered if not text.startswith(("/", "~")))
    patterns = [rf"(?<![\w.-])(?=[/~])(?:{absolute})"] if absolute else []
    patterns += [rf"(?<![\w./-])(?:{relative})"] if relative else []
    if not patterns:
        return lambda text: text
    replace = re.compile("|".join(patterns)).sub
    return lambda text: replace(lambda match: shorter[match[0]], text) if "/" in text else text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """Returns plain data with every text changed."""
    if isinstance(value, dict):
        return {name: _changed(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


_LONGEST_CAUSE = 500

_STOPPED = NotRun(
    reason="the run was stopped, and its report does not wait for this",
    remedy="`tuiprobe reprobe RUN` computes it, and the same command resumes the run",
)

NAMED_NONFINITE = 3
"""Images with a representation that is not finite that a warning names."""


@fixed_threads()
def make_report(
    directory: RunDir,
    progress: Progress = lambda done, total: None,
    until: float = math.inf,
) -> Report:
    """Asks every probe; results do not depend on the number of threads, to the last bit.

    Beside the report, the values of single images are written to `per_image.safetensors`.

    Args:
        directory: A run whose shards are merged, locked by the caller.
        progress: Is told before each probe how many of how many were asked.
        until: Time of `time.monotonic` from which on no further probe is begun.

    Raises:
        DataError: If a file of the run is missing or damaged.
    """
    run = RunReader(directory)
    report = _ask_all(run, progress, until)
    write_per_image(
        directory,
        run.plan.key,
        _image_values(run, report),
    )
    return report


def _image_values(run: RunReader, report: Report) -> ImageValues:
    return image_values(run, fitted=is_known(report.figure_or_absent("linear")))


@fixed_threads()
def reprobe(directory: RunDir, options: Sequence[str], baseline: str | None) -> Report:
    """Computes all figures of a run again, and publishes and returns the report.

    Nothing is written before everything is computed.

    Args:
        directory: A run whose shards are merged, locked by the caller.
        options: New values of options of probes, as `--probe` takes them.
        baseline: Path of a new CSV of baseline models; None keeps the old one.

    Raises:
        UsageError: If an option is invalid.
        DataError: If a file of the run is missing or damaged.
        RunError: If the operating system refuses.
    """
    require_manifest(directory.path)
    run = RunReader(directory)
    if baseline is not None:
        run.baseline = load_baseline(baseline)
        check_baseline(run.plan.sets, run.baseline, baseline)
    if options:
        probe_options(options)
        run.spec = replace(run.spec, probe=tuple(with_options(run.spec.probe, options)))
    timings, elsewhere = _earlier(directory, run.plan.key)
    report = _ask_all(run, elsewhere=elsewhere).model_copy(update={"timings": timings})
    images = _image_values(run, report)
    withdraw_results(directory)
    if baseline is not None and run.baseline is not None:
        write_baseline(directory, run.baseline)
    if options:
        write_spec(run.spec, directory)
    write_per_image(directory, run.plan.key, images)
    write_results(directory, report)
    return report


def _earlier(directory: RunDir, key: str) -> tuple[Timings, list[Part]]:
    """Returns the timings of a run, with the time of this probing, and parts of unknown probes.

    Results of any version say it, also where the rest of them is not of this version's schema.
    """
    timings, version, parts = Timings(), None, list[Part]()
    with suppress(DamagedFileError, ValueError, KeyError):  # pydantic's errors are ValueErrors
        tree = parse_json(directory.results_file.read_bytes(limits.REPORT_BYTES).decode("utf-8"))
        if isinstance(tree, dict) and tree.get("key") == key:
            timings = Timings.model_validate(tree["timings"])
            version = str(tree["tuiprobe"])[:100]
            known = {probe.id for probe in registry().probes}
            stored = TypeAdapter(list[Part]).validate_python(tree["parts"])
            parts = [part for part in stored if part.probe not in known]
    return timings.model_copy(
        update={
            "measured_by": version if timings.reprobed is None else timings.measured_by,
            "reprobed": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    ), parts


def _ask_all(
    run: RunReader,
    progress: Progress = lambda done, total: None,
    until: float = math.inf,
    elsewhere: Iterable[Part] = (),
) -> Report:
    """Runs every probe; one that raises an error loses only its part of the report.

    Parts of probes that are not installed, `elsewhere`, stay as they are.
    """
    known = registry()
    images = tuple(data for data in run.data if data.name != run.plan.concept_set)
    subject = Subject(run.plan.model, images, run.plan.concept_set)
    results: dict[str, ProbeResult | NotRun] = {}
    parts: dict[str, Part] = {}
    order = [*known.in_order()]
    for done, probe in enumerate(order):
        progress(done, len(order))
        try:
            in_time = time.monotonic() < until
            results[probe.id] = _result(probe, run, results) if in_time else _STOPPED
            parts[probe.id] = part(probe, results[probe.id], subject)
        except DamagedFileError:  # a file of the run
            raise
        except Exception as error:
            results[probe.id] = _failure(probe, error)
            parts[probe.id] = part(probe, results[probe.id], subject)
    all_parts = (*(parts[probe.id] for probe in known.probes), *elsewhere)
    measured = run.measured.sets
    accuracies = [
        accuracy
        for result in results.values()
        if isinstance(result, ProbeResult)
        for accuracy in result.set_accuracies()
    ]
    doubts = ordered(run_doubts(run, accuracies), run.spec.trust)
    partial = not _complete(run.plan, measured)
    try:
        report = Report(
            title=title(run.plan.model, run.id_and_shifts, all_parts, doubts, partial=partial),
            tuiprobe=__version__,
            key=run.plan.key,
            spec=run.spec.to_json(),
            model=run.plan.model,
            data=run.data,
            partial=partial,
            fingerprint=run.fingerprint,
            parts=all_parts,
            probe_key=_probe_key(run),
            doubts=doubts,
            warnings=(
                *_warnings(run.plan, measured, run.data),
                *vector_notes(run),
                *(text for part in all_parts if part.section for text in part.section.warnings),
                *known.faults,
            ),
        )
    except ValidationError as error:
        raise DamagedFileError(
            f"{run.directory.path} gives texts, lists or numbers that no report takes: "
            f"{error.errors()[0]['msg']}"
        ) from error
    sources = (str(run.directory.path.absolute()), *(planned.source for planned in run.plan.sets))
    return without_folders(report, sources)


def _result(
    probe: Probe[Any, Any], run: RunReader, results: Mapping[str, ProbeResult | NotRun]
) -> ProbeResult | NotRun:
    texts = [text for text in run.spec.probe if text.startswith(f"{probe.id}.")]
    try:
        chosen = probe_options(texts, {probe.id: lambda: probe.Options})
    except UsageError as error:
        return NotRun(reason=str(error))
    if (missing := _beyond_answers(probe, run)) is not None:
        return missing
    options = chosen.get(probe.id) or probe.Options()
    earlier = {id: results[id] for id in probe.after}
    try:
        inputs = probe.inputs(run, options, earlier)
        if isinstance(inputs, NotRun):
            return inputs
        result: ProbeResult | NotRun = probe.compute(inputs, options)
    except DamagedFileError:
        raise
    except DataError as error:
        return NotRun(reason=str(error))
    return result


def _beyond_answers(probe: Probe[Any, Any], run: RunReader) -> NotRun | None:
    """Returns why a probe cannot run on a table of answers."""
    if run.plan.model.representation != "none":
        return None
    needs = BUILT_IN[probe.id].needs if probe.id in BUILT_IN else ()
    if "representation" in needs:
        return NO_REPRESENTATION
    unsure = isinstance(run.head, HeadArrays) and not has_confidence(run)
    return NO_CONFIDENCES if unsure and "confidence" in needs else None


def _failure(probe: Probe[Any, Any], error: Exception) -> Failed:
    """Returns the cause of an error and its line in the code, which names no folder."""
    package = type(probe).__module__.partition(".")[0]
    frames = [
        f"{frame.f_globals.get('__name__')}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    in_package = [frame for frame in frames if frame.startswith(package)]
    remedy = f"please report this bug of {PROBES.package_of(probe.id) or 'tuiprobe'}"
    if isinstance(error, ValidationError):
        causes = {detail["type"] for detail in error.errors(include_input=False, include_url=False)}
        if causes & {"string_too_long", "too_long", "finite_number"}:
            remedy = "the run holds texts, lists or numbers that no report takes"
    cause = f"{in_words(error)[:_LONGEST_CAUSE]} (at {(in_package or frames)[-1]})"
    return Failed(reason=f"the probe {probe.id} failed with {cause}", remedy=remedy)


def part(probe: Probe[Any, Any], result: ProbeResult | NotRun, subject: Subject) -> Part:
    """Returns the part of a report for a result: itself, its description, and everything named."""
    if isinstance(result, NotRun):
        return Part(
            probe=probe.id,
            title=probe.title,
            block=probe.block,
            not_run=NotRun(reason=result.reason, remedy=result.remedy),
            applies=not isinstance(result, Inapplicable),
            failed=isinstance(result, Failed),
        )
    named, section = probe.named(result), probe.describe(result, subject)
    return Part(
        probe=probe.id,
        title=probe.title,
        block=section.block or probe.block,
        result=result.model_dump(mode="json"),
        section=section,
        figures=named.figures,
        facts=named.facts,
        sets=named.sets,
    )


def _probe_key(run: RunReader) -> str:
    spec = run.spec
    content: dict[str, Any] = {
        "head": run.head_file.digest,
        "seed": spec.seed,
    }
    if spec.probe:
        content["probe"] = list(spec.probe)
    if spec.trust:
        content["trust"] = sorted(set(spec.trust))
    return content_key(content)


def _complete(plan: PlanRecord, measured: Mapping[str, MeasuredRecord]) -> bool:
    counts = {name: record.shards for name, record in measured.items()}
    return all(counts.get(planned.name) == planned.shards for planned in plan.sets)


def _notes(plan: PlanRecord) -> list[str]:
    """Returns notes on each set, merged where one holds for all labelled sets and shifts."""
    notes = [
        set(planned.notes)
        for planned in plan.sets
        if not planned.target and planned.name != plan.concept_set
    ]
    common = [note for note in plan.sets[0].notes if all(note in of_set for of_set in notes)]
    return common + [
        f"{planned.name}: {note}"
        for planned in plan.sets
        for note in planned.notes
        if note not in common
    ]


def _warnings(
    plan: PlanRecord, measured: Mapping[str, MeasuredRecord], data: tuple[SetSummary, ...]
) -> tuple[str, ...]:
    warnings = _notes(plan)
    if not _complete(plan, measured):
        done = ", ".join(f"{d.measured:,} of {d.images:,} images of {d.name}" for d in data)
        warnings.append(f"interrupted: {done} were measured; the same command resumes the run")
    warnings += [_nonfinite(images) for images in data if images.nonfinite]
    made = [fingerprint for record in measured.values() for fingerprint in record.fingerprints]
    if any(made[0].differences(other) for other in made[1:]):
        warnings.append("shards of different hardware or libraries were mixed (--mix)")
    elif len(processors := sorted({fingerprint.processor for fingerprint in made})) > 1:
        warnings.append(
            f"shards were measured on {len(processors)} models of processor with equal instruction "
            f"sets ({', '.join(processors)}): last bits may differ"
        )
    pieces = max(record.pieces for record in measured.values())
    if pieces > 1:
        warnings.append(f"memory ran out: batches were cut into up to {pieces} pieces")
    if plan.model.weights.entries:
        first, *others = plan.model.weights.entries
        warnings.append(f"weights: {first} of the file, which holds {', '.join(others)} too")
    if plan.model.preprocessing.assumed:
        warnings.append(
            f"preprocessing: {plan.model.preprocessing.source.removeprefix('preprocessing ')}"
        )
    return tuple(warnings)


def _nonfinite(data: SetSummary) -> str:
    named = ", ".join(data.nonfinite_images[:NAMED_NONFINITE])
    more = data.nonfinite - NAMED_NONFINITE
    return (
        f"{data.nonfinite:,} of {data.measured:,} images of {data.name} gave representations that "
        "are not finite, and are left out of accuracy, directions and every other figure of the "
        f"final representation: {named}{f' and {more:,} more' if more > 0 else ''}"
    )

"""The results of a run: `results.json`, what a list of runs shows of it, and the manifest.

A list reads `summary.json` alone if the manifest names both and the results have not changed since
the manifest was written.
"""

import hashlib
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from tuiprobe import limits
from tuiprobe.files import DamagedFileError, Entry, read_regular, reading, unless_damaged
from tuiprobe.measure.run.arrays import checksum_of
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import (
    ANSWERED,
    FILES,
    MANIFEST,
    RESULTS,
    Manifest,
    read_manifest,
    read_named,
    read_record,
    refuse_other,
    refuse_unfinished,
    write_manifest,
    write_named,
    write_record,
)
from tuiprobe.measure.run.records import read_measured
from tuiprobe.numbers import MISSING
from tuiprobe.plaintext import encodable
from tuiprobe.results.accuracy import Accuracy, cell, on_your_pictures
from tuiprobe.results.base import LONGEST_TEXT, MOST_ITEMS, Figure, Frozen, NotRun, is_known
from tuiprobe.results.figures import LISTED
from tuiprobe.results.report import ABSENT, MOST_SETS, Report
from tuiprobe.results.subject import Representation
from tuiprobe.spec import DoubtId

_NOTHING: Final = NotRun(reason="not measured")
_NO_RESULTS: Final = NotRun(reason="no results yet")
_Sum = Annotated[int, Field(ge=0, le=2**53 * MOST_ITEMS)]
_CACHED = 10_000
_MOST_BYTES = 2**20


def read_results(run: RunDir, results: Collection[str] | None = None) -> Report:
    """Reads the report of a run directory, which is not trusted.

    Args:
        run: The directory.
        results: Probes whose results are kept, as for `Report.read`.

    Raises:
        DamagedFileError: If `results.json` is missing, altered, too large, no regular file, no
            report of this schema version, or that of another run.
    """
    run.refuse_no_run()
    file = run.results_file
    refuse_unfinished(run.path)
    report = Report.parse(read_named(file, limits.REPORT_BYTES), file, results)
    run.refuse_other_key(file, report.key)
    return report


def read_file(file: Path, results: Collection[str] | None = None) -> Report:
    """Reads a report anywhere; that of a run directory is compared with its manifest.

    Arguments and errors as for `Report.read`.
    """
    with reading(file):
        content = read_regular(file, limits.REPORT_BYTES)
    if file.name == RESULTS:
        refuse_unfinished(file.parent)
        refuse_other(Entry(file.parent, RESULTS), hashlib.sha256(content).hexdigest())
    report = Report.parse(content, file, results)
    of_run = file.name == RESULTS and RunDir(file.parent).read_key() is not None
    return report.read_from(file.parent) if of_run else report


class Summary(Frozen):
    """What lists and the live screen show of a report.

    Attributes:
        title: Title of the report.
        partial: Whether images are missing.
        model: Name of the model.
        data: Names of the sets.
        source: The source, as the user typed it.
        kind: Kind of the representation.
        images: Measured images, over all sets.
        planned: Images to measure, over all sets.
        outcome: Outcome on outlier features.
        kurtosis: Kurtosis of the final representation on the first set.
        persistence: Persistence of the final representation on the first set.
        target: Accuracy on the user's pictures by the best evidence.
        accuracy: Top-1 accuracy on the first set.
        shifts: Mean top-1 accuracy over the shifted sets.
        accuracies: The best accuracy of each set, the user's pictures first.
        doubts: Ids of the doubts that stop a decision by these figures.
    """

    title: str
    partial: bool
    model: str
    data: str
    source: str
    kind: Representation | None
    images: _Sum
    planned: _Sum
    outcome: str
    kurtosis: Figure
    persistence: Figure
    target: Accuracy | NotRun
    accuracy: Figure
    shifts: Figure
    accuracies: Annotated[tuple[Accuracy, ...], Field(max_length=MOST_SETS)]
    doubts: tuple[DoubtId, ...] = ()

    @classmethod
    def absent(cls, title: str = "", model: str = "", data: str = "", images: int = 0) -> "Summary":
        """Returns the summary of a run without results, of its options."""
        title, model, data = (encodable(text)[:LONGEST_TEXT] for text in (title, model, data))
        return cls(
            title=title, partial=True, model=model, data=data, source=data, kind=None,
            images=images, planned=0, outcome="", accuracies=(), doubts=(),
            **{figure.field: _NO_RESULTS for figure in LISTED},
        )  # fmt: skip

    def cell(self, name: str) -> str:
        """Returns a figure of `LISTED` as text."""
        figure: Figure = getattr(self, name)
        if name == "target":
            return cell(self.target)
        return figure.with_interval() if is_known(figure) else MISSING


def write_results(run: RunDir, report: Report) -> None:
    """Publishes the report of a run, then its summary, then the manifest.

    Files that the manifest of `withdraw_results` names keep their checksum; all others are read.

    Raises:
        RunError: If the operating system refuses.
    """
    write_named(run.results_file, report.to_json())
    write_record(run.summary_file, summary_of(report).model_dump(mode="json"))
    sets = [data.name for data in report.data]
    write_manifest(run.path, _named(run, sets, read_manifest(run.path) or {}))


def write_summary(run: RunDir, report: Report) -> None:
    """Publishes the summary of a report with labels, which came after the results.

    Until the end the manifest names no summary, and readers take the results instead.

    Raises:
        RunError: If the operating system refuses.
        DamagedFileError: If the manifest cannot be read.
    """
    file, manifest = run.summary_file, read_manifest(run.path)
    named = {name: checksum for name, checksum in (manifest or {}).items() if name != file.name}
    if manifest is not None:
        write_manifest(run.path, named)
    file.write_json(summary_of(report).model_dump(mode="json"))
    if manifest is not None:
        write_manifest(run.path, {**named, file.name: checksum_of(file)})


def withdraw_results(run: RunDir) -> None:
    """Publishes a manifest that names only what results are computed from.

    Until `write_results`, readers refuse the results, and only `tuiprobe reprobe` continues.
    """
    manifest = read_manifest(run.path)
    if manifest is None:
        manifest = _named(run, read_measured(run).sets, {})
    remaining = {name: checksum for name, checksum in manifest.items() if name not in ANSWERED}
    write_manifest(run.path, remaining)


def _named(run: RunDir, sets: Iterable[str], earlier: Manifest) -> Manifest:
    """Returns a manifest with all files of a run with these measured sets."""
    files = [run.at(name) for name in FILES]
    for name in sets:
        files += (run.features_file(name), run.rows_file(name))
    new = [file for file in files if file.name not in earlier and file.exists()]
    return {**earlier, **{file.name: checksum_of(file) for file in new}}


def summary_of(report: Report) -> Summary:
    """Returns the summary of a report."""
    figures = {f.field: report.figure_or_absent(f.figure.id) for f in LISTED if f.field != "target"}
    for name, figure in figures.items():
        if isinstance(figure, NotRun) and figure.reason == ABSENT.reason:
            figures[name] = _NOTHING
    return Summary(
        title=report.title,
        partial=report.partial,
        model=report.model.name,
        data=", ".join(data.name for data in report.data)[:LONGEST_TEXT],
        source=str(report.spec.get("data", "")),
        kind=report.model.representation,
        images=sum(data.measured for data in report.data),
        planned=sum(data.images for data in report.data),
        outcome=report.fact("outcome"),
        target=on_your_pictures(report),
        accuracies=report.accuracies,
        doubts=tuple(dict.fromkeys(doubt.id for doubt in report.doubts if doubt.stops)),
        **figures,
    )


def read_summary(run: RunDir) -> Summary:
    """Reads `summary.json`.

    Raises:
        DamagedFileError: If it is missing, altered or no summary, or the run has no manifest.
    """
    file = run.summary_file
    refuse_unfinished(run.path)
    try:
        return Summary.model_validate(read_record(file, _MOST_BYTES))
    except ValidationError as error:
        raise file.damaged("it is no summary") from error


def summary(run: RunDir) -> Summary:
    """Returns the row of a report in a list of runs, cached until the report changes.

    Raises:
        DamagedFileError: If there is no valid summary, and `read_results` refuses the results.
    """
    files = (run.results_file, run.summary_file, run.at(MANIFEST))
    return _summary(run.path, *(file.changed() for file in files))


@lru_cache(maxsize=_CACHED)
def _summary(path: Path, results: int, _of_summary: int, manifest: int) -> Summary:
    run = RunDir(path)
    if manifest >= results:  # else the results were edited, or the run was copied
        with suppress(DamagedFileError):
            return read_summary(run)
    return summary_of(read_results(run))


def is_partial(run: RunDir) -> bool:
    """Returns whether a run's results are of a part of the images, or cannot be read."""
    about = unless_damaged(partial(summary, run))
    return about is None or about.partial

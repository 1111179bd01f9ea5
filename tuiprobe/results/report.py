"""The report: everything one run found, and what it was found on."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

from pydantic import Field, ValidationError, computed_field, model_validator

from tuiprobe.errors import UsageError
from tuiprobe.files import DamagedFileError, Entry, parse_json
from tuiprobe.plaintext import json_text, plain, similar_names
from tuiprobe.results.accuracy import Accuracy, accuracies
from tuiprobe.results.base import (
    ByName,
    Figure,
    Frozen,
    Many,
    NotRun,
    Plain,
    Real,
    is_known,
    mistake,
)
from tuiprobe.results.doubt import Doubt
from tuiprobe.results.figures import BY_ID
from tuiprobe.results.section import Block, Id, NamedFact, NamedFigure, NamedSet, Section, Strip
from tuiprobe.results.set_accuracy import SetAccuracy
from tuiprobe.results.subject import Fingerprint, Model, Prediction, SetSummary

SCHEMA_VERSION: Final = 3

MOST_PARTS = 100
MOST_SETS = 1000


class ProbeResult(Frozen):
    """The result of a probe; its class identifies the probe.

    Attributes:
        probe: Id of the probe.
    """

    probe: ClassVar[str]

    def set_accuracies(self) -> tuple[SetAccuracy, ...]:
        """Returns the accuracies on labelled sets that it holds, which the doubts look at."""
        return ()


ABSENT: Final = NotRun(reason="not in this report")
"""What stands for a figure that a report does not name."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_Result = TypeVar("_Result", bound=ProbeResult)


class Timings(Frozen):
    """When and how fast; left out when two reports are compared.

    Attributes:
        started: ISO 8601, UTC.
        finished: ISO 8601, UTC.
        seconds: Duration by stage.
        images_per_second: Images per second of the extraction, less the time in which other models
            of the same command computed.
        measured_by: Version of tuiprobe that measured, if known and not `Report.tuiprobe`.
        reprobed: When the figures were computed again from what was measured; ISO 8601, UTC.
    """

    started: str | None = None
    finished: str | None = None
    seconds: ByName[Real] = Field(default_factory=dict)
    images_per_second: Real | None = None
    measured_by: str | None = None
    reprobed: str | None = None


class Part(Frozen):
    """What one probe found.

    Attributes:
        probe: Id of the probe.
        title: Title of the probe, for people.
        block: Block of the card that it belongs to.
        not_run: Why there is no result, and what would make it run.
        applies: Whether a result is missing where there is none: False where this model or these
            data do not ask for one.
        failed: Whether the probe raised an error.
        result: As plain data; `Report.part` gives it its type.
        section: The description of the result.
        figures: Figures by name.
        facts: Findings by name.
        sets: Sets by name.
    """

    probe: Id
    title: str
    block: Block | None = None
    not_run: NotRun | None = None
    applies: bool = True
    failed: bool = False
    result: Plain = None
    section: Section | None = None
    figures: Many[NamedFigure] = ()
    facts: Many[NamedFact] = ()
    sets: Many[NamedSet] = ()


class Report(Frozen):
    """What a run found.

    Attributes:
        schema_version: Version of this schema.
        title: One line; says so where the network is untrained, or the run partial.
        tuiprobe: Version of the program.
        key: Key of the run directory.
        spec: The run's specification, as plain data.
        model: The encoder.
        data: Sets, the in-distribution one first.
        partial: Whether images are missing.
        fingerprint: Software and hardware that numbers depend on.
        parts: The part of each probe, in reading order.
        probe_key: What the probes were answered with beyond `key`: head, names, templates, seed.
        doubts: What speaks against believing its figures.
        warnings: Warnings for the reader.
        timings: See `without_timings`.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    title: str
    tuiprobe: str
    key: str
    spec: ByName[Plain]
    model: Model
    data: Annotated[Many[SetSummary], Field(max_length=MOST_SETS)]
    partial: bool = False
    fingerprint: Fingerprint
    parts: Annotated[Many[Part], Field(max_length=MOST_PARTS)] = ()
    probe_key: str = ""
    doubts: Many[Doubt] = ()
    warnings: Many[str] = ()
    timings: Timings = Timings()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        """The accuracy of each set by its best evidence, the user's pictures first."""
        figures = (named for part in self.parts for named in part.figures)
        return accuracies(figures, self.data)

    @property
    def remarks(self) -> Iterator[tuple[str, str]]:
        """What a reader must know before any figure, doubts first: its kind, and a sentence."""
        yield from (("doubt", doubt.words) for doubt in self.doubts)
        yield from (("warning", warning) for warning in self.warnings)

    @model_validator(mode="before")
    @classmethod
    def _without_accuracies(cls, value: Any) -> Any:
        """Drops the accuracies of a file: they follow from its figures."""
        if isinstance(value, dict):
            return {name: field for name, field in value.items() if name != "accuracies"}
        return value

    @cached_property
    def directory(self) -> Path | None:
        """The run directory that it was read from."""
        return None

    def read_from(self, directory: Path) -> "Report":
        """Returns the same report, which knows its run directory. It is no field of the schema."""
        copy = self.model_copy()
        copy.__dict__["directory"] = directory
        return copy

    def __repr__(self) -> str:
        where = "" if self.directory is None else f", report {self.directory / 'report.html'}"
        return f"<Report {plain(self.title)!r}{where}>"

    def __str__(self) -> str:
        stopping = (doubt for doubt in self.doubts if doubt.stops)
        lines = [plain(self.title), *(f"{of.id}: {plain(of.words)}" for of in stopping)]
        if self.directory is not None:
            report = self.directory / "report.html"
            lines += [f"run directory: {self.directory}", f"report: {report}"]
        return "\n".join(lines)

    def part_of(self, probe: str) -> Part | None:
        """Returns the part of a probe, as plain data."""
        return next((part for part in self.parts if part.probe == probe), None)

    def part(self, kind: type[_Result]) -> _Result | None:
        """Returns the result of a probe with its type.

        Args:
            kind: The probe's result type.

        Raises:
            DamagedFileError: If the part does not fit this version of the probe.
            UsageError: If `kind` is no class of results.
        """
        if not (isinstance(kind, type) and issubclass(kind, ProbeResult)):
            raise UsageError(f"part takes a probe's result class; part_of({kind!r}) finds by id")
        part = self.part_of(kind.probe)
        if part is None or part.result is None:
            return None
        try:
            return kind.model_validate(part.result)
        except ValidationError as error:
            raise DamagedFileError(
                f"the part {kind.probe} of results.json is none of this version of tuiprobe: "
                f"{mistake(error, 'its result')}; run `tuiprobe reprobe` on its directory"
            ) from error

    def why_not(self, probe: str) -> str:
        """Returns why a probe gave no result, with what would make it run."""
        part = self.part_of(probe)
        return ABSENT.reason if part is None or part.not_run is None else part.not_run.why

    @property
    def failures(self) -> tuple[str, ...]:
        """Why probes failed, one sentence each."""
        return tuple(self.why_not(part.probe) for part in self.parts if part.failed)

    def figure(self, id: str, data: str | None = None) -> Figure:
        """Returns the first figure of a name that is not of an inner layer.

        Args:
            id: Id of the figure.
            data: Name of the set; None for the first that has the figure.

        Returns:
            The figure; a `NotRun` where there is none, which names the sets that have it.

        Raises:
            UsageError: If no figure is called so; names near ones.
        """
        known = {named.id for part in self.parts for named in part.figures if not named.inner}
        if known and id not in known and id not in BY_ID:
            near = similar_names(id, known, cutoff=0.5) or sorted(known)
            raise UsageError(f"no figure is called {id!r}; there is {', '.join(near)}")
        return self.figure_or_absent(id, data)

    def figure_or_absent(self, id: str, data: str | None = None) -> Figure:
        """Returns the figure as `figure` does, and `ABSENT` for any other name."""
        sets = []
        for part in self.parts:
            for named in part.figures:
                if named.id == id and not named.inner:
                    if data in (None, named.data):
                        return named.figure
                    sets.append(named.data)
        if not sets:
            return ABSENT
        return ABSENT.model_copy(update={"remedy": f"{id} is known of {', '.join(sets)}"})

    def headline(self, id: str, data: str | None = None) -> NamedFigure | None:
        """Returns a headline figure.

        Args:
            id: Its id, see `results/figures.py`.
            data: Name of the set; None for the first that has a value, or else the first.
        """
        matching = [
            named
            for part in self.parts
            for named in part.figures
            if named.id == id and named.headline is not None and not named.inner
            if data in (None, named.data)
        ]
        known = (named for named in matching if is_known(named.figure))
        return next(known, next(iter(matching), None))

    def fact(self, id: str) -> str:
        """Returns a finding by its name; empty where it is not in this report."""
        facts = (fact for part in self.parts for fact in part.facts)
        return next((fact.value for fact in facts if fact.id == id), "")

    def pictured(self, data: str | None = None) -> set[int]:
        """Returns the sample ids of the images in the strips of its sections.

        Args:
            data: Only images of this set; None for all.
        """
        return {
            image.sample_id
            for part in self.parts
            if part.section is not None
            for strip in part.section.content
            if isinstance(strip, Strip) and data in (None, strip.data)
            for end in strip.ends
            for image in end.images
        }

    def predictions(self) -> list[Prediction]:
        """Returns label, answer and confidence of every image of the run that it was read from.

        `pandas.DataFrame(report.predictions())` makes a table of them; `tuiprobe report RUN
        --format predictions` writes it.

        Raises:
            UsageError: If the report was not read from a run directory.
            DamagedFileError: If a file of the run is missing or damaged.
        """
        pictures: list[Prediction] = _above("tuiprobe.choose.labelling.reading:predictions")(self)
        return pictures

    def to_frame(self) -> Any:
        """Returns all figures as a pandas `DataFrame`, with the columns of `tables/figures.csv`.

        Raises:
            UsageError: If pandas is not installed.
        """
        return _above("tuiprobe.show.report.tables:figures_frame")(self)

    def without_timings(self) -> "Report":
        """Returns the same report with empty timings, for comparing two runs by `==`."""
        return self.model_copy(update={"timings": Timings()})

    def to_json(self) -> str:
        """Returns strict JSON (no NaN, no Infinity), ending in a newline."""
        return json_text(self.model_dump(mode="json")) + "\n"

    def _repr_html_(self) -> str:
        """Returns the card as HTML, which notebooks show."""
        return str(_above("tuiprobe.show.report.html:card_html")(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Prints the card as text, as IPython shows it."""
        printer.text(_above("tuiprobe.show.report.terminal:summary")(self).rstrip("\n"))

    @classmethod
    def read(cls, file: Path, results: Collection[str] | None = None) -> "Report":
        """Reads a `results.json`; that of a run directory is compared with its manifest.

        Args:
            file: The file, or its directory.
            results: Probes whose results are kept; other results, and the rows of tables that
                people do not read, are dropped while reading, which halves the memory. None keeps
                everything.

        Raises:
            DamagedFileError: If it is missing, altered, or not a regular report file.
        """
        if not isinstance(file, str | Path):
            raise UsageError(f"read takes the path of a results.json, not a {type(file).__name__}")
        path = Path(file) / "results.json" if Path(file).is_dir() else Path(file)
        report: Report = _above("tuiprobe.measure.run.results:read_file")(path, results)
        return report

    @classmethod
    def parse(
        cls, content: bytes, source: object, results: Collection[str] | None = None
    ) -> "Report":
        """Reads the content of a `results.json`, which may come from anywhere.

        Args:
            content: The file's bytes.
            source: What names the file in errors.
            results: As for `read`.

        Raises:
            DamagedFileError: If it was altered or is not a report of this schema version.
        """
        where = source.root if isinstance(source, Entry) else Path(str(source)).parent
        remedy = f"run `tuiprobe reprobe {where}` to write it again"
        each = None if results is None else partial(_for_people, results)
        tree: Any = None
        try:
            # The parser of Pydantic takes 20 times the memory.
            tree = parse_json(content.decode("utf-8"), each)
            if _SURROGATE.search(content):  # pairs of them are letters
                json.dumps(tree, ensure_ascii=False).encode("utf-8")
            return cls.model_validate(tree)
        except ValidationError as error:
            version = tree.get("schema_version") if isinstance(tree, dict) else None
            if isinstance(version, int) and version != SCHEMA_VERSION and 0 < version < 1000:
                raise DamagedFileError(
                    f"{source} is of schema {version}, and this version of tuiprobe reads schema "
                    f"{SCHEMA_VERSION}: {remedy}"
                ) from error
            cause = mistake(error, "the file")
            why: ValueError = error
        except ValueError as error:
            cause, why = f"the file: {error}", error
        raise DamagedFileError(
            f"{source} is no report of this version of tuiprobe: {cause}; {remedy}"
        ) from why


def _above(import_path: str) -> Callable[..., Any]:
    """Returns a function, named `module:name`, of a package that stands above this one."""
    module, _, name = import_path.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _for_people(results: Collection[str], value: dict[str, Any]) -> dict[str, Any]:
    """Drops the rows of a table that only files hold, or the result of a part."""
    if value.get("kind") == "table" and value.get("reading") is False:
        value["rows"] = value["subjects"] = []
    elif "section" in value and value.get("probe") not in results:
        value["result"] = None
    return value

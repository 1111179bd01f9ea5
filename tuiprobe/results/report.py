"""The report: everything one run found, and what it was found on."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError

from tuiprobe.checksums import MEMBER, is_sealed, seal
from tuiprobe.files import DamagedFileError, Entry, parse_json, read_regular
from tuiprobe.plaintext import json_text
from tuiprobe.results.base import Figure, Frozen, Many, NotRun, Plain, Real
from tuiprobe.results.section import Block, Id, NamedFact, NamedFigure, NamedSet, Section
from tuiprobe.results.subject import DataSet, Fingerprint, Model

SchemaVersion = Literal[2]
SCHEMA_VERSION: Final = 2

MAX_REPORT_BYTES: Final = 128 * 2**20
"""Several times the report of every layer of a large encoder on eight sets."""


class ProbeResult(Frozen):
    """The result of a probe; its class identifies the probe.

    Attributes:
        probe: Id of the probe.
    """

    probe: ClassVar[str]


ABSENT: Final = NotRun(reason="not in this report")
"""What stands for a figure that a report does not name."""

_Result = TypeVar("_Result", bound=ProbeResult)


class Timings(Frozen):
    """When and how fast; left out when two reports are compared.

    Attributes:
        started: ISO 8601, UTC.
        finished: ISO 8601, UTC.
        seconds: Duration by stage.
        images_per_second: Images per second of the extraction.
    """

    started: str | None = None
    finished: str | None = None
    seconds: dict[str, Real] = Field(default_factory=dict)
    images_per_second: Real | None = None


class Part(Frozen):
    """What one probe found.

    Attributes:
        probe: Id of the probe.
        title: Title of the probe, for people.
        block: Block of the card that it belongs to; None for none.
        not_run: Why there is no result; None where there is one.
        remedy: What would make it run; empty if nothing would.
        result: As plain data; `Report.part` gives it its type.
        section: The description of the result.
        figures: Figures by name.
        facts: Findings by name.
        sets: Sets by name.
    """

    probe: Id
    title: str
    block: Block | None = None
    not_run: str | None = None
    remedy: str = ""
    result: Plain = None
    section: Section | None = None
    figures: Many[NamedFigure] = ()
    facts: Many[NamedFact] = ()
    sets: Many[NamedSet] = ()


class Report(Frozen):
    """What a run found.

    Attributes:
        schema_version: Version of this schema.
        title: One line; says so where the network is untrained or ablated, or the run partial.
        tuiprobe: Version of the program.
        key: Key of the run directory.
        spec: The run's specification, as plain data.
        model: The encoder.
        data: Sets, the in-distribution one first.
        partial: Whether images are missing.
        fingerprint: Software and hardware that numbers depend on.
        parts: The part of each probe, in reading order.
        probe_key: What the probes were answered with beyond `key`: head, names, templates, seed.
        warnings: Warnings for the reader.
        timings: See `without_timings`.
        sha256: SHA-256 of the file without these 64 digits; None in memory, because the
            file was verified when it was read.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    title: str
    tuiprobe: str
    key: str
    spec: dict[str, Plain]
    model: Model
    data: Many[DataSet]
    partial: bool = False
    fingerprint: Fingerprint
    parts: Many[Part] = ()
    probe_key: str = ""
    warnings: Many[str] = ()
    timings: Timings = Timings()
    sha256: str | None = None

    def part_of(self, probe: str) -> Part | None:
        """Returns what a probe found, as plain data; None where it is not in this report."""
        return next((one for one in self.parts if one.probe == probe), None)

    def part(self, kind: type[_Result]) -> _Result | None:
        """Returns the result of a probe with its type; None where there is none.

        Args:
            kind: The probe's result type.

        Raises:
            DamagedFileError: If the part does not fit this version of the probe.
        """
        found = self.part_of(kind.probe)
        if found is None or found.result is None:
            return None
        return _validated(kind, found.result)

    def why_not(self, probe: str) -> str:
        """Returns why a probe gave no result, with what would make it run."""
        found = self.part_of(probe)
        if found is None or found.not_run is None:
            return "it is not in this report"
        return f"{found.not_run}{f' ({found.remedy})' if found.remedy else ''}"

    def figure(self, id: str, data: str | None = None) -> Figure:
        """Returns the first figure of a name that is not of an inner layer.

        Args:
            id: Id of the figure.
            data: Name of the set; None for the first that has the figure.
        """
        for part in self.parts:
            for one in part.figures:
                if one.id == id and not one.inner and data in (None, one.data):
                    return one.figure
        return ABSENT

    def fact(self, id: str) -> str:
        """Returns a finding by its name; empty where it is not in this report."""
        facts = (one for part in self.parts for one in part.facts)
        return next((one.value for one in facts if one.id == id), "")

    def without_timings(self) -> "Report":
        """Returns the same report with empty timings, for comparing two runs by `==`."""
        return self.model_copy(update={"timings": Timings(), MEMBER: None})

    def to_json(self) -> str:
        """Returns strict JSON (no NaN, no Infinity) with its checksum, ending in a newline."""
        return seal(json_text(self.model_dump(mode="json", exclude={MEMBER})))

    def _repr_html_(self) -> str:
        """Returns the card as HTML, which notebooks show."""
        return _rendered("tuiprobe.report.notebook:card_html", self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Prints the card as text, as IPython shows it."""
        printer.text(_rendered("tuiprobe.report.summary:summary", self).rstrip("\n"))

    @classmethod
    def read(cls, file: Path | Entry) -> "Report":
        """Reads a `results.json`.

        Raises:
            DamagedFileError: If it was altered, or is not a regular report file.
            OSError: If it is unreadable.
        """
        if isinstance(file, Entry):
            return cls.parse(file.read_bytes(MAX_REPORT_BYTES), file)
        return cls.parse(read_regular(file, MAX_REPORT_BYTES), file)

    @classmethod
    def parse(cls, content: bytes, source: object) -> "Report":
        """Reads the content of a `results.json`, which may come from anywhere.

        Args:
            content: The file's bytes.
            source: What names the file in errors.

        Raises:
            DamagedFileError: If it was altered or is not a report of this schema version.
        """
        refuse_altered(content, source)
        try:
            return cls.model_validate_json(content).model_copy(update={MEMBER: None})
        except ValidationError as error:
            raise no_report(content, source, error) from error


def _rendered(renderer: str, report: Report) -> str:
    """Renders a report for a notebook, by import string: the room of renderers is above this one.

    Args:
        renderer: A function from a report to text, as `module:name`.
        report: What it renders.
    """
    module, _, name = renderer.partition(":")
    render: Callable[[Report], str] = getattr(import_module(module), name)
    return render(report)


def _validated(kind: type[_Result], value: JsonValue) -> _Result:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200] or "its result"
        raise DamagedFileError(
            f"the part {kind.probe} of results.json is none of this version of tuiprobe: {where}: "
            f"{first['msg'][:200]}; run `tuiprobe reprobe` on its directory"
        ) from error


def refuse_altered(content: bytes, source: object) -> None:
    """Compares the checksum of a `results.json`, where it has one.

    Raises:
        DamagedFileError: If it was altered.
    """
    try:
        is_sealed(content, source)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}; {_reprobe(source)}") from error


def no_report(content: bytes, source: object, error: ValidationError) -> DamagedFileError:
    """Returns the error for a file whose content is not a report of this schema version."""
    version = _version(content)
    if version is not None and version != SCHEMA_VERSION:
        return DamagedFileError(
            f"{source} is of schema {version}, and this version of tuiprobe reads schema "
            f"{SCHEMA_VERSION}: {_reprobe(source)}"
        )
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:200] or "the file"
    return DamagedFileError(
        f"{source} is no report of this version of tuiprobe: {where}: {first['msg'][:200]}; "
        f"{_reprobe(source)}"
    )


def _version(content: bytes) -> int | None:
    try:
        found = parse_json(content)
    except ValueError:
        return None
    version = found.get("schema_version") if isinstance(found, dict) else None
    return version if isinstance(version, int) and 0 < version < 1000 else None


def _reprobe(source: object) -> str:
    where = source.root if isinstance(source, Entry) else Path(str(source)).parent
    return f"run `tuiprobe reprobe {where}` to write it again"

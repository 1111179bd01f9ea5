"""The report: everything one run found, and what it was found on."""

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, JsonValue, ValidationError

from tuiprobe.checksums import MEMBER, is_sealed, seal
from tuiprobe.files import DamagedFileError, Entry, read_regular
from tuiprobe.plaintext import json_text
from tuiprobe.probes.concepts.result import Concepts
from tuiprobe.probes.directions.result import Directions
from tuiprobe.probes.outliers.result import Criterion, Outliers, Verdict
from tuiprobe.probes.population.result import Population
from tuiprobe.probes.preflight.result import PreflightCheck
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.results.base import Frozen, Many, Real
from tuiprobe.results.subject import DataSet, Fingerprint, Model

SchemaVersion = Literal[1]
SCHEMA_VERSION: Final = 1
_WRITE_AGAIN: Final = "write it again with `tuiprobe reprobe`"

MAX_REPORT_BYTES: Final = 128 * 2**20
"""Several times the report of every layer of a large encoder on eight sets."""


class Timings(Frozen):
    """When and how fast; left out when two reports are compared.

    Attributes:
        started: ISO 8601, UTC.
        finished: ISO 8601, UTC.
        seconds: by stage.
        images_per_second: of the extraction.
    """

    started: str | None = None
    finished: str | None = None
    seconds: dict[str, Real] = Field(default_factory=dict)
    images_per_second: Real | None = None


class NotRunPart(Frozen):
    """A part of the report that could not be run."""

    part: str
    reason: str


class Report(Frozen):
    """What a run found.

    Attributes:
        schema_version: of this schema.
        title: one line; says so where the network is untrained or the verdict withheld.
        tuiprobe: version of the program.
        key: of the run directory.
        spec: the run's specification, as plain data.
        model: the encoder.
        data: sets, the in-distribution one first.
        fingerprint: software and hardware that numbers depend on.
        verdict: by Rule v1, on the final representation of the first set.
        outliers: figures, one entry a set and tap.
        cross_layer: criteria that need all blocks at once (LLM.int8).
        directions: privileged directions of the head; None where there is no head.
        robustness: accuracies and effective robustness; None without labels or head.
        concepts: concepts encoded by directions; None without a concept set.
        population: the same architecture untrained, and other models filed in the atlas.
        preflight: what was checked of encoder and labels before the first image.
        probe_key: what the probes were answered with beyond `key`: head, names, templates, seed.
        not_run: parts that could not be run, with the reason.
        warnings: for the reader.
        timings: see `without_timings`.
        sha256: of the file without these 64 digits; None in files of earlier versions, and in
            memory, where the file is verified when it is read.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    title: str
    tuiprobe: str
    key: str
    spec: dict[str, JsonValue]
    model: Model
    data: Many[DataSet]
    fingerprint: Fingerprint
    verdict: Verdict
    outliers: Many[Outliers]
    cross_layer: Many[Criterion] = ()
    directions: Directions | None = None
    robustness: Robustness | None = None
    concepts: Concepts | None = None
    population: Population | None = None
    preflight: Many[PreflightCheck] = ()
    probe_key: str = ""
    not_run: Many[NotRunPart] = ()
    warnings: Many[str] = ()
    timings: Timings = Timings()
    sha256: str | None = None

    def without_timings(self) -> "Report":
        """The same report with empty timings, for comparing two runs by `==`."""
        return self.model_copy(update={"timings": Timings(), MEMBER: None})

    def to_json(self) -> str:
        """Strict JSON (no NaN, no Infinity) with its checksum, ending in a newline."""
        return seal(json_text(self.model_dump(mode="python", exclude={MEMBER})))

    @classmethod
    def read(cls, file: Path | Entry) -> "Report":
        """Read a `results.json`.

        Raises:
            DamagedFileError: altered, not a report of this schema version, or no regular file.
            OSError: unreadable.
        """
        if isinstance(file, Entry):
            return cls.parse(file.read_bytes(MAX_REPORT_BYTES), file)
        return cls.parse(read_regular(file, MAX_REPORT_BYTES), file)

    @classmethod
    def parse(cls, content: bytes, source: object) -> "Report":
        """Read the content of a `results.json`, which may come from anywhere.

        Args:
            content: The file's bytes.
            source: What names the file in errors.

        Raises:
            DamagedFileError: altered, or not a report of this schema version.
        """
        refuse_altered(content, source)
        try:
            return cls.model_validate_json(content).model_copy(update={MEMBER: None})
        except ValidationError as error:
            raise no_report(source, error) from error


def refuse_altered(content: bytes, source: object) -> None:
    """Compares the checksum of a `results.json`, where it has one.

    Raises:
        DamagedFileError: altered.
    """
    try:
        is_sealed(content, source)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}; {_WRITE_AGAIN}") from error


def no_report(source: object, error: ValidationError) -> DamagedFileError:
    """What is said of a file whose content is no report of this schema version."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:200] or "the file"
    return DamagedFileError(
        f"{source} is no report of this version of tuiprobe: {where}: {first['msg'][:200]}; "
        f"{_WRITE_AGAIN}"
    )


def title_for(model: Model, data: tuple[DataSet, ...], verdict: Verdict) -> str:
    """The report's title: what was probed, on what, and what a reader must know first."""
    sets = ", ".join(one.name for one in data) or "no images"
    name = f"{model.name}, ABLATED ({'; '.join(model.ablated)})," if model.ablated else model.name
    if model.weights.kind == "untrained":
        return f"UNTRAINED network {name} on {sets}: random weights, no verdict"
    if verdict.outcome == "withheld":
        return f"{name} on {sets}: verdict withheld"
    return f"{name} on {sets}: outlier features {verdict.outcome}"

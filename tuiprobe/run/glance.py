"""The few figures that a list of runs shows, read without building the whole report."""

from pydantic import BaseModel, ConfigDict, ValidationError

from tuiprobe.files import Entry
from tuiprobe.probes.outliers.result import Outcome
from tuiprobe.results.base import LONGEST_TEXT, Count, Figure, Many
from tuiprobe.results.report import MAX_REPORT_BYTES, SchemaVersion, no_report, refuse_altered
from tuiprobe.results.subject import Representation


class _Part(BaseModel):
    """A part of a report; what is not named here is skipped, not checked."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, str_max_length=LONGEST_TEXT
    )


class _Model(_Part):
    name: str
    representation: Representation


class _Data(_Part):
    name: str
    measured: Count


class _Verdict(_Part):
    outcome: Outcome


class _Persistence(_Part):
    value: Figure


class _Outliers(_Part):
    final: bool
    kurtosis: Figure
    persistence: _Persistence


class _Accuracy(_Part):
    top1: Figure


class _Robustness(_Part):
    accuracies: Many[_Accuracy]
    mean_shift: Figure


class Glance(_Part):
    """What a list of runs shows of a report; the fields are those of `Report`."""

    schema_version: SchemaVersion
    title: str
    model: _Model
    data: Many[_Data]
    verdict: _Verdict
    outliers: Many[_Outliers]
    robustness: _Robustness | None = None


def read_glance(file: Entry) -> Glance:
    """Read what a list shows of a run's `results.json`.

    Raises:
        DamagedFileError: It is missing, altered, no regular file, too large, or no report.
    """
    content = file.read_bytes(MAX_REPORT_BYTES)
    refuse_altered(content, file)
    try:
        return Glance.model_validate_json(content)
    except ValidationError as error:
        raise no_report(file, error) from error

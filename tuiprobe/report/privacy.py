"""A report without names of files and folders, for readers outside the house.

Names of sets, classes and models stay: they are what the report is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from tuiprobe.results.report import Report
from tuiprobe.spec import run_options

MOST_SPACED: Final = 500
"""Names with spaces that are looked for within sentences; each takes time on every string."""
HIDDEN: Final = "…"
"""Stands for a name that was left out."""

_ON_DISK: Final = {
    one.name for one in run_options() if one.option.metavar in ("FILE", "SOURCE", "DIR")
}
_OF_A_USER = ("checkpoint", "unknown")
_ABSOLUTE = re.compile(r"(?<![\w/.<])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\:;,'\"()<>|*]+){2,}[/\\]?")
_IMAGE = re.compile(
    r"[^\s:;,'\"()]+\.(?:jpe?g|png|webp|tiff?|bmp|gif|ppm|npy|tar)\b", re.IGNORECASE
)


def without_paths(report: Report) -> Report:
    """Returns the report without names of files and folders, in every string that it holds."""
    whole = report.model_dump(mode="json", exclude={"sha256"})
    secrets = _Secrets(_named(whole))
    for one in whole["data"]:
        one["source"] = _source(one["source"])
        one["nonfinite_images"] = []
    whole["spec"] = {name: _option(name, value) for name, value in whole["spec"].items()}
    weights = whole["model"]["weights"]
    if weights["kind"] in _OF_A_USER:
        weights["source"] = HIDDEN
    return Report.model_validate(secrets.left_out(whole))


def _source(text: str) -> str:
    """Returns what kind of source it is, without where it lies.

    >>> _source("imagefolder:/home/me/photos"), _source("photos")
    ('imagefolder:…', '…')
    """
    kind, colon, _ = text.partition(":")
    return f"{kind}:{HIDDEN}" if colon and kind.isidentifier() else HIDDEN


def _option(name: str, value: Any) -> Any:
    if name not in _ON_DISK or value is None:
        return value
    return [_source(str(one)) for one in value] if isinstance(value, list) else _source(str(value))


def _named(whole: dict[str, Any]) -> Iterable[str]:
    """Yields the names that the report says are of files or folders."""
    for name, value in whole["spec"].items():
        if name in _ON_DISK and value is not None:
            for one in value if isinstance(value, list) else [value]:
                yield str(one)
                yield str(one).partition(":")[2]
    for data in whole["data"]:
        yield data["source"]
        yield data["source"].partition(":")[2]
        yield from data["nonfinite_images"]
    if whole["model"]["weights"]["kind"] in _OF_A_USER:
        yield whole["model"]["weights"]["source"]
    yield from _paths(whole)


def _paths(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        for one in value.values():
            yield from _paths(one)
    elif isinstance(value, list):
        for one in value:
            yield from _paths(one)


class _Secrets:
    """Leaves names out of every string.

    Args:
        names: Names that are left out where a string is one, and within a string where they are
            long enough to be no ordinary word.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name for name in names if name}
        folders = sorted((one for one in self._names if "/" in one), key=len, reverse=True)
        # Names of images are found by their endings, those with spaces only as they are.
        places = [one for one in folders if " " not in one and not _IMAGE.fullmatch(one)]
        places += [one for one in folders if " " in one][:MOST_SPACED]
        self._within = re.compile("|".join(map(re.escape, places))) if places else None

    def left_out(self, value: Any) -> Any:
        """Returns plain data without the names."""
        if isinstance(value, dict):
            found = {name: self.left_out(one) for name, one in value.items()}
            if isinstance(value.get("path"), str):
                found["path"] = None if "sample_id" in value else HIDDEN
            return self._table(found) if value.get("kind") == "table" else found
        if isinstance(value, list):
            return [self.left_out(one) for one in value]
        return self._text(value) if isinstance(value, str) else value

    def _table(self, table: dict[str, Any]) -> dict[str, Any]:
        at = [i for i, one in enumerate(table["columns"]) if one["id"] == "path"]
        for row in table["rows"]:
            for i in at:
                row[i] = None if row[i] is None else HIDDEN
        return table

    def _text(self, text: str) -> str:
        if text in self._names and ("/" in text or "." in text or len(text) > 12):
            return HIDDEN
        if self._within is not None:
            text = self._within.sub(HIDDEN, text)
        return _IMAGE.sub(HIDDEN, _ABSOLUTE.sub(HIDDEN, text))

"""The preflight as a probe: read from its file, shown first."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from tuiprobe.probes.preflight import TITLE
from tuiprobe.probes.protocol import Found, Options, Probe, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.probes.telling import table
from tuiprobe.results import NotRun
from tuiprobe.results.base import Many
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import Code, Section, Strong, Value
from tuiprobe.results.subject import PROBE, PreflightCheck, Status
from tuiprobe.run.records import read_preflight, warnings_of


class Preflight(ProbeResult):
    """The preflight of a run.

    Attributes:
        checks: In the order in which they were made.
    """

    probe: ClassVar[str] = "preflight"

    checks: Many[PreflightCheck]


_SHOWN: dict[Status, Value] = {
    "warn": Strong(strong="warning"), "fail": Strong(strong="failed"),
    "pass": "pass", "skip": "skip",
}  # fmt: skip


class PreflightChecks(Probe[tuple[PreflightCheck, ...], Preflight]):
    """What was checked of encoder and labels before any image was measured."""

    id = PROBE
    title = TITLE
    block = "how sure"
    Result = Preflight

    def inputs(
        self, run: RunReader, options: Options, found: Found
    ) -> tuple[PreflightCheck, ...] | NotRun:
        """Reads the findings of the preflight."""
        checks = read_preflight(run.directory)
        return checks or NotRun(reason="an earlier version measured this run without a preflight")

    def compute(self, inputs: tuple[PreflightCheck, ...], options: Options) -> Preflight:
        """Takes the findings as they are."""
        return Preflight(checks=inputs)

    def describe(self, result: Preflight, subject: Subject) -> Section:
        """Describes every check, and how many passed."""
        counts = Counter(one.status for one in result.checks)
        rows = [
            [
                one.name,
                Code(code=one.data) if one.data is not None else "encoder",
                _SHOWN[one.status],
                one.detail + (f"; {one.fix}" if one.fix else ""),
            ]
            for one in result.checks
        ]
        columns = [("check", "check"), ("of", "of"), ("status", ""), ("found", "found")]
        asked = len(result.checks) - counts["skip"]
        said = f"{counts['pass']} of {asked} checks passed before the first image."
        return Section(
            title=self.title,
            headline=(said,),
            card=() if counts["pass"] == asked else None,
            warnings=warnings_of(result.checks),
            content=(table("preflight", columns, rows, folded=True),),
        )

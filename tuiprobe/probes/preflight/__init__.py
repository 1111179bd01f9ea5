"""The preflight as a probe: read from its file, shown first."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from tuiprobe.measure.run.records import read_preflight, warnings_of
from tuiprobe.probes import BUILT_IN
from tuiprobe.probes.content import table
from tuiprobe.probes.protocol import Options, Probe, Results, Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import NotRun
from tuiprobe.results.base import Many
from tuiprobe.results.report import ProbeResult
from tuiprobe.results.section import Code, Section, Strong, Value
from tuiprobe.results.subject import PROBE, Check, CheckStatus


class Preflight(ProbeResult):
    """The preflight of a run.

    Attributes:
        checks: In the order in which they were made.
    """

    probe: ClassVar[str] = "preflight"

    checks: Many[Check]


_STATUS: dict[CheckStatus, Value] = {
    "warn": Strong(strong="warning"), "fail": Strong(strong="failed"),
    "pass": "pass", "skip": "skip",
}  # fmt: skip


class PreflightChecks(Probe[tuple[Check, ...], Preflight]):
    """What was checked of encoder and labels before any image was measured."""

    id = PROBE
    title = BUILT_IN["preflight"].title
    block = "how sure"
    Result = Preflight

    def inputs(
        self, run: RunReader, options: Options, results: Results
    ) -> tuple[Check, ...] | NotRun:
        """Reads the findings of the preflight."""
        checks = read_preflight(run.directory)
        return checks or NotRun(reason="the run holds no preflight")

    def compute(self, inputs: tuple[Check, ...], options: Options) -> Preflight:
        """Takes the findings as they are."""
        return Preflight(checks=inputs)

    def describe(self, result: Preflight, subject: Subject) -> Section:
        """Describes every check, and how many passed."""
        counts = Counter(check.status for check in result.checks)
        rows = [
            [
                check.name,
                Code(code=check.data) if check.data is not None else "encoder",
                _STATUS[check.status],
                check.detail + (f"; {check.fix}" if check.fix else ""),
            ]
            for check in result.checks
        ]
        made = len(result.checks) - counts["skip"]
        return Section(
            title=self.title,
            headline=(
                f"{counts['pass']} of {made} checks passed before the first image."
                if made
                else "There was nothing to check before the first image.",
            ),
            card=() if counts["pass"] == made else None,
            warnings=warnings_of(result.checks),
            content=(
                table("preflight", ["check", "of", ("status", ""), "found"], rows, folded=True),
            ),
        )

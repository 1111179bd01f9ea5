"""What the engine asks of the installed probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuiprobe.measure.engine.hooks import Estimates, ProbeHooks
from tuiprobe.measure.run.preview import PlannedProbe, Unknown
from tuiprobe.probes import BUILT_IN, PROBES, check_baseline, hooked

if TYPE_CHECKING:
    from tuiprobe.measure.arrays.head_arrays import SetFeatures
    from tuiprobe.measure.engine.hooks import Progress
    from tuiprobe.measure.run.arrays import HeadArrays
    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.results import Report


def _make_report(directory: RunDir, progress: Progress, until: float) -> Report:
    from tuiprobe.probes.report import make_report

    return make_report(directory, progress, until)


def _live(
    head: HeadArrays,
    first: SetFeatures,
    shifts: Sequence[SetFeatures],
    targets: Sequence[SetFeatures],
) -> Estimates:
    found = [kind().live(head, first, shifts, targets) for kind in hooked("live").values()]
    return {name: accuracy for of_probe in found for name, accuracy in of_probe.items()}


def _announced() -> tuple[PlannedProbe, ...]:
    probes = [
        PlannedProbe(id=id, title=probe.title, needs=probe.needs, outcome="runs")
        for id, probe in BUILT_IN.items()
    ]
    foreign = Unknown(depends_on="package")
    probes += [
        PlannedProbe(id=part.name, title=part.name, needs=(), outcome=foreign)
        for part in PROBES.foreign()
    ]
    return tuple(probes)


HOOKS = ProbeHooks(_make_report, check_baseline, _live, _announced)

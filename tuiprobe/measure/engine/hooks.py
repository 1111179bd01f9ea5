"""What the engine asks of probes, none of which it knows; whoever calls it passes them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tuiprobe.measure.arrays.head_arrays import SetFeatures
    from tuiprobe.measure.run.arrays import HeadArrays
    from tuiprobe.measure.run.directory import RunDir
    from tuiprobe.measure.run.preview import PlannedProbe
    from tuiprobe.measure.run.records import SetRecord
    from tuiprobe.results import NotRun, Report
    from tuiprobe.results.accuracy import Accuracy

Progress: TypeAlias = "Callable[[int, int], object]"
"""Called with how many of how many probes are done."""

Estimates: TypeAlias = "Mapping[str, Accuracy | NotRun]"
"""Accuracy by name of a set without labels, or why there is none."""


@dataclass(frozen=True)
class ProbeHooks:
    """What the engine asks of the installed probes.

    Attributes:
        make_report: Computes the report of a run whose shards are merged; begins no probe after a
            time of `time.monotonic`.
        check_baseline: Rejects the text of a user's CSV that does not fit the sets, named by its
            path; returns what of it is not used, in words.
        live: Estimates accuracy while images pass, from a head, the images so far in distribution,
            of shifts and of sets without labels.
        announced: Lists the probes before a run, without loading any.
    """

    make_report: Callable[[RunDir, Progress, float], Report]
    check_baseline: Callable[[Sequence[SetRecord], str, str], str]
    live: Callable[
        [HeadArrays, SetFeatures, Sequence[SetFeatures], Sequence[SetFeatures]], Estimates
    ]
    announced: Callable[[], tuple[PlannedProbe, ...]]

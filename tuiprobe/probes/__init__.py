"""Probes: one folder each. Built-in ones and those of other packages are found the same way.

A package adds a probe by an entry point of the group `tuiprobe.probes`: its name is the probe's id,
its object the class. Nothing is imported before a run is answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from tuiprobe import plugins
from tuiprobe.options import PROBE_GROUP
from tuiprobe.plugins import PluginError, in_words

if TYPE_CHECKING:
    from tuiprobe.measure.run.records import SetRecord
    from tuiprobe.probes.protocol import Probe

Need: TypeAlias = Literal[
    "representation", "head", "labels", "target", "concepts", "channel", "confidence"
]
"""What a built-in probe needs: a representation, which a table of answers has not; a head; labels
of the first set; a target set; a concept set; a channel that stands out, or the confidence of
answers, which are known only after measuring."""


Hook: TypeAlias = Literal["baseline", "live", "promise", "labels"]
"""What else is asked of a built-in probe: `check_baseline` and `live` by the engine, before its
report; `with_promises` and `cut_to_labels` by readers of a report."""


class BuiltIn(NamedTuple):
    """A built-in probe, as it is announced before a run.

    Attributes:
        title: Heads its section and its tab.
        import_path: Import string of its class.
        needs: What it needs of model and data.
        hooks: What else it is asked.
    """

    title: str
    import_path: str
    needs: tuple[Need, ...] = ()
    hooks: tuple[Hook, ...] = ()


BUILT_IN = {
    "preflight": BuiltIn("Preflight", "tuiprobe.probes.preflight:PreflightChecks"),
    "targets": BuiltIn(
        "Accuracy on your images", "tuiprobe.choose.targets.describe:ExpectedAccuracy",
        ("target", "head"), ("live", "labels"),
    ),
    "calibration": BuiltIn(
        "Calibration", "tuiprobe.choose.calibration.describe:CalibrationOfTheHead",
        ("head", "labels", "confidence"),
    ),
    "robustness": BuiltIn(
        "Accuracy under shift", "tuiprobe.choose.robustness.describe:AccuracyUnderShift",
        ("head", "labels"), ("baseline",),
    ),
    "linear": BuiltIn(
        "Fitted head", "tuiprobe.choose.linear.describe:FittedHead",
        ("representation", "labels"),
    ),
    "outliers": BuiltIn(
        "Outlier features", "tuiprobe.inside.outliers.describe:OutlierFeatures",
        ("representation",),
    ),
    "ablation": BuiltIn(
        "Channel ablation", "tuiprobe.inside.ablation.describe:ChannelAblation",
        ("representation", "head", "labels", "channel"),
    ),
    "directions": BuiltIn(
        "Privileged directions", "tuiprobe.inside.directions.describe:PrivilegedDirections",
        ("representation", "head"),
    ),
    "concepts": BuiltIn(
        "Concepts", "tuiprobe.inside.concepts.describe:UniqueConcepts",
        ("representation", "concepts"),
    ),
    "unattended": BuiltIn(
        "Unattended answers", "tuiprobe.choose.unattended.describe:RunsUnattended",
        ("head", "labels"), ("promise",),
    ),
}  # fmt: skip
"""The built-in probes by id, in the order of a report."""

LABELS = "labels"
"""Id of the part of a report about labels, which no probe may have."""

_ID = re.compile(r"[a-z0-9_]{1,64}")  # what a report and a file name allow

PROBES = plugins.Registry(
    PROBE_GROUP, "probe", type, {id: probe.import_path for id, probe in BUILT_IN.items()}
)
"""Every probe by its id."""


@dataclass(frozen=True)
class InstalledProbes:
    """Every installed probe.

    Attributes:
        probes: In the order of a report: built-in ones, then those of other packages by name.
        faults: Why probes of other packages were left out, one sentence each.
    """

    probes: tuple[Probe[Any, Any], ...]
    faults: tuple[str, ...]

    def in_order(self) -> list[Probe[Any, Any]]:
        """Returns the probes in dependency order: each one after those that it names in `after`."""
        return _ordered(list(self.probes))[0]


@cache
def registry() -> InstalledProbes:
    """Returns every installed probe; each is imported once."""
    probes = {name: _made(name, PROBES.builtin(name)) for name in PROBES.builtin_names}
    faults = list(PROBES.warnings(PROBES.builtin_names))
    for part in PROBES.foreign():
        start = f"the probe {part.name!r} of {part.package} is left out"
        if part.name in (*probes, LABELS):
            faults.append(f"{start}: it is installed twice")
            continue
        try:
            probes[part.name] = _made(part.name, PROBES.load(part))
        except PluginError as error:
            faults.append(f"{error}; it is left out")
        except Exception as error:  # code of another package may raise anything
            faults.append(f"{start}: {in_words(error)}")
    ordered, stuck = _ordered(list(probes.values()))
    faults += [f"the probe {probe.id!r} is left out: {why}" for probe, why in stuck]
    installed = tuple(probe for probe in probes.values() if probe in ordered)
    return InstalledProbes(installed, tuple(faults))


def hooked(hook: Hook) -> dict[str, type[Probe[Any, Any]]]:
    """Loads the built-in probes that have a hook, by id, and no other."""
    kinds: dict[str, Any] = {
        id: PROBES.builtin(id) for id, probe in BUILT_IN.items() if hook in probe.hooks
    }
    return kinds


def check_baseline(sets: Sequence[SetRecord], text: str, path: str) -> str:
    """Rejects a CSV of baseline models that does not fit the sets; returns what is not used."""
    remarks = [kind().check_baseline(sets, text, path) for kind in hooked("baseline").values()]
    return "; ".join(filter(None, remarks))


def _made(name: str, kind: Any) -> Probe[Any, Any]:
    if not _ID.fullmatch(name):
        raise ValueError("a name of a probe is of lower-case letters, digits and underscores")
    probe: Probe[Any, Any] = kind()
    if probe.id != name:
        raise ValueError(f"its id is {probe.id!r} and not {name!r}")
    return probe


def _ordered(
    probes: list[Probe[Any, Any]],
) -> tuple[list[Probe[Any, Any]], list[tuple[Probe[Any, Any], str]]]:
    """Returns the probes in dependency order, and those that cannot be ordered."""
    waiting = list(probes)
    ordered: list[Probe[Any, Any]] = []
    ready = waiting
    while ready:
        done = {probe.id for probe in ordered}
        ready = [probe for probe in waiting if set(probe.after) <= done]
        ordered += ready
        waiting = [probe for probe in waiting if probe not in ready]
    known = {probe.id for probe in probes}
    stuck = []
    for probe in waiting:
        lost = sorted(set(probe.after) - known)
        why = "it and another one wait for each other"
        stuck.append((probe, f"it asks for {lost[0]!r}, which is not installed" if lost else why))
    return ordered, stuck

"""Probes: one folder each. Built-in ones and those of other packages are found the same way.

A package adds a probe by an entry point of the group `tuiprobe.probes`: its name is the probe's id,
its object the class. Nothing is imported before a run is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuiprobe.probes.protocol import Probe

GROUP = "tuiprobe.probes"

BUILT_IN = {
    "preflight": "tuiprobe.probes.preflight.probe:PreflightChecks",
    "outliers": "tuiprobe.probes.outliers.probe:OutlierFeatures",
    "population": "tuiprobe.probes.population.probe:PopulationOfModels",
    "robustness": "tuiprobe.probes.robustness.probe:AccuracyUnderShift",
    "directions": "tuiprobe.probes.directions.probe:PrivilegedDirections",
    "ablation": "tuiprobe.probes.ablation.probe:ChannelAblation",
    "concepts": "tuiprobe.probes.concepts.probe:UniqueConcepts",
}
"""Where each built-in probe is, in the order in which a report tells them."""


@dataclass(frozen=True)
class Registry:
    """Every probe that is installed.

    Attributes:
        probes: In the order of a report: built-in ones, then those of other packages by name.
        faults: What is wrong with probes of other packages, a sentence each; they are left out.
    """

    probes: tuple[Probe[Any, Any], ...]
    faults: tuple[str, ...]

    def in_order(self) -> list[Probe[Any, Any]]:
        """Returns the probes so that each comes after those it asks for."""
        return _ordered(list(self.probes))[0]


@cache
def registry() -> Registry:
    """Returns every probe that is installed, each imported once."""
    found = [_load(name, where) for name, where in BUILT_IN.items()]
    faults = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        package = point.dist.name if point.dist is not None else point.value
        who = f"the probe {point.name!r} of the package {package}"
        if point.name in {one.id for one in found}:
            faults.append(f"{who} is left out: there is a probe of that name already")
            continue
        try:
            found.append(_load(point.name, point.value))
        except Exception as error:  # whatever a stranger's module does when it is imported
            faults.append(f"{who} is left out: {type(error).__name__}: {error}")
    ordered, stuck = _ordered(found)
    faults += [f"the probe {one.id!r} is left out: {why}" for one, why in stuck]
    kept = tuple(one for one in found if one in ordered)
    return Registry(kept, tuple(faults))


def _load(name: str, where: str) -> Probe[Any, Any]:
    module, _, attribute = where.partition(":")
    probe: Probe[Any, Any] = getattr(import_module(module), attribute)()
    if probe.id != name:
        raise ValueError(f"it calls itself {probe.id!r}")
    return probe


def _ordered(
    probes: list[Probe[Any, Any]],
) -> tuple[list[Probe[Any, Any]], list[tuple[Probe[Any, Any], str]]]:
    """The probes so that each comes after those it asks for, and those that cannot."""
    waiting = list(probes)
    ordered: list[Probe[Any, Any]] = []
    while True:
        done = {one.id for one in ordered}
        ready = [one for one in waiting if set(one.after) <= done]
        if not ready:
            break
        ordered += ready
        waiting = [one for one in waiting if one not in ready]
    known = {one.id for one in probes}
    return ordered, [
        (one, f"it asks for {lost[0]!r}, which is not installed")
        if (lost := sorted(set(one.after) - known))
        else (one, "it and another one wait for each other")
        for one in waiting
    ]

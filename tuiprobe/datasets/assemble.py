"""All sets of images of a run: the data, the concept set, the targets, and how many of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuiprobe.datasets.concepts import with_concepts
from tuiprobe.datasets.dataset import Dataset, Suite
from tuiprobe.datasets.load import load_concepts, load_suite, suite_of
from tuiprobe.datasets.registry import source_named
from tuiprobe.datasets.set_names import refuse_undecodable
from tuiprobe.datasets.targets import Target, load_target, with_targets
from tuiprobe.errors import UsageError
from tuiprobe.options import OptionError, flag
from tuiprobe.spec import NO_CONCEPTS, NO_TARGET, RunSpec
from tuiprobe.spec_defaults import make_spec, typed


def user_spec(model: str | None, data: str | None, options: Mapping[str, Any]) -> RunSpec:
    """Returns the spec of what a user asks for: `make_spec`, with folders for data and targets.

    Raises:
        UsageError: If an option is unknown or invalid; names the option and the problem.
    """
    data = _source("data", typed("data", data))
    if (targets := typed("target", options.get("target"))) is not None:
        options = {**options, "target": tuple(_source("target", target) for target in targets)}
    return make_spec(model, data, options)


def _source(option: str, value: Any) -> Any:
    try:
        return value if value is None else source_named(value)
    except UsageError as error:
        raise OptionError(option, str(error), f"{flag(option)}: {error}") from error


def open_suite(spec: RunSpec, own: Mapping[str, Dataset] | None = None) -> Suite:
    """Opens all sets of images of a run.

    Args:
        spec: The spec of the run.
        own: Sets that Python code handed over, by the name that stands for them in the spec.

    Raises:
        UsageError: If a source is unknown.
        DataError: If a source cannot be used.
    """
    own = own or {}
    suite = suite_of(own[spec.data]) if spec.data in own else load_suite(spec.data)
    return add_targets(add_concepts(suite, spec), spec, own)


def add_concepts(suite: Suite, spec: RunSpec) -> Suite:
    """Returns the suite with the concept set that the user names, or else the suite.

    Raises:
        UsageError: If there is no such kind of source.
        DataError: If the source cannot be used.
    """
    source = suite.concepts if spec.concepts is None else spec.concepts
    if source is None or source == NO_CONCEPTS:
        return suite
    return with_concepts(suite, load_concepts(source))


def add_targets(suite: Suite, spec: RunSpec, own: Mapping[str, Dataset] | None = None) -> Suite:
    """Returns the suite with the target sets that the user names, which completes it.

    Raises:
        UsageError: If `none` is not the only one.
        DataError: If a source cannot be used, or a path or a class has a name that is not UTF-8.
    """
    sources = tuple(dict.fromkeys(spec.target))
    if NO_TARGET in sources:
        if len(sources) > 1:
            raise UsageError(f"--target {NO_TARGET} leaves out every target; give no other one")
        sources = ()
    own = own or {}
    targets = [Target(own[source]) if source in own else load_target(source) for source in sources]
    suite = with_targets(suite, targets)
    for dataset in suite.sets.values():
        refuse_undecodable(dataset.source, "the path")
        for name in dataset.classes:
            refuse_undecodable(name, f"{dataset.source}: the class folder")
    return suite


def planned_images(suite: Suite, spec: RunSpec) -> dict[str, int]:
    """Returns how many images of each set a run measures: the first of the processing order."""
    counts = {}
    for name, dataset in suite.sets.items():
        sample = spec.concept_sample if name == suite.concept_set else spec.sample
        images = len(dataset.samples)
        counts[name] = images if sample is None else min(images, sample)
    return counts

"""Opens data by the name a user types, and all sets of a run: data, concept set, targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiprobe.catalog.class_names import written_classes
from tuiprobe.datasets.concepts import ConceptDataset, with_concepts
from tuiprobe.datasets.dataset import Dataset, Suite, free_name, refuse_undecodable, safe_name
from tuiprobe.datasets.layout import layout_of
from tuiprobe.datasets.list_files import Relabelled
from tuiprobe.datasets.registry import (
    SOURCES,
    below,
    concept_forms,
    data_forms,
    meant_source,
    source_named,
)
from tuiprobe.errors import DataError, TuiprobeError, UsageError
from tuiprobe.files import similar_folder
from tuiprobe.options import OptionError, flag
from tuiprobe.plaintext import plain
from tuiprobe.plugins import in_words
from tuiprobe.request import make_spec, typed
from tuiprobe.spec import NO_CONCEPTS, NO_TARGET, RunSpec

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.sample import Sample


def load_suite(source: str) -> Suite:
    """Opens the data named by `--data` or `--suite`.

    Args:
        source: A source in one of the forms of `tuiprobe.datasets.registry.data_forms`.

    Raises:
        UsageError: If no source is of this kind.
        DataError: If the source exists but cannot be used.
    """
    kind, _, rest = source.partition(":")
    known = SOURCES.get(kind)
    if known is not None and known.suite is not None and (rest or source in known.forms):
        with _naming(source, kind):
            return known.suite(rest)
    return suite_of(load_dataset(source))


def suite_of(dataset: Dataset) -> Suite:
    """Returns a suite of one set."""
    name = safe_name(dataset.name)
    return Suite(name, dataset.source, {name: dataset}, imagenet=imagenet_maps({name: dataset}))


def load_dataset(source: str, base: Path | None = None) -> Dataset:
    """Opens one set of images.

    Args:
        source: A source as for `load_suite`, but of a single set.
        base: Folder that relative paths start at; None for the working folder.

    Raises:
        UsageError: If no source is of this kind.
        DataError: If the source exists but cannot be used.
    """
    kind, _, rest = source.partition(":")
    known = SOURCES.get(kind)
    if known is None or known.open is None or not (rest or source in known.forms):
        near = meant_source(source) or (similar_folder(Path(source)) if not rest else None)
        meant = f" (did you mean {near}?)" if near is not None else ""
        raise UsageError(
            f"unknown data source {source!r}, and no folder{meant}; give the path of a folder, "
            f"or one of: {', '.join(data_forms())}"
        )
    with _naming(source, kind):
        dataset = known.open(below(base, rest) if known.is_path else rest, base)
        if not isinstance(dataset, Dataset):  # of another package
            raise TypeError(f"a {type(dataset).__name__} is no tuiprobe.datasets.Dataset")
    return dataset


def load_concepts(source: str) -> ConceptDataset:
    """Opens the concept set named by `--concepts`.

    Args:
        source: A source in one of the forms of `tuiprobe.datasets.registry.concept_forms`, or of
            another package.

    Raises:
        UsageError: If no source is of this kind.
        DataError: If the source exists but cannot be used.
    """
    kind, _, rest = source.partition(":")
    known = SOURCES.get(kind)
    if known is None or known.concepts is None or not (rest or source in known.concept_forms):
        raise UsageError(
            f"unknown concept source {source!r}; give one of: {', '.join(concept_forms())}, or none"
        )
    with _naming(source, kind):
        dataset = known.concepts(rest)
        if not isinstance(dataset, ConceptDataset):  # of another package
            raise TypeError(f"a {type(dataset).__name__} is no ConceptDataset")
    return dataset


class Originals:
    """The images of a set of a run, found again by path and recognised by content.

    Args:
        source: Where they came from, as `spec.json` names it. Only sources of tuiprobe are opened:
            run directories come from strangers, and other sources are code.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    @cached_property
    def _dataset(self) -> Dataset:
        kind = self.source.partition(":")[0]
        if kind not in SOURCES.builtin_names:
            raise DataError(f"the pictures come from {kind}, whose code is not run to show them")
        return load_dataset(self.source)

    @cached_property
    def _samples(self) -> dict[str, Sample]:
        return {sample.path: sample for sample in self._dataset.samples}

    def open(self, path: str, digest: str) -> Image:
        """Returns an image, RGB.

        Args:
            path: Its path in the set.
            digest: SHA-256 of its content when it was measured.

        Raises:
            UsageError: If no source is of this kind.
            DataError: If it cannot be read, or is not the image that was measured.
        """
        if path not in self._samples:
            raise DataError(f"{plain(path)} is no longer in {self._dataset.source}")
        content = self._dataset.read(self._samples[path])
        if content.digest().hex() != digest:
            raise DataError(f"{plain(path)} has changed since the runs measured it: run them again")
        return content.image()

    def file(self, path: str) -> Path | None:
        """Returns the file of an image, if its set consists of files."""
        folder = getattr(self._dataset, "folder", None)
        return None if folder is None else Path(folder) / path


def imagenet_maps(sets: dict[str, Dataset]) -> dict[str, tuple[int, ...]]:
    """Returns the value of `tuiprobe.datasets.Suite.imagenet` for these sets."""
    maps = {name: getattr(dataset, "imagenet", None) for name, dataset in sets.items()}
    return {name: answers for name, answers in maps.items() if answers is not None}


@contextmanager
def _naming(source: str, kind: str) -> Iterator[None]:
    """Turns an invalid path, or any error of another package, into one sentence."""
    try:
        yield
    except TuiprobeError:
        raise
    except OSError as error:
        raise DataError(f"{source!r} cannot be read: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:  # NUL in a path; home of an unknown user
        raise DataError(f"{source!r} cannot be read: {error}") from error
    except Exception as error:
        package = SOURCES.package_of(kind)
        if package is None:
            raise
        raise DataError(f"{source!r} failed in {package}: {in_words(error)}") from error


def load_target(source: str) -> Dataset:
    """Opens the images named by `--target`.

    Args:
        source: A source of `--data` that is one set.

    Raises:
        DataError: If it cannot be used; names the option and the source.
    """
    try:
        sets = tuple(load_suite(source).sets.values())
        if len(sets) > 1:
            raise DataError(f"it has {len(sets)} sets; name one of them")
        if not len(sets[0].samples):
            raise DataError("it has no image")
    except (DataError, UsageError) as error:
        raise DataError(f"--target {source}: {error}") from error
    return Relabelled(sets[0]) if sets[0].classes else sets[0]


def with_targets(suite: Suite, targets: Sequence[Dataset]) -> Suite:
    """Returns the suite with target sets as its last sets, each under a unique name.

    They come after the concept set, so that no other set is renamed by a target. A target whose
    name is in use is called `NAME-target`, `NAME-target-2` and so on; of vectors `NAME-2`.
    """
    sets, names = dict(suite.sets), []
    for target in targets:
        suffix = "-target" if layout_of(target).one_file_each else ""
        names.append(free_name(safe_name(target.name), sets, suffix))
        sets[names[-1]] = target
    return replace(suite, sets=sets, targets=tuple(names))


def user_spec(
    model: str | None,
    data: str | None,
    options: Mapping[str, Any],
    refused: list[OptionError] | None = None,
) -> RunSpec:
    """Returns the spec of what a user asks for: `make_spec`, with folders for data and targets.

    Args:
        model: As for `make_spec`.
        data: As for it; a folder will do.
        options: As for it; folders will do for targets.
        refused: Receives an error for each option that is wrong, and the spec is without these.
            Data that no source knows stay in it: no other data take their place.

    Raises:
        UsageError: If an option is unknown or invalid, and `refused` is None; names the option and
            the problem.
    """
    values = {**options, "model": model, "data": data}
    resolve = True
    while True:
        try:
            others = _with_sources(values) if resolve else dict(values)
            return make_spec(others.pop("model"), others.pop("data"), others)
        except OptionError as error:
            if refused is None or values.get(error.name) is None:
                raise
            if error.name not in [known.name for known in refused]:
                refused.append(error)
            if error.name == "data" and resolve and values.get("embeddings") is None:
                resolve = False
            else:
                values[error.name] = None


def _with_sources(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options with sources in place of folders."""
    named = {**values, "data": _source("data", typed("data", values["data"]))}
    if (targets := typed("target", values.get("target"))) is not None:
        named["target"] = tuple(_source("target", target) for target in targets)
    return named


def _source(option: str, value: Any) -> Any:
    try:
        return value if value is None else source_named(value)
    except UsageError as error:
        raise OptionError(option, str(error), f"{flag(option)}: {error}") from error


def open_suite(spec: RunSpec, python_sets: Mapping[str, Dataset] | None = None) -> Suite:
    """Opens all sets of images of a run.

    Args:
        spec: The spec of the run.
        python_sets: Sets that Python code passed, by their names in the spec.

    Raises:
        UsageError: If a source is unknown.
        DataError: If a source cannot be used.
    """
    python_sets = python_sets or {}
    suite = suite_of(python_sets[spec.data]) if spec.data in python_sets else load_suite(spec.data)
    return add_targets(add_concepts(with_options(suite, spec), spec), spec, python_sets)


def with_options(suite: Suite, spec: RunSpec) -> Suite:
    """Applies --labels and --classes to the sets of a suite.

    Raises:
        UsageError: If an option is invalid.
        DataError: If a file that an option names cannot be used, or does not fit a set.
    """
    if spec.labels and len(suite.sets) > 1:
        several = f"{suite.source} has {len(suite.sets)}; name your pictures by --data"
        cause = f"belongs to one set of images, and {several}"
        raise OptionError("labels", cause, f"--labels {cause}")
    names = written_classes(spec.classes) if spec.labels and spec.classes else ()
    sets = {
        name: layout_of(dataset).with_options(spec, names) for name, dataset in suite.sets.items()
    }
    return replace(suite, sets=sets)


def add_concepts(suite: Suite, spec: RunSpec) -> Suite:
    """Returns the suite with the concept set that the user names, or else the suite.

    Raises:
        UsageError: If no source is of this kind.
        DataError: If the source cannot be used.
    """
    source = suite.concepts if spec.concepts is None else spec.concepts
    if source is None or source == NO_CONCEPTS:
        return suite
    return with_concepts(suite, load_concepts(source))


def add_targets(
    suite: Suite, spec: RunSpec, python_sets: Mapping[str, Dataset] | None = None
) -> Suite:
    """Adds the target sets that the user names to the end of a suite.

    Raises:
        UsageError: If `none` is not the only one.
        DataError: If a source cannot be used, or a path or a class has a name that is not UTF-8.
    """
    sources = spec.target if spec.kind == "vectors" else tuple(dict.fromkeys(spec.target))
    if NO_TARGET in sources:
        if len(sources) > 1:
            raise UsageError(f"--target {NO_TARGET} leaves out every target; give no other one")
        sources = ()
    python_sets = python_sets or {}
    targets = [
        Relabelled(python_sets[source]) if source in python_sets else load_target(source)
        for source in sources
    ]
    id_set = suite.in_distribution
    width = layout_of(id_set).width
    for target in targets:
        if (other := layout_of(target).width) != width:
            raise DataError(
                f"{target.source} has {other:,} channels and {id_set.source} has {width:,}: a "
                "target set is measured by the same encoder"
            )
    suite = with_targets(suite, targets)
    for dataset in suite.sets.values():
        refuse_undecodable(dataset.source, "the path")
        for name in dataset.classes:
            refuse_undecodable(name, f"{dataset.source}: the class folder")
    return suite


def refuse_several_parts(suite: Suite, fitted: bool) -> None:
    """Refuses sets of which one part is for a fit and another one to test on.

    Args:
        suite: The sets.
        fitted: Whether a head is fitted to a part of the first one, and tested on the other.

    Raises:
        SeveralPartsError: If a set has several parts; says how to choose one.
    """
    for name, dataset in suite.sets.items():
        error = getattr(dataset, "several_parts", None)
        if error is not None and not (fitted and name == suite.in_distribution_name):
            raise error


def planned_images(suite: Suite, spec: RunSpec) -> dict[str, int]:
    """Returns how many images of each set a run measures: the first of the processing order."""
    counts = {}
    for name, dataset in suite.sets.items():
        sample = spec.concept_sample if name == suite.concept_set else spec.sample
        images = len(dataset.samples)
        counts[name] = images if sample is None else min(images, sample)
    return counts

"""Runs from Python: measures, asks the probes, writes the report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils.data import Dataset as TorchDataset

from tuiprobe.catalog.class_names import joined_classes
from tuiprobe.datasets.dataset import Dataset, safe_name
from tuiprobe.datasets.load import load_suite, user_spec
from tuiprobe.datasets.python_images import PythonImages, name_of, python_images
from tuiprobe.datasets.registry import source_named
from tuiprobe.errors import RunError, TuiprobeError, UsageError
from tuiprobe.measure.engine.opening import PythonObjects, RunOutcome
from tuiprobe.measure.run.status import Event, Listener
from tuiprobe.models.checks.trial import first_pictures
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.loaders.from_module import ImagesAreTensors, tried_on
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest
from tuiprobe.results import Report
from tuiprobe.show.narration import announce_downloads, is_interactive, logged, narrated
from tuiprobe.show.report import read_report, write_reports
from tuiprobe.spec import RunSpec

if TYPE_CHECKING:
    from PIL.Image import Image

ARGUMENTS = "in Python, an option --batch-size 8 is batch_size=8, and --fresh is fresh=True"
"""Note on an error whose message names an option."""

_SETS = (str, os.PathLike, TorchDataset)
"""Types of an argument that names one set of images, or is one."""


def run_probe(
    model: object,
    data: object,
    output: str | os.PathLike[str] | None,
    fresh: bool,
    progress: bool | Listener | None,
    options: dict[str, Any],
) -> Report:
    """Measures, probes and returns the report; see `tuiprobe.probe`."""
    return run_probes([model], data, {"output": output, "fresh": fresh}, progress, options)[0]


def run_probes(
    models: Sequence[object],
    data: object,
    where: Mapping[str, Any],
    progress: bool | Listener | None,
    options: dict[str, Any],
) -> list[Report]:
    """Measures several models together, probes and returns the reports.

    Args:
        models: The models, as for `tuiprobe.probe`.
        data: As for it.
        where: Fields of each `RunRequest` but its spec.
        progress: As for `tuiprobe.probe`.
        options: Its other arguments.

    Raises:
        KeyboardInterrupt: If the run was interrupted; finished shards are kept.
        RunError: If another rank writes the report.
        TuiprobeError: If the run fails.
    """
    try:
        if not isinstance(models, list | tuple) or not models:
            raise UsageError("models takes a list of models; probe takes one")
        if len(models) > 1:
            data, options = _reread(data), options | {"target": _reread(options.get("target"))}
        given = [_spec_and_objects(model, data, options) for model in models]
        requests = [RunRequest(spec=spec, **_directory(where)) for spec, _ in given]
        with _listener(progress) as listen:
            announce_downloads([spec for spec, _ in given], listen)

            def relay(request: RunRequest, event: Event) -> None:
                of = f"{request.spec.model}: " if len(models) > 1 else ""
                listen(replace(event, message=of + event.message))

            outcomes = run(requests, listen=relay, objects=[objects for _, objects in given])
    except TuiprobeError as error:
        error.add_note(ARGUMENTS)
        raise
    return [_finished(outcome) for outcome in outcomes]


def _directory(where: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a request that are set, with the path of a folder as it is."""
    fields = {name: value for name, value in where.items() if value}
    for name in fields.keys() - {"fresh"}:
        if not isinstance(fields[name], str | os.PathLike):
            kind = type(fields[name]).__name__
            raise UsageError(f"output takes the path of a folder, not a {kind}")
        fields[name] = Path(fields[name])
    return fields


def _reread(data: object) -> object:
    """Returns images that several models can read: an iterator becomes a list."""
    if isinstance(data, list | tuple):
        return [list(part) if isinstance(part, Iterator) else part for part in data]
    return list(data) if isinstance(data, Iterator) else data


def _finished(outcome: RunOutcome) -> Report:
    """Writes the reports of a finished run, and returns its report.

    Raises:
        KeyboardInterrupt: If the run was interrupted.
        RunError: If another rank writes the report.
    """
    if not outcome.complete:
        raise KeyboardInterrupt(f"the run in {outcome.directory.path} was interrupted")
    if not outcome.merged:
        why = outcome.waits or "another rank merged this run"
        raise RunError(f"{why}; read {outcome.directory.results_file} when it exists")
    write_reports(outcome.directory)
    return read_report(outcome.directory)


def _spec_and_objects(
    model: object, data: object, options: Mapping[str, Any]
) -> tuple[RunSpec, PythonObjects]:
    """Returns the spec of a run, in which names stand for objects, and these objects."""
    options = {name: value for name, value in options.items() if value is not None}
    images: dict[str, Dataset] = {}
    source = _named(data, images)
    targets = options.pop("target", ())
    if not (isinstance(targets, list | tuple) and all(isinstance(t, _SETS) for t in targets)):
        targets = [targets]  # one set, perhaps a list of images
    if named := [_named(target, images, labelled=False) for target in targets]:
        options["target"] = named
    sizes = [getattr(images.get(s or ""), "tensor_size", None) for s in (source, *named)]
    with tried_on(partial(_pictures, source, images)):
        encoder = _encoder(model, options, None if None in sizes else sizes[0])
    if not isinstance(options.get("classes", ""), str | os.PathLike):
        options["classes"] = joined_classes(options["classes"])
    if encoder is None:
        return user_spec(model, source, options), PythonObjects(None, images)  # type: ignore[arg-type]
    for dataset in images.values():
        if isinstance(dataset, PythonImages) and encoder.classifier is not None:
            dataset.rows = encoder.classifier.classes
    name = f"py:{safe_name(encoder.name.removeprefix('py:'))}"
    return user_spec(name, source, options), PythonObjects(encoder, images)


def _pictures(source: str | None, images: Mapping[str, Dataset]) -> list[Image]:
    """Returns the first pictures of the data; none of the default, which fits any preprocessing."""
    if source is None:
        return []
    if source in images:
        return first_pictures(images[source])
    return first_pictures(load_suite(source_named(source)).in_distribution)


def _named(data: object, images: dict[str, Dataset], *, labelled: bool = True) -> str | None:
    """Returns the name of a source of images; a source that is an object is added to `images`."""
    if data is None or isinstance(data, str | os.PathLike):
        return data if data is None else os.fspath(data)
    name, count = name_of(data), 1
    while f"py:{name}" in images:
        count += 1
        name = f"{name_of(data)}-{count}"
    dataset = python_images(data, name, labelled)
    images[dataset.source] = dataset
    return dataset.source


def _encoder(
    model: object, options: dict[str, Any], tensors: tuple[int, int] | None
) -> Encoder | None:
    """Returns the encoder that the user gave as an object; None for a name.

    Options that only a torch module takes are removed from `options`.

    Args:
        model: What the user gave.
        options: Options of the run.
        tensors: Height and width of the images, if all sets give tensors.
    """
    if isinstance(model, nn.Module):
        other_head = isinstance(options.get("head"), str | os.PathLike)  # classes= are then its
        names = ("preprocess",) if other_head else ("preprocess", "classes", "head")
        of_module = {name: options.pop(name) for name in names if name in options}
        if "checkpoint" in options:
            raise UsageError("checkpoint= replaces published weights; load yours into the module")
        if tensors is not None:
            of_module.setdefault("preprocess", ImagesAreTensors(tensors))
        return Encoder.from_module(model, **of_module)
    if isinstance(model, list | tuple):
        raise UsageError("model takes one model; tuiprobe.probe_several takes a list of them")
    if not isinstance(model, str | Encoder | None):
        kind = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise UsageError(
            "model takes a name that `tuiprobe models` lists, a torch module or a "
            f"tuiprobe.Encoder, not {kind}"
        )
    if "preprocess" in options:
        raise UsageError("preprocess= belongs to a torch module; other models bring theirs")
    if not isinstance(model, Encoder):
        return None
    dtype = str(model.dtype).removeprefix("torch.")
    if options.setdefault("dtype", dtype) != dtype:
        raise UsageError("dtype= would change the Encoder that you hold: pass a module")
    return model


@contextmanager
def _listener(progress: bool | Listener | None) -> Iterator[Listener]:
    """Yields a listener that logs and shows events, except errors, which are raised."""
    with ExitStack() as shown:
        show: Listener = lambda event: None  # noqa: E731
        if callable(progress):
            show = progress
        elif progress or (progress is None and is_interactive()):
            narrator = shown.enter_context(narrated())
            show = lambda event: None if event.kind == "failed" else narrator(event)  # noqa: E731

        def listen(event: Event) -> None:
            logged(event)
            show(event)

        yield listen

"""What a run would measure, before it starts: `python -m tuiprobe.engine.preview REQUEST`.

The screens ask this with every change of the form, so it loads no model, and no torch unless
vectors or a head's file are named. What it says of images comes from the functions that the
engine plans with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tuiprobe.catalog.class_names import place_of_each, read_classes, read_lines
from tuiprobe.catalog.imagenet import imagenet_labels, imagenet_templates
from tuiprobe.datasets import Suite
from tuiprobe.datasets.assemble import (
    add_concepts,
    add_targets,
    open_suite,
    planned_images,
    user_spec,
)
from tuiprobe.datasets.layout import layout_of
from tuiprobe.datasets.load import load_suite
from tuiprobe.errors import TuiprobeError, UsageError
from tuiprobe.files import DamagedFileError, open_regular
from tuiprobe.options import OptionError
from tuiprobe.probes import BUILT_IN, PROBES
from tuiprobe.run.counting import images_done
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import PlanRecord, read_plan
from tuiprobe.spec import EMBEDDED, RunSpec

FILES = ("checkpoint", "head", "templates", "labels", "baseline")
"""Options that name a file."""

_NO_FILES = ("probe", "zero-shot")  # values of --head that are no file

T = TypeVar("T")


@dataclass
class Preview:
    """What a run would measure.

    Attributes:
        sets: What was found of each set, and how many images will be measured.
        images: Images to measure, by model.
        templates: Prompts for each class of these data; None for the model's own.
        named: Classes that the user's file names.
        probes: Id, title and needs of every probe; no needs where only the probe knows.
        done: Images that the directory holds already.
        kept: Why this directory cannot be resumed; empty if it can.
        later: What only the run can look at, because it needs the network; empty if nothing.
        problems: What is wrong, by option.
    """

    sets: list[dict[str, Any]] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)
    templates: int | None = None
    named: int = 0
    probes: list[dict[str, Any]] = field(default_factory=list)
    done: int = 0
    kept: str = ""
    later: str = ""
    problems: dict[str, str] = field(default_factory=dict)


def preview(models: Sequence[str], options: Mapping[str, Any], run: Path | None) -> Preview:
    """Returns what runs of some models would measure.

    Args:
        models: Presets or specs.
        options: Fields of `RunSpec`, `data` among them; those left out have their default.
        run: The run directory, or for several models the folder of theirs.
    """
    result = Preview(probes=_probes())
    given = dict(options)
    data = given.pop("data", None)
    specs = []
    for model in models:
        vectors = given.get("embeddings") is not None
        try:
            named = (None, None) if vectors else (model, data)
            specs.append(user_spec(named[0], named[1], given))
        except UsageError as error:
            name, cause = "data", str(error)
            if isinstance(error, OptionError):
                name, cause = error.name, error.cause
            result.problems[name] = cause
            return result
    _look_at_files(specs[0], result)
    if specs[0].embeddings is not None:
        _look_at_vectors(specs[0], result)
    else:
        _look_at_images(specs, result)
    if run is not None and not result.problems:
        _look_at_directory(specs, run, result)
    return result


def _tried(result: Preview, option: str, work: Callable[[], T]) -> T | None:
    """Returns the result of the work, or notes why it failed."""
    try:
        return work()
    except (TuiprobeError, ValueError) as error:
        result.problems[option] = str(error)
    except OSError as error:
        result.problems[option] = error.strerror or str(error)
    return None


def _look_at_files(spec: RunSpec, result: Preview) -> None:
    for name in FILES:
        path = getattr(spec, name)
        if path is not None and not (name == "head" and path in _NO_FILES):
            _tried(result, name, lambda path=path: open_regular(path).close())  # type: ignore[misc]


def _look_at_images(specs: Sequence[RunSpec], result: Preview) -> None:
    spec = specs[0]
    sources = (spec.data, *spec.target, spec.concepts or "")
    remote = [source for source in sources if source.startswith("hf:")]
    if remote:
        result.later = f"{remote[0]} is looked at when the run starts"
        return
    suite = _tried(result, "data", lambda: load_suite(spec.data))
    if suite is None:
        return
    whole: list[Suite] = []
    for each in specs:
        opened = _tried(result, "concepts", partial(add_concepts, suite, each))
        opened = _tried(result, "target", partial(add_targets, opened or suite, each))
        if opened is not None:
            whole.append(opened)
    complete = whole[0] if whole else suite
    planned = planned_images(complete, spec)
    result.sets = [_described(complete, name, planned[name]) for name in complete.sets]
    for described in result.sets:
        if not described["planned"]:
            result.problems.setdefault("data", f"{described['source']}: no image to measure")
    if len(whole) == len(specs) and not result.problems:
        for each, sets in zip(specs, whole, strict=True):
            result.images[each.model] = sum(planned_images(sets, each).values())
    _look_at_names(spec, next(iter(suite.sets.values())).classes, result)
    if spec.baseline is not None and "baseline" not in result.problems:
        _tried(result, "baseline", partial(_read_baseline, complete, spec.baseline))


def _described(suite: Suite, name: str, planned: int) -> dict[str, Any]:
    dataset = suite.sets[name]
    role = "target" if name in suite.targets else "labelled" if dataset.classes else "unlabelled"
    return {
        "name": name,
        "source": dataset.source,
        "found": len(dataset.samples),
        "planned": planned,
        "classes": len(dataset.classes),
        "role": "concepts" if name == suite.concept_set else role,
        "notes": list(dataset.notes),
    }


def _look_at_names(spec: RunSpec, classes: tuple[str, ...], result: Preview) -> None:
    if imagenet_labels(classes) is not None:
        result.templates = len(imagenet_templates())
    if spec.templates is not None and "templates" not in result.problems:
        path = Path(spec.templates)
        lines = _tried(result, "templates", lambda: read_lines(path, "prompt templates"))
        result.templates = len(lines or ())
    if spec.classes is not None:
        given = spec.classes
        names = _tried(result, "classes", lambda: read_classes(given)) or ()
        result.named = len(names)
        if names and classes:
            _tried(result, "classes", lambda: place_of_each(classes, names))


def _read_baseline(suite: Suite, path: str) -> None:
    """Refuses a baseline that does not fit the sets, as the engine does."""
    from tuiprobe.probes.robustness.baselines import refuse_baseline
    from tuiprobe.run.records import SetRecord

    sets = [
        SetRecord(
            name=name,
            source=dataset.source,
            found=0,
            planned=0,
            shards=0,
            classes=dataset.classes,
            notes=(),
            published=suite.published.get(name),
            target=name in suite.targets,
        )
        for name, dataset in suite.sets.items()
    ]
    refuse_baseline(sets, path)


def _look_at_vectors(spec: RunSpec, result: Preview) -> None:
    own = replace(spec, target_embeddings=())
    suite = _tried(result, "embeddings", lambda: open_suite(replace(own, labels=None)))
    if suite is not None and "labels" not in result.problems and "classes" not in result.problems:
        suite = _tried(result, "labels", lambda: open_suite(own)) or suite
    if suite is not None and spec.target_embeddings:
        suite = _tried(result, "target_embeddings", lambda: open_suite(spec)) or suite
    for name, dataset in (suite.sets if suite else {}).items():
        assert suite is not None
        described = _described(suite, name, len(dataset.samples))
        label = name if name in suite.targets else spec.model
        result.sets.append({**described, "name": label, "width": layout_of(dataset).width})
    result.images = {EMBEDDED: sum(described["planned"] for described in result.sets)}


def _probes() -> list[dict[str, Any]]:
    """Returns how the built-in probes are announced; loads no probe."""
    probes: list[dict[str, Any]] = [
        {"id": id, "title": probe.title, "needs": list(probe.needs)}
        for id, probe in BUILT_IN.items()
    ]
    foreign = ({"id": p.name, "title": p.name, "needs": None} for p in PROBES.foreign())
    return [*probes, *foreign]


def _look_at_directory(specs: Sequence[RunSpec], run: Path, result: Preview) -> None:
    """Counts what earlier attempts at the same runs have measured."""
    places = [run] if len(specs) == 1 else [path for path in run.glob("*") if path.is_dir()]
    names = {spec.model for spec in specs}
    for place in places:
        directory = RunDir(place)
        if not directory.plan_file.exists():
            continue
        try:
            plan = read_plan(directory)
        except DamagedFileError as error:
            result.kept = str(error)
            continue
        if plan.model.name not in names:
            continue
        if _fits(plan, result.sets):
            result.done += images_done(directory).done
        elif len(specs) == 1:
            result.kept = f"{place} holds a run of other images: delete it among the runs"


def _fits(plan: PlanRecord, sets: Sequence[dict[str, Any]]) -> bool:
    """Says whether a run has the sets that were found; those with keys of their own may differ."""
    recorded = {
        record.name: record.found
        for record in plan.sets
        if not record.target and record.name != plan.concept_set
    }
    named = [described for described in sets if described["role"] not in ("concepts", "target")]
    if any("width" in described for described in named):
        return [described["found"] for described in named] == list(recorded.values())
    return {described["name"]: described["found"] for described in named} == recorded


def main(arguments: list[str]) -> int:
    """Prints the preview that the JSON in the first argument asks for; returns the exit code."""
    request = json.loads(arguments[0])
    run = None if request.get("run") is None else Path(request["run"])
    result = preview(request["models"], request["options"], run)
    print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

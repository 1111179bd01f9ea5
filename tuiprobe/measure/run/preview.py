"""What a run would do, as data: made before its model is loaded, completed by a loaded model.

`tuiprobe.measure.engine.dry_run` makes a `Preview`; command line and screens show its lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from tuiprobe.catalog.published_models import presets
from tuiprobe.errors import UsageError
from tuiprobe.options import OptionError, flag
from tuiprobe.plaintext import count_of, joined, matches
from tuiprobe.results import NotRun
from tuiprobe.results.base import Count, Frozen, Many
from tuiprobe.results.subject import NO_REPRESENTATION, head_kind, long_head
from tuiprobe.spec import ANSWERS, FINAL_TAP, MAX_CPU_PROMPTS, RunSpec

_CAPTIONED = ("zero-shot", "captions")
"""Trainings of models that answer by prompts."""

_MOST_TEMPLATES = 80
"""Templates of a model whose number of templates is not known yet."""

_NAMED_LAYERS = 6

_IMAGENET = 1000
"""Classes of ImageNet."""

_BY_OPTION = ("labels", "target", "concepts")
"""Needs that the option of the same name decides."""

DEPENDS = {
    "model": "known once the model is loaded",
    "data": "read when the run starts",
    "options": "known once the options marked ✗ are right",
    "channel": "runs if a channel stands out",
    "package": "only its package knows what it needs",
}


SetRole = Literal["labelled", "unlabelled", "concepts", "target"]
"""What a set is for: labelled and unlabelled sets, the concept set, and target sets."""


class Unknown(Frozen):
    """Something that is not known before the start.

    Attributes:
        depends_on: What tells it: the loaded model, data that are read by the run alone, options
            that are wrong, a channel that stands out, or the package of a probe.
    """

    depends_on: Literal["model", "data", "options", "channel", "package"]


class PlannedSet(Frozen):
    """A set of images, or of samples that are encoded already.

    Attributes:
        found: Images of the set; the first of the processing order are measured.
        planned: Images to measure.
        classes: Number of its classes; 0 without labels.
        channels: Width of samples that are encoded already; 0 for images.
        notes: What is remarkable about it.
    """

    name: str
    source: str
    role: SetRole
    found: Count
    planned: Count
    classes: Count
    channels: Count = 0
    notes: Many[str] = ()


class PlannedProbe(Frozen):
    """A probe.

    Attributes:
        needs: What it needs; empty for nothing.
        outcome: Whether it will run.
    """

    id: str
    title: str
    needs: Many[str]
    outcome: Literal["runs"] | Unknown | NotRun


class Download(Frozen):
    """What the start of the run downloads.

    Attributes:
        least: Bytes that it has at least; 0 if unknown.
    """

    kind: Literal["weights", "data"]
    name: str
    least: Count = 0


class Wrong(Frozen):
    """An option that the run would refuse.

    Attributes:
        option: Name of the field of the option.
        exit_code: The exit code of the run.
    """

    option: str
    reason: str
    exit_code: Count


class PlannedDirectory(Frozen):
    """Where the run goes, and what becomes of an earlier attempt.

    Attributes:
        path: The run directory. Its name ends with `-*` where it ends with the key, which the
            loaded model tells.
        state: `new`; `resumed`: the images that are left are measured; `replaced`: all images are
            measured, and the results are computed again; `deleted`: an earlier attempt is deleted.
        done: Images that are measured already.
        replaced: Names of the options by which the results there were answered otherwise.
    """

    path: str
    state: Literal["new", "resumed", "replaced", "deleted"] = "new"
    done: Count = 0
    replaced: Many[str] = ()


class Preview(Frozen):
    """What a run would do.

    Attributes:
        spec: What is asked; without the options that are wrong.
        sets: What is measured.
        taps: Names of the layers that are measured.
        head: Whether there will be a head, and with it answers.
        probes: Every installed probe, in the order of a report.
        downloads: What the start downloads.
        directory: Where the run goes.
        wrong: Options that the run would refuse.
        names: Classes that the user names.
        templates: Prompts for each class; 0 for as many as the model has.
        types: How much faster bfloat16 is, as an earlier run or the loaded model tells; else empty.
    """

    schema_version: Literal[1] = 1
    spec: RunSpec
    sets: Many[PlannedSet] | Unknown
    taps: Many[str] | Unknown
    head: Literal["yes"] | Unknown | NotRun
    probes: Many[PlannedProbe]
    downloads: Many[Download]
    directory: PlannedDirectory
    wrong: Many[Wrong]
    names: Count = 0
    templates: Count = 0
    types: str = ""

    @property
    def known_sets(self) -> tuple[PlannedSet, ...]:
        """The sets, as far as they are known."""
        return () if isinstance(self.sets, Unknown) else self.sets

    @property
    def classes(self) -> int:
        """Classes of the first set; 0 without labels or before they are known."""
        return next((planned.classes for planned in self.known_sets), 0)

    @property
    def unanswered(self) -> bool:
        """Whether it is certain that nothing will be answered, for want of a head."""
        return isinstance(self.head, NotRun)

    @property
    def images(self) -> int:
        """Images to measure, as far as they are known."""
        return sum(planned.planned for planned in self.known_sets)

    @property
    def exit_code(self) -> int:
        """The exit code that the run would have for the first option that is wrong; else 0."""
        return next((wrong.exit_code for wrong in self.wrong), 0)

    def with_head(self, head: Literal["yes"] | Unknown | NotRun) -> Preview:
        """Returns the preview with the outcomes of the probes for a head, or for none."""
        unmet = _unmet(self, head)
        probes = [
            probe
            if probe.outcome == Unknown(depends_on="package")
            else probe.model_copy(update={"outcome": _outcome(probe.needs, unmet)})
            for probe in self.probes
        ]
        return self.model_copy(update={"head": head, "probes": tuple(probes)})

    def with_model(self, model: Mapping[str, Any]) -> Preview:
        """Returns the preview completed by the loaded model.

        Args:
            model: The encoder as `tuiprobe doctor --model MODEL --json` describes it.
        """
        available = [str(tap["name"]) for tap in model["taps"] if tap["name"] != FINAL_TAP]
        wrong, chosen = self.wrong, list[str]()
        try:
            chosen = chosen_layers(available, self.spec.layers)
        except OptionError as error:
            refused = Wrong(option=error.name, reason=error.cause, exit_code=error.exit_code)
            wrong = (*wrong, refused)
        types = self.types or model.get("types", "")
        wrong = (*wrong, *self._unfit_names(model))
        update = {"taps": (FINAL_TAP, *chosen), "wrong": wrong, "types": types}
        known = self.model_copy(update=update)
        return known.with_head(expected_head(known, model))

    def _unfit_names(self, model: Mapping[str, Any]) -> Iterator[Wrong]:
        """Yields why `--classes` does not fit the classifier of a loaded model.

        Fewer names may be some of ImageNet's classes, which the run alone compares by name.
        """
        rows = model["head"]["classes"] if model["head"] is not None else 0
        answers = self.spec.head is None and model["text"] is None and bool(rows)
        if answers and self.names not in (0, rows) and rows != _IMAGENET:
            reason = f"{self.names:,} names for the {rows:,} classes that {self.spec.model} answers"
            yield Wrong(option="classes", reason=reason, exit_code=UsageError.exit_code)


def chosen_layers(available: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Returns the layers that match a pattern, in the order of the encoder.

    Raises:
        OptionError: If a pattern matches none.
    """
    for pattern in patterns:
        if not any(matches(name, pattern) for name in available):
            some = f": {joined(available, _NAMED_LAYERS)}" if available else ""
            cause = f"{pattern} matches none of {len(available)} layers{some}"
            raise OptionError("layers", cause, f"--layers {cause}")
    return [n for n in available if any(matches(n, pattern) for pattern in patterns)]


def expected_head(
    preview: Preview, model: Mapping[str, Any] | None = None
) -> Literal["yes"] | Unknown | NotRun:
    """Returns whether a run will have a head, as far as it is known.

    Args:
        preview: The run.
        model: The encoder as for `Preview.with_model`; None before it is loaded.
    """
    spec, sets = preview.spec, preview.known_sets
    classes = preview.names or preview.classes
    if not sets and not classes:
        return preview.sets if isinstance(preview.sets, Unknown) else Unknown(depends_on="data")
    if {"head", "classes"} & {wrong.option for wrong in preview.wrong}:
        return Unknown(depends_on="options")
    preset, answers = presets().get(spec.model), spec.model.startswith(ANSWERS)
    stored = bool(sets and sets[0].channels)
    captioned = not stored and preset is not None and preset.training in _CAPTIONED
    if model is None and spec.head in (None, "zero-shot") and not (captioned or stored or answers):
        return Unknown(depends_on="model")
    kind = head_kind(
        spec.head,
        spec.model,
        text=captioned if model is None else model["text"] is not None,
        classifier=answers or (model is not None and model["head"] is not None),
        labels=preview.classes,
        names=preview.names,
    )
    if kind == "zero-shot":
        return _prompted_head(preview, classes, model)
    return kind if isinstance(kind, NotRun) else "yes"


def _prompted_head(
    preview: Preview, classes: int, model: Mapping[str, Any] | None
) -> Literal["yes"] | Unknown | NotRun:
    """Returns whether a zero-shot head is made, which may take a CPU too long."""
    templates = _MOST_TEMPLATES if model is None else int(model["text"]["templates"])
    prompts = classes * (preview.templates or templates)
    if prompts <= MAX_CPU_PROMPTS or preview.spec.head == "zero-shot":
        return "yes"
    if model is None:
        return Unknown(depends_on="model")
    slow = model["text"]["padded"] and model["cost"]["device"] == "cpu"
    return long_head(prompts) if slow else "yes"


def _unmet(
    preview: Preview, head: Literal["yes"] | Unknown | NotRun
) -> dict[str, Unknown | NotRun]:
    """Returns why each need is not met, or on what that depends; met needs are left out."""
    roles = [planned.role for planned in preview.known_sets]
    unmet: dict[str, Unknown | NotRun] = {"channel": Unknown(depends_on="channel")}
    if isinstance(preview.sets, Unknown):
        unmet |= dict.fromkeys(_BY_OPTION, preview.sets)
    else:
        if roles[:1] != ["labelled"]:
            unmet["labels"] = NotRun(reason="the images have no labels")
        if "target" not in roles and roles[:1] != ["unlabelled"]:  # which is a target itself
            remedy = "pass --target SOURCE; it needs no labels"
            unmet["target"] = NotRun(reason="no target set", remedy=remedy)
        if "concepts" not in roles:
            remedy = "pass --concepts broden:DIR"
            unmet["concepts"] = NotRun(reason="no concept set", remedy=remedy)
    if preview.spec.model.startswith(ANSWERS):
        unmet["representation"] = NO_REPRESENTATION
    wrong = {wrong.option for wrong in preview.wrong}
    unmet |= dict.fromkeys(wrong.intersection(_BY_OPTION), Unknown(depends_on="options"))
    if head != "yes":
        unmet["head"] = head
    return unmet


def _outcome(
    needs: Sequence[str], unmet: Mapping[str, Unknown | NotRun]
) -> Literal["runs"] | Unknown | NotRun:
    reasons = [unmet[need] for need in needs if need in unmet]
    certain = [reason for reason in reasons if isinstance(reason, NotRun)]
    return next(iter([*certain, *reasons]), "runs")


# As text.


def preview_lines(previews: Sequence[Preview]) -> list[str]:
    """Returns the preview of runs as lines: first what is missing, then the data and the probes.

    Of runs of several models in one command each says whether it will answer; of the rest all but
    the downloads are those of the first.
    """
    first = previews[0]
    lines = []
    if len(previews) > 1:
        lines += ["MODELS", *map(_model_line, previews), ""]
    elif isinstance(first.head, NotRun):
        lines.append(f"! no answers: {_why(first.head)}")
    downloads = dict.fromkeys(each for preview in previews for each in preview.downloads)
    lines += map(_download_line, downloads)
    notes = dict.fromkeys(note for planned in first.known_sets for note in planned.notes[:4])
    lines += [f"! {note}" for note in notes]
    lines += [f"! {preview.types}" for preview in previews if preview.types]
    lines += ["DATA", *_set_lines(first), "", "PROBES", *_probe_lines(first.probes)]
    where = directory_line(first.directory, first.images)
    return [*lines, "", "LAYERS", _layers_line(first), "", "RUN DIRECTORY", where]


def _model_line(preview: Preview) -> str:
    """Returns whether a model will answer with the classes of the run."""
    model, classes = preview.spec.model, preview.names or preview.classes
    if preview.wrong:
        return f"✗ {model} cannot run: {preview.wrong[0].reason}"
    if isinstance(preview.head, NotRun):
        return f"! {model} cannot answer: {_why(preview.head)}"
    if isinstance(preview.head, Unknown):
        return f"… {model}: {DEPENDS[preview.head.depends_on]}"
    if not classes:
        return f"✓ {model} answers"
    return f"✓ {model} answers with {count_of(classes, 'class', 'classes')}"


def _download_line(download: Download) -> str:
    size = f", at least {download.least / 1e6:,.0f} MB" if download.least else ", of unknown size"
    label = "the weights of " if download.kind == "weights" else ""
    return f"! {label}{download.name} are not on this machine: the start downloads them{size}"


def _set_lines(preview: Preview) -> list[str]:
    if isinstance(preview.sets, Unknown):
        return [f"… {preview.spec.data}: {DEPENDS[preview.sets.depends_on]}"]
    lines = []
    for planned in preview.sets:
        of = f" of {planned.found:,}" if planned.planned < planned.found else ""
        unit = f"vectors of {planned.channels:,} channels" if planned.channels else "images"
        classes = count_of(planned.classes, "class", "classes")
        role = {"concepts": "the concept set", "target": "a target without labels"}.get(
            planned.role, classes if planned.classes else "no labels"
        )
        lines.append(f"✓ {planned.name}: {planned.planned:,}{of} {unit}, {role}")
    return lines


def _probe_lines(probes: Iterable[PlannedProbe]) -> list[str]:
    """Returns which probes will run, which may, and why each of the others will not."""
    titles: dict[tuple[str, str], list[str]] = {}
    for probe in probes:
        outcome, marked = probe.outcome, ("✓", "")
        if isinstance(outcome, Unknown):
            marked = "…", f": {DEPENDS[outcome.depends_on]}"
        elif isinstance(outcome, NotRun):
            marked = "-", f": {_why(outcome)}"
        titles.setdefault(marked, []).append(probe.title)
    order = sorted(titles, key=lambda marked: "✓…-".index(marked[0]))
    return [f"{mark} {', '.join(titles[mark, why])}{why}" for mark, why in order]


def _layers_line(preview: Preview) -> str:
    if isinstance(preview.taps, Unknown):
        return f"… {', '.join(preview.spec.layers)}: {DEPENDS[preview.taps.depends_on]}"
    inner = preview.taps[1:]
    if not inner:
        return "none: only the representation is measured"
    return f"✓ {len(inner):,}: {joined(inner, _NAMED_LAYERS)}"


def directory_line(directory: PlannedDirectory, images: int) -> str:
    """Returns where a run goes, and what becomes of an earlier attempt in it.

    >>> directory_line(PlannedDirectory(path="runs/a", state="resumed", done=5632), 15000)
    'runs/a: resumed, 5,632 of 15,000 are measured'
    """
    outcome = {
        "new": "new",
        "resumed": f"resumed, {directory.done:,} of {images:,} are measured",
        "replaced": "everything is measured; the results are replaced",
        "deleted": "an earlier attempt is deleted",
    }[directory.state]
    names = joined([flag(name) for name in directory.replaced])
    return f"{directory.path}: {outcome}" + (f" (another {names})" if names else "")


def _why(reason: NotRun) -> str:
    return "; ".join(filter(None, (reason.reason, reason.remedy)))

"""A run before it starts, as plain data: options, what is wrong with them, command, directory."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiprobe.datasets.dataset import safe_name
from tuiprobe.errors import UsageError
from tuiprobe.options import OptionField, words_of
from tuiprobe.plaintext import did_you_mean
from tuiprobe.request import rows_name, shown_command
from tuiprobe.spec import MODEL_AND_IMAGES, VECTORS, kind_of, run_option, run_options

if TYPE_CHECKING:
    from tuiprobe.measure.run.preview import Preview

OPTIONS = {option.flag: option for option in run_options()}
"""The options of a run, as on the command line."""

FIELDS = {
    option.name: option
    for option in run_options()
    if option.option.group == MODEL_AND_IMAGES and option.option.common and option.name != "model"
}
"""The options that have a field: the common ones about images."""

COMMAND = "command"
"""Id of the field of the command line, which has all options."""

YES = "yes"


def with_fields(text: str) -> str:
    """Returns a message about options that names the fields of the form in their place.

    >>> with_fields("list your classes, one a line: --classes names.txt; --layers has no field")
    'list your classes, one a line: "classes" names.txt; --layers has no field'
    """

    def field(match: re.Match[str]) -> str:
        option = FIELDS.get(match[1].replace("-", "_"))
        return match[0] if option is None else f'"{option.label}"'

    return re.sub(r"--([a-z][a-z-]*)", field, text)


@dataclass
class SetupMemory:
    """What the setup remembers while the program runs.

    Attributes:
        texts: What was typed, by models.
        trials: What `doctor` says of loaded models, by what determines it.
    """

    texts: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)
    trials: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def trial(self, model: str, setup: Setup) -> dict[str, Any] | None:
        """Returns the result of a trial of a model; None before it."""
        return self.trials.get((model, *setup.trial_options))


@dataclass(frozen=True)
class Setup:
    """The content of the form, as typed.

    Attributes:
        models: Presets or specs.
        texts: Texts by option; a missing one has its initial text.
    """

    models: tuple[str, ...]
    texts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_command(cls, line: str) -> Setup:
        """Reads a command line as the form shows it; values are checked later.

        Raises:
            UsageError: If it has an unknown option, an option without its value or twice, or an
                open quote.
        """
        try:
            words = iter(shlex.split(line))
        except ValueError:
            raise UsageError("a quote is not closed") from None
        values: dict[str, list[str]] = {}
        for word in words:
            name, equals, value = word.partition("=")
            option = OPTIONS.get(name)
            if option is None and word not in ("tuiprobe", "--headless"):
                meant = did_you_mean(name, OPTIONS, most=1)
                raise UsageError(f"{word} is no option of a run{meant}")
            if option is None:
                continue
            if option.kind is not bool and not equals:
                value = next(words, "")
                if not value:
                    raise UsageError(f"{name} needs a value")
            if option.name in values and not option.repeatable:
                raise UsageError(f"{name} appears twice")
            values.setdefault(option.name, []).append(YES if option.kind is bool else value)
        models = tuple(values.pop("model", ()))
        many = {name for name in values if run_option(name).many}
        texts = {
            name: shlex.join(texts) if name in many else texts[-1] for name, texts in values.items()
        }
        return cls(models, {"data": "", **texts})

    def __getitem__(self, name: str) -> str:
        """Returns the text of an option, or else its initial text in the form."""
        return self.texts.get(name, run_option(name).first_text).strip()

    @property
    def trial_options(self) -> tuple[str, ...]:
        """What determines the trial of a model, besides the model."""
        return (self["checkpoint"], self["device"], self["dtype"])

    @property
    def of_vectors(self) -> bool:
        """Whether the data are vectors, which have an encoder already."""
        return kind_of(self.data) == "vectors"

    @property
    def data(self) -> str:
        """The data source: as typed, or what its short form stands for."""
        return f"{VECTORS}{self['embeddings']}" if self["embeddings"] else self["data"]

    def field_of(self, name: str) -> str:
        """Returns the field in which an option was typed: that of its short form, if it was."""
        shorts = [option for option in run_options() if option.option.stands_for == name]
        return next((short.name for short in shorts if self[short.name]), name)

    @property
    def used_options(self) -> tuple[str, ...]:
        """The options that this run has a use for, in the order of the form."""
        kind = kind_of(self.data)
        asked = []
        for declared in run_options():
            name, option = declared.name, declared.option
            if name == "model":
                continue
            by_short_form = name in ("data", "target") and bool(self["embeddings"])
            if kind == "images" and option.stands_for:
                by_short_form = name != "embeddings"
            if option.fits in ("", kind) and not by_short_form:
                asked.append(name)
        return tuple(asked)

    def problems(self) -> dict[str, str]:
        """Returns the errors by option, as far as the texts alone show them."""
        problems = {}
        if not self.data:
            problems["data"] = "name a data set; → completes a path"
        if not (self.models or self.of_vectors):
            problems[COMMAND] = "name a model: --model"
        for name in self.used_options:
            option, text = run_option(name), self[name]
            if not text:
                continue
            if option.many:
                try:
                    shlex.split(text)
                except ValueError:
                    problems[name] = "a quote is not closed"
            elif problem := option.problem(text):
                problems[name] = problem
        if self["checkpoint"] and len(self.models) > 1 and not self.of_vectors:
            problems["checkpoint"] = "one file of weights serves one model; mark one"
        return problems

    def options(self) -> list[str]:
        """Returns the arguments of `tuiprobe` that differ from its defaults."""
        models = words_of([run_option("model")], {"model": self.models})
        return ["--headless", *([] if self.of_vectors else models), *self.words(*self.used_options)]

    def words(self, *names: str) -> list[str]:
        """Returns the arguments that set some of the options."""
        asked = [option for option in run_options() if option.name in names]
        return words_of(asked, {option.name: _value(option, self[option.name]) for option in asked})

    def directory(self, runs: Path) -> Path:
        """Returns where the run goes: the same options, the same directory, so they resume."""
        models = () if self.of_vectors else self.models
        names = [name for name in self.used_options if run_option(name).option.changes != "nothing"]
        words = [*models, *self.words(*names)]
        digest = hashlib.sha256("\0".join(words).encode("utf-8", "replace")).hexdigest()[:8]
        if self.of_vectors:
            return runs / f"{_safe(rows_name(self.data))}-embeddings-{digest}"
        subject = self.models[0] if len(self.models) == 1 else f"{len(self.models)}-models"
        return runs / f"{_safe(subject)}-{_safe(self['data'])}-{digest}"

    @property
    def line(self) -> str:
        """The command line without the run directory, which follows from the rest."""
        return shown_command(self.options())

    def arguments(self, runs: Path) -> list[str]:
        """Returns the whole command line after the program's name."""
        return [*self.options(), "--output", str(self.directory(runs))]

    def dry_run(self, runs: Path) -> list[str]:
        """Returns the arguments that ask what the run would do; wrong texts are left out."""
        texts = {name: text for name, text in self.texts.items() if name not in self.problems()}
        sound = Setup(self.models, texts).options()
        return [*sound, "--output", str(self.directory(runs)), "--dry-run", "--json"]


def run_specs(setup: Setup, memory: SetupMemory) -> list[dict[str, object]]:
    """Returns the facts of each run that its title may warn of."""
    specs = []
    for model in () if setup.of_vectors else setup.models:
        spec = {"model": model, "data": setup["data"], "checkpoint": setup["checkpoint"]}
        trial = memory.trial(model, setup) or {}
        specs.append(spec | ({"weights": trial["weights"]["kind"]} if "weights" in trial else {}))
    return specs


def start_label(previews: Sequence[Preview], wrong: Iterable[str]) -> str:
    """Returns the text of the button: the effect of Enter.

    Args:
        previews: What the runs of the form would do; empty before that was looked at.
        wrong: Names of the options that are wrong.
    """
    for name in wrong:
        others = {"output": "the run directory", COMMAND: "the command line"}
        field = others.get(name) or run_option(name).label
        return f"✗ {field} needs another value"
    total = sum(preview.images for preview in previews)
    done = sum(preview.directory.done for preview in previews)
    if done:
        text = f"all {total:,} are measured: answers again"
        return text if done >= total else f"resumes {done:,} of {total:,}"
    if not total:
        return "start"
    start = "! start without answers" if previews[0].unanswered else "start"
    return f"{start}: {total:,} {previews[0].spec.kind}"


def _value(option: OptionField, text: str) -> Any:
    """Returns the value of a text; the text itself where it is invalid, None if empty."""
    if option.kind is bool:
        return text == YES
    if option.many:
        try:
            return tuple(shlex.split(text))
        except ValueError:
            return tuple(text.split())
    try:
        return option.kind(text) if text else None
    except ValueError:
        return text


def _safe(text: str) -> str:
    """Returns the end of the safe name of `text`.

    >>> _safe("imagefolder:/data/my val"), _safe("timm:resnet50.a1_in1k")
    ('imagefolder-data-my-val', 'timm-resnet50.a1_in1k')
    """
    return safe_name(text)[-48:].strip("-.")

"""A run before it starts, as plain data: options, what is wrong with them, command, directory."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuiprobe.options import OptionField, words_of
from tuiprobe.request import OF_EMBEDDINGS, OF_IMAGES, rows_name
from tuiprobe.spec import run_option, run_options

FIRST = ("data", "target", "concepts", "sample")
MORE = (
    "layers", "head", "device", "baseline", "checkpoint", "classes", "templates",
    "concept_sample", "batch_size", "tokens", "dtype", "offline",
)  # fmt: skip
VECTORS = ("embeddings", "labels", "training", "representation", "target_embeddings")
"""The options that the form asks for; the rest are for the command line."""

NO, YES = "no", "yes"


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
        """Returns what a trial of a model found; None before it."""
        return self.trials.get((model, *setup.trial_options))

    def all_trials(self, setup: Setup) -> list[dict[str, Any]]:
        """Returns the trial of each model; empty if one is missing, or vectors have no model."""
        models = () if setup.of_vectors else setup.models
        trials = [trial for model in models if (trial := self.trial(model, setup)) is not None]
        return trials if len(trials) == len(models) else []


@dataclass(frozen=True)
class Setup:
    """The content of the form, as typed.

    Attributes:
        models: Presets or specs.
        texts: Texts by option; a missing one has its initial text.
    """

    models: tuple[str, ...]
    texts: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """Returns the text of an option, or else its initial text in the form."""
        return self.texts.get(name, first_text(run_option(name))).strip()

    @property
    def trial_options(self) -> tuple[str, ...]:
        """What determines the trial of a model, besides the model."""
        return (self["checkpoint"], self["device"], self["dtype"])

    @property
    def of_vectors(self) -> bool:
        """Whether stored vectors take the place of model and data."""
        return bool(self["embeddings"])

    @property
    def asked(self) -> tuple[str, ...]:
        """The options that this run has a use for, in the order of the form."""
        everything = (*FIRST, *MORE, *VECTORS)
        without = ("data", *OF_IMAGES) if self.of_vectors else OF_EMBEDDINGS
        return tuple(name for name in everything if name not in without)

    def problems(self) -> dict[str, str]:
        """Returns what is wrong, by option, as far as the texts alone show it."""
        problems = {}
        if not self.of_vectors and not self["data"]:
            problems["data"] = "name a data set; ctrl+o picks a folder"
        for name in self.asked:
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
        return ["--headless", *([] if self.of_vectors else models), *self.words(*self.asked)]

    def words(self, *names: str) -> list[str]:
        """Returns the arguments that set some of the options."""
        asked = [option for option in run_options() if option.name in names]
        return words_of(asked, {option.name: _value(option, self[option.name]) for option in asked})

    def directory(self, runs: Path) -> Path:
        """Returns where the run goes: the same options, the same directory, so they resume."""
        models = () if self.of_vectors else self.models
        names = [name for name in self.asked if run_option(name).option.changes != "nothing"]
        words = [*models, *self.words(*names)]
        digest = hashlib.sha256("\0".join(words).encode("utf-8", "replace")).hexdigest()[:8]
        if self.of_vectors:
            return runs / f"{_safe(rows_name(self['embeddings']))}-embeddings-{digest}"
        what = self.models[0] if len(self.models) == 1 else f"{len(self.models)}-models"
        return runs / f"{_safe(what)}-{_safe(self['data'])}-{digest}"

    def arguments(self, runs: Path) -> list[str]:
        """Returns the whole command line after the program's name."""
        return [*self.options(), "--output", str(self.directory(runs))]

    def request(self, runs: Path) -> str:
        """Returns what `tuiprobe.engine.preview` is asked; values that are wrong are left out.

        Args:
            runs: Where run directories are kept.
        """
        wrong = self.problems()
        options = {
            name: _value(run_option(name), self[name])
            for name in self.asked
            if self[name] and name not in wrong
        }
        run = None if wrong else str(self.directory(runs))
        asked = {"models": self.models, "options": options, "run": run}
        return json.dumps(asked)


def first_text(option: OptionField) -> str:
    """Returns the initial text of a field; empty means the default."""
    if option.kind is bool:
        return YES if option.default else NO
    if option.required:
        return option.option.unset
    return option.default if isinstance(option.default, str) else ""


def choices(option: OptionField) -> tuple[str, ...]:
    """Returns the values to choose from; empty if the option is typed."""
    return (NO, YES) if option.kind is bool else option.choices


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
    """Returns the end of `text`, reduced to characters that are safe in a file name.

    >>> _safe("imagefolder:/data/my val"), _safe("timm:resnet50.a1_in1k")
    ('imagefolder-data-my-val', 'timm-resnet50.a1_in1k')
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")[-48:].strip("-.") or "data"


def source_of(path: Path) -> str:
    """Returns the data source for a picked file or folder.

    >>> source_of(Path("/data/sets.toml"))
    'suite:/data/sets.toml'
    """
    if path.suffix == ".toml":
        return f"suite:{path}"
    if path.suffix == ".tar":
        return f"webdataset:{path}"
    return f"imagefolder:{path}"

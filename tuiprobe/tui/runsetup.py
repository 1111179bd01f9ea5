"""A run before it starts, as plain data: options, command line, directory, cost."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuiprobe.globs import matches
from tuiprobe.options import OptionField, words_of
from tuiprobe.plaintext import clock
from tuiprobe.spec import CPU_BATCH, FINAL_TAP, RunSpec, default_sample, run_option, run_options

FIRST = ("data", "target", "sample", "layers", "head", "device")
MORE = ("classes", "templates", "checkpoint", "batch_size", "tokens", "dtype", "offline")
"""The options that the form asks for; the rest are for the command line."""

NO, YES = "no", "yes"

SECONDS_TO_START = 6.0  # importing the libraries and building a small model
MEGABYTE = 2**20


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

    def problem(self) -> str:
        """Returns what is wrong with the options in one sentence; empty if nothing is."""
        if not self["data"]:
            return "data: name a data set, o opens the file picker"
        for name in (*FIRST, *MORE):
            if self[name] and (problem := run_option(name).problem(self[name])):
                return problem
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self["device"]):
            return "device: give auto, cpu, cuda, cuda:N or mps"
        if self["checkpoint"] and len(self.models) > 1:
            return "checkpoint: one file of weights serves one model; mark one"
        return ""

    def options(self) -> list[str]:
        """Returns the arguments of `tuiprobe` that differ from its defaults."""
        models = words_of([run_option("model")], {"model": self.models})
        return ["--headless", *models, *self.words(*FIRST, *MORE)]

    def words(self, *names: str) -> list[str]:
        """Returns the arguments that set some of the options."""
        asked = [option for option in run_options() if option.name in names]
        return words_of(asked, {one.name: _value(one, self[one.name]) for one in asked})

    def directory(self, runs: Path) -> Path:
        """Returns where the run goes: the same options, the same directory, so they resume."""
        digest = hashlib.sha256("\0".join(self.options()).encode("utf-8", "replace")).hexdigest()
        what = self.models[0] if len(self.models) == 1 else f"{len(self.models)}-models"
        return runs / f"{_safe(what)}-{_safe(self['data'])}-{digest[:8]}"

    def arguments(self, runs: Path) -> list[str]:
        """Returns the whole command line after the program's name."""
        return [*self.options(), "--output", str(self.directory(runs))]


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


def matched_layers(taps: Sequence[dict[str, Any]], layers: str) -> list[str]:
    """Returns the layers that a set of globs matches: a line per pattern with its first names.

    Args:
        taps: As `tuiprobe inspect --json` lists them.
        layers: Globs separated by blanks.
    """
    names = [str(tap["name"]) for tap in taps if tap["name"] != FINAL_TAP]
    if not layers.split():
        return [f"none of {len(names)}: the representation alone is measured"]
    lines = []
    for pattern in layers.split():
        chosen = [name for name in names if matches(name, pattern)]
        some = ", ".join(chosen[:4]) + (", …" if len(chosen) > 4 else "")
        lines.append(f"{'✓' if chosen else '✗'} {pattern}: {len(chosen)} of {len(names)}  {some}")
    return lines


def recognised(found: dict[str, Any], limit: int = 8) -> list[str]:
    """Returns what a data source was recognised as, one line per set."""
    lines, notes = [], dict[str, None]()
    for one in found["sets"][:limit]:
        classes = f"{one['classes']:,} classes" if one["classes"] else "no labels"
        lines.append(f"✓ {one['name']}: {one['images']:,} images, {classes}")
        notes |= dict.fromkeys(one["notes"][:2])
    if len(found["sets"]) > limit:
        lines.append(f"… {len(found['sets']) - limit} more sets")
    return lines + [f"! {note}" for note in notes]


def probes(setup: Setup, trial: dict[str, Any] | None, found: dict[str, Any] | None) -> list[str]:
    """Returns which probes will run, and what the others need."""
    lines = ["✓ outliers"]
    if trial is None and not setup["head"]:
        return [*lines, "… the others are known after the trial batch"]
    labelled = found is not None and any(one["classes"] for one in found["sets"])
    if setup["head"] or (trial is not None and trial["head"] is not None):
        head = True
    else:
        named = labelled or bool(setup["classes"])
        head = trial is not None and trial["text"] is not None and named
    need = "a head: the model's own, --classes for a zero-shot one, or --head probe"
    lines.append("✓ directions" if head else f"- directions need {need}")
    if not head or not labelled:
        lines.append("- robustness needs a head and labelled images")
    elif found is not None and len(found["sets"]) > 1:
        lines.append("✓ robustness: accuracy on each set, effective robustness")
    else:
        lines.append("✓ accuracy; robustness needs a suite with shifted sets")
    return lines


@dataclass(frozen=True)
class Cost:
    """The cost of a run, from the trial and the data.

    Attributes:
        images: To measure, over sets and models.
        seconds: From start to report.
        memory: Bytes, of the engine; None where the trial did not say.
        disk: Bytes, of the run directories.
    """

    images: int
    seconds: float
    memory: int | None
    disk: int

    def lines(self) -> list[str]:
        """Returns the estimate in words."""
        memory = "" if self.memory is None else f", memory {self.memory / MEGABYTE:,.0f} MB"
        return [
            f"{self.images:,} images, about {clock(self.seconds)}",
            f"disk {self.disk / MEGABYTE:,.0f} MB{memory}",
        ]


def estimate(
    trials: Sequence[dict[str, Any]], sizes: Sequence[int], sample: int, layers: str
) -> Cost:
    """Estimates a run from trial batches.

    Args:
        trials: The output of `tuiprobe inspect --json` for each model.
        sizes: Images in each set.
        sample: Images per set; 0 for all.
        layers: Globs over inner layers.
    """
    images = sum(min(size, sample) if sample else size for size in sizes)
    seconds, disk, memory = SECONDS_TO_START, 0, 0
    for trial in trials:
        seconds += images / float(trial["cost"]["images_per_second"])
        memory = max(memory, int(trial["cost"].get("memory") or 0))
        inner = [
            int(tap["channels"])
            for tap in trial["taps"]
            if tap["name"] != FINAL_TAP and any(matches(tap["name"], p) for p in layers.split())
        ]
        shards = max(images // (8 * CPU_BATCH), 20 * len(sizes))
        # float32 features twice (shard and merged); per channel 8 moments and the two top lists.
        state = int(trial["width"]) * (8 * 8 + 2 * RunSpec.top_k * 16)
        state += sum(inner) * (8 * 8 + 2 * 8 * 16)
        disk += images * int(trial["width"]) * 8 + shards * state + 4096 * 4 * sum(inner)
    return Cost(images * len(trials), seconds, memory or None, disk)


def usual_sample(models: Sequence[str], data: str) -> int:
    """Returns how many images of a set are measured by default."""
    return min(default_sample(model, data) for model in models)


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

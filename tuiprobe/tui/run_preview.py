"""What the setup of a run says before the start: images, downloads, layers, and the probes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuiprobe.catalog.presets import presets
from tuiprobe.plaintext import matches
from tuiprobe.spec import FINAL_TAP, MAX_CPU_PROMPTS, run_option
from tuiprobe.tui.child import ProcessOutput
from tuiprobe.tui.runsetup import Setup, SetupMemory

Contents = Mapping[str, Any]
"""What `tuiprobe.engine.preview` answers."""

Trial = Mapping[str, Any]
"""The encoder as `tuiprobe doctor --model MODEL --json` describes it."""

_CAPTIONED = ("zero-shot", "captions")
"""Trainings of models that answer by texts."""

_UNKNOWN = "known once the data are"
_LOADED = "known once the model is loaded"
_WRONG = "known once what is marked ✗ is right"


def trial_of(answer: ProcessOutput) -> tuple[dict[str, Any] | None, str]:
    """Returns what `doctor` says of the encoder; None and the reason if it could not be tried."""
    try:
        examination = json.loads(answer.out)
    except ValueError:
        return None, answer.reason
    failed = (check["detail"] for check in examination["checks"] if check["status"] == "fail")
    return examination["encoder"], next(failed, answer.reason)


@dataclass(frozen=True)
class RunPreview:
    """All that is known before the start.

    Attributes:
        setup: The options as typed.
        contents: What will be measured; None until that was looked at.
        trial: What a trial says of the first model; None until all models were tried.
        wrong: What is wrong, by option; `run` for the run directory.
        downloads: What the start downloads, in words; empty for nothing.
    """

    setup: Setup
    contents: Contents | None
    trial: Trial | None
    wrong: Mapping[str, str]
    downloads: str = ""

    @property
    def unanswered(self) -> str:
        """Why the run will not answer anything about the images; empty where it will."""
        if self.contents is None or not self.contents["sets"]:
            return ""
        first = self.contents["sets"][0]  # with labels, the nearest images answer
        reason = "" if first["classes"] else no_head(self.setup, self.trial, self.contents)
        return "" if reason == "?" else reason

    @property
    def start_words(self) -> str:
        """What the button says: what Enter will do.

        >>> contents = {"sets": [], "images": {"m": 15000}, "done": 5632}
        >>> RunPreview(Setup(("m",)), contents, None, {}).start_words
        'resumes 5,632 of 15,000'
        """
        for name in self.wrong:
            what = "the run directory" if name == "run" else run_option(name).label
            return f"✗ {what} needs another value"
        total = sum(self.contents["images"].values()) if self.contents is not None else 0
        if self.contents is None or not total:
            return "start"
        done = self.contents["done"]
        if done:
            again = f"all {total:,} are measured: answers again"
            return again if done >= total else f"resumes {done:,} of {total:,}"
        start = "! start without answers" if self.unanswered else "start"
        return f"{start}: {total:,} {'vectors' if self.setup.of_vectors else 'images'}"

    def lines(self, looking: str, loading: str) -> list[str]:
        """Returns what the form means: first what is wrong or missing, then data and probes.

        Args:
            looking: What is done about the data until `contents` is there.
            loading: What is done about the model until `trial` is there; `!` begins a failure.
        """
        contents, trial = self.contents, self.trial
        warnings = [f"✗ {self.wrong['run']}"] if "run" in self.wrong else []
        warnings += [f"! no answers: {self.unanswered}"] if self.unanswered else []
        warnings += [f"! {self.downloads}"] if self.downloads else []
        warnings += [loading] if loading.startswith("!") else []
        if contents is None:
            return [*warnings, "DATA", looking, "", "PROBES", _UNKNOWN]
        notes = dict.fromkeys(note for found in contents["sets"] for note in found["notes"][:2])
        unknown = _WRONG if self.wrong else _UNKNOWN
        lines = [*warnings, *(f"! {note}" for note in notes), "DATA"]
        lines += set_lines(contents) or [unknown]
        known = contents["sets"] or contents["later"]
        lines += ["", "PROBES", *(probe_lines(self.setup, trial, contents) if known else [unknown])]
        if self.setup.of_vectors:
            return lines
        if trial is not None:
            return [*lines, "", "LAYERS", *matched_layers(trial, self.setup["layers"])]
        later = loading if loading and not loading.startswith("!") else _LOADED
        return [*lines, "", "LAYERS", later]


def specs_of(setup: Setup, memory: SetupMemory) -> list[dict[str, object]]:
    """Returns what is known of each run, for what its title warns of."""
    specs = []
    for model in () if setup.of_vectors else setup.models:
        spec = {"model": model, "data": setup["data"], "checkpoint": setup["checkpoint"]}
        trial = memory.trial(model, setup) or {}
        specs.append(spec | ({"weights": trial["weights"]["kind"]} if "weights" in trial else {}))
    return specs


def set_lines(contents: Contents) -> list[str]:
    """Returns what a data source was recognised as, one line per set."""
    lines = []
    for image_set in contents["sets"]:
        planned, total, classes = (image_set[name] for name in ("planned", "found", "classes"))
        of = f" of {total:,}" if planned < total else ""
        what = f"vectors of {image_set['width']:,} channels" if "width" in image_set else "images"
        role = {"concepts": "the concept set", "target": "a target without labels"}.get(
            image_set["role"], f"{classes:,} classes" if classes else "no labels"
        )
        lines.append(f"✓ {image_set['name']}: {planned:,}{of} {what}, {role}")
    return lines + ([f"… {contents['later']}"] if contents["later"] else [])


def matched_layers(trial: Trial, layers: str) -> list[str]:
    """Returns the layers that each glob matches: how many, and the first names.

    Args:
        trial: The model.
        layers: Globs separated by blanks.
    """
    names = [str(tap["name"]) for tap in trial["taps"] if tap["name"] != FINAL_TAP]
    if not layers.split():
        return [f"none of {len(names)}: the representation alone is measured"]
    lines = []
    for pattern in layers.split():
        chosen = [name for name in names if matches(name, pattern)]
        some = ", ".join(chosen[:4]) + (", …" if len(chosen) > 4 else "")
        lines.append(f"{'✓' if chosen else '✗'} {pattern}: {len(chosen)} of {len(names)}  {some}")
    return lines


def unmatched_layers(trials: Sequence[Trial], layers: str) -> str:
    """Returns which glob matches no layer of a model; empty if all do."""
    for trial in trials:
        names = [str(tap["name"]) for tap in trial["taps"] if tap["name"] != FINAL_TAP]
        for pattern in layers.split():
            if not any(matches(name, pattern) for name in names):
                some = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
                return f"{pattern} matches none of {len(names)} layers: {some}"
    return ""


def probe_lines(setup: Setup, trial: Trial | None, contents: Contents) -> list[str]:
    """Returns which probes will run, and why each of the others will not."""
    missing = _missing(setup, trial, contents)
    runs, perhaps, unknown, left_out = [], [], [], dict[str, list[str]]()
    for probe in contents["probes"]:
        if probe["needs"] is None:
            perhaps.append(f"… {probe['title']}: only this package's probe knows what it needs")
            continue
        why = [missing[need] for need in probe["needs"] if missing.get(need)]
        if "?" in why:
            unknown.append(probe["title"])
        elif why:
            left_out.setdefault(why[0], []).append(probe["title"])
        elif "channel" in probe["needs"]:
            perhaps.append(f"✓ {probe['title']}, if a channel stands out")
        else:
            runs.append(probe["title"])
    if unknown:
        perhaps.append(f"… {', '.join(unknown)}: known once the model is loaded")
    reasons = [f"- {', '.join(titles)}: {reason}" for reason, titles in left_out.items()]
    return [f"✓ {', '.join(runs)}", *perhaps, *reasons]


def _missing(setup: Setup, trial: Trial | None, contents: Contents) -> dict[str, str]:
    """Returns by need why it is not met; empty where it is, `?` where a trial will tell."""
    roles = [image_set["role"] for image_set in contents["sets"]]
    targets = "target" in roles or "unlabelled" in roles[:1]  # which is a target itself
    headless = no_head(setup, trial, contents)
    option = "target embeddings" if setup.of_vectors else "target"
    own_head = headless or "the model has a head, whose accuracy is measured"
    if setup["head"] == "probe" or headless not in ("", "?"):
        own_head = ""
    return {
        "head": headless,
        "no head": own_head,
        "labels": "" if "labelled" in roles[:1] else "the images have no labels",
        "target": "" if targets else f"no images under {option}",
        "concepts": "" if "concepts" in roles else "no concept set under concepts",
        "channel": "",
    }


def no_head(setup: Setup, trial: Trial | None, contents: Contents) -> str:
    """Returns why there will be no head; empty if there will be one."""
    first = contents["sets"][0] if contents["sets"] else None
    classes = int(contents["named"] or (first["classes"] if first is not None else 0))
    if setup["head"] == "probe":
        return "" if classes else "head probe takes labelled images"
    if setup["head"]:
        return ""
    if setup.of_vectors:
        return "vectors bring no head; name a file under head"
    preset = presets().get(setup.models[0])
    if trial is None and (preset is None or preset.training not in _CAPTIONED or classes):
        return "?"
    if trial is not None and trial["text"] is None:
        return "" if trial["head"] is not None else "the model brings no head; name one under head"
    if trial is None or not classes:
        return "no class names; name a file of them under classes"
    prompts = classes * int(contents["templates"] or trial["text"]["templates"])
    if trial["text"]["padded"] and prompts > MAX_CPU_PROMPTS and trial["cost"]["device"] == "cpu":
        return f"{prompts:,} prompts take a CPU hours; zero-shot under head asks for them"
    return ""

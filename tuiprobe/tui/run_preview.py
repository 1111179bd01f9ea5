"""What the setup of a run says before the start: images, downloads, layers, and the probes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuiprobe.globs import matches
from tuiprobe.spec import EMBEDDED, FINAL_TAP, MAX_CPU_PROMPTS, run_option
from tuiprobe.tui.child import Answer
from tuiprobe.tui.progress import title_warning
from tuiprobe.tui.runsetup import Setup, SetupMemory

Contents = Mapping[str, Any]
"""What `tuiprobe.measure.preview` answers."""

Trial = Mapping[str, Any]
"""The encoder as `tuiprobe doctor --model MODEL --json` describes it."""

MOST_SETS = 12
_UNKNOWN = "known once the data are"
_WRONG = "known once what is marked ✗ is right"


def trial_of(answer: Answer) -> tuple[dict[str, Any] | None, str]:
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
        trials: What a trial says of each model; empty until all are there.
        wrong: What is wrong, by option; `run` for the run directory.
        downloads: What the start downloads, in words; empty for nothing.
    """

    setup: Setup
    contents: Contents | None
    trials: Sequence[Trial]
    wrong: Mapping[str, str]
    downloads: str = ""

    @property
    def start_words(self) -> str:
        """What the button says: what Enter will do."""
        for name in self.wrong:
            what = "the run directory" if name == "run" else run_option(name).label
            return f"✗ {what} needs another value"
        return start_words(self.contents)

    def lines(self, looking: str, loading: str) -> list[str]:
        """Returns what the form means.

        Args:
            looking: Shown in place of the data until they were looked at.
            loading: Shown in place of the layers until the model is loaded.
        """
        contents, trial = self.contents, self.trials[0] if self.trials else None
        unknown = [_WRONG if self.wrong else _UNKNOWN]
        lines = [f"✗ {self.wrong['run']}", ""] if "run" in self.wrong else []
        lines += ["RUN", *(self._images() or [looking if contents is None else unknown[0]])]
        lines += [f"! {self.downloads}"] if self.downloads else []
        lines += ["", "DATA", *(
            [looking] if contents is None else set_lines(contents) or unknown
        ), "", "PROBES"]  # fmt: skip
        known = contents is not None and (contents["sets"] or contents["later"])
        lines += probe_lines(self.setup, trial, contents) if contents and known else unknown
        if self.setup.of_vectors:
            return lines
        layers = self.setup["layers"]
        return [*lines, "", "LAYERS", *(
            [loading or "known once the model is loaded"] if trial is None
            else matched_layers(trial["taps"], layers)
        )]  # fmt: skip

    def _images(self) -> list[str]:
        total = sum(self.contents["images"].values()) if self.contents is not None else 0
        if self.contents is None or not total:
            return []
        what = "vectors" if self.setup.of_vectors else "images"
        done = self.contents["done"]
        lines = [f"{total:,} {what}" + (f"; {done:,} of them are measured" if done else "")]
        return lines if done >= total else [*lines, "time left shows once images are measured"]


def warning(setup: Setup, memory: SetupMemory) -> str:
    """Returns what every reader of the results has to know beforehand; empty if nothing."""
    warnings = dict[str, None]()
    for model in () if setup.of_vectors else setup.models:
        about = {"model": model, "data": setup["data"], "checkpoint": setup["checkpoint"]}
        trial = memory.trial(model, setup)
        if trial is not None and "weights" in trial:
            about["weights"] = trial["weights"]["kind"]
        warnings[title_warning(about)] = None
    return " · ".join(filter(None, warnings))


def start_words(contents: Contents | None) -> str:
    """Returns what Enter will do.

    >>> start_words(None)
    'start'
    >>> start_words({"images": {"m": 15000}, "done": 5632})
    'resumes 5,632 of 15,000'
    """
    total = sum(contents["images"].values()) if contents is not None else 0
    if contents is None or not total:
        return "start"
    if contents["done"] >= total:
        return f"all {total:,} are measured: answers again"
    if contents["done"]:
        return f"resumes {contents['done']:,} of {total:,}"
    return f"start: {total:,} {'vectors' if EMBEDDED in contents['images'] else 'images'}"


def set_lines(contents: Contents) -> list[str]:
    """Returns what a data source was recognised as, one line per set."""
    lines, notes = [], dict[str, None]()
    for image_set in contents["sets"][:MOST_SETS]:
        planned, total, classes = (image_set[name] for name in ("planned", "found", "classes"))
        of = f" of {total:,}" if planned < total else ""
        what = f"vectors of {image_set['width']:,} channels" if "width" in image_set else "images"
        role = {"concepts": "the concept set", "target": "a target without labels"}.get(
            image_set["role"], f"{classes:,} classes" if classes else "no labels"
        )
        lines.append(f"✓ {image_set['name']}: {planned:,}{of} {what}, {role}")
        notes |= dict.fromkeys(image_set["notes"][:2])
    if len(contents["sets"]) > MOST_SETS:
        lines.append(f"… {len(contents['sets']) - MOST_SETS} more sets")
    if contents["later"]:
        lines.append(f"… {contents['later']}")
    return lines + [f"! {note}" for note in notes]


def matched_layers(taps: Sequence[Mapping[str, Any]], layers: str) -> list[str]:
    """Returns the layers that a set of globs matches: a line per pattern with its first names.

    Args:
        taps: As `tuiprobe doctor --model MODEL --json` lists them.
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
    runs, perhaps, unknown, lines = [], [], [], []
    for probe in contents["probes"]:
        if probe["needs"] is None:
            perhaps.append(f"… {probe['title']}: only this package's probe knows what it needs")
            continue
        why = [missing[need] for need in probe["needs"] if missing.get(need)]
        if "?" in why:
            unknown.append(probe["title"])
        elif why:
            lines.append(f"- {probe['title']}: {why[0]}")
        elif "channel" in probe["needs"]:
            perhaps.append(f"✓ {probe['title']}, if a channel stands out")
        else:
            runs.append(probe["title"])
    if unknown:
        perhaps.append(f"… {', '.join(unknown)}: known once the model is loaded")
    return [f"✓ {', '.join(runs)}", *perhaps, *lines]


def _missing(setup: Setup, trial: Trial | None, contents: Contents) -> dict[str, str]:
    """Returns by need why it is not met; empty where it is, `?` where a trial will tell."""
    roles = [image_set["role"] for image_set in contents["sets"]]
    targets = "target" in roles or "unlabelled" in roles[:1]  # which is a target itself
    headless = _headless(setup, trial, contents)
    option = "target embeddings" if setup.of_vectors else "target"
    texts = "?" if trial is None and not headless else ""
    if setup["head"] not in ("", "zero-shot") or (trial is not None and trial["text"] is None):
        texts = "its head is no text tower's"
    own_head = headless or "the model has a head, whose accuracy is measured"
    if setup["head"] == "probe" or headless not in ("", "?"):
        own_head = ""
    return {
        "head": headless,
        "no head": own_head,
        "texts": texts,
        "labels": "" if "labelled" in roles[:1] else "the images have no labels",
        "target": "" if targets else f"no images under {option}",
        "concepts": "" if "concepts" in roles else "no concept set under concepts",
        "peers": next((why for why in contents["peers"].values()), "?"),
        "channel": "",
    }


def _headless(setup: Setup, trial: Trial | None, contents: Contents) -> str:
    """Returns why there will be no head; empty if there will be one."""
    first = contents["sets"][0] if contents["sets"] else None
    classes = int(contents["named"] or (first["classes"] if first is not None else 0))
    if setup["head"] == "probe":
        return "" if classes else "head probe takes labelled images"
    if setup["head"]:
        return ""
    if setup.of_vectors:
        return "no head: name a file under head"
    if trial is None:
        return "?"
    if trial["text"] is None:
        return "" if trial["head"] is not None else "the model brings no head: head takes one"
    if not classes:
        return "no class names: classes takes a file of them"
    prompts = classes * int(contents["templates"] or trial["text"]["templates"])
    if trial["text"]["padded"] and prompts > MAX_CPU_PROMPTS and trial["cost"]["device"] == "cpu":
        return f"{prompts:,} prompts take a CPU hours: head zero-shot asks for them"
    return ""

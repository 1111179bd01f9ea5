"""What the setup of a run says before the start: cost, data, layers, and which probes will run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuiprobe.globs import matches
from tuiprobe.plaintext import clock
from tuiprobe.spec import (
    CPU_BATCH,
    EMBEDDED,
    FINAL_TAP,
    MAX_CPU_PROMPTS,
    MAX_WORKERS,
    RunSpec,
    run_option,
)
from tuiprobe.tui.child import Answer
from tuiprobe.tui.progress import title_warning
from tuiprobe.tui.runsetup import Kept, Setup

# Measured with the miniature on two idle cores, where the estimate was 0.8 to 1.1 of the time of
# runs of 160, 1,600 and 15,500 images.
SECONDS_TO_START = 9.0
"""Of a run that measures next to nothing: libraries, model, merge, answers, reports."""
SECONDS_A_MODEL = 4.0
"""Of every further model: loading, merge, answers, reports."""
SECONDS_A_LAYER = 0.2
"""Merging and answering for an inner layer."""
SECONDS_A_VALUE = 2.2e-6
"""Answering, for a channel of an image: 56 s for 50,000 images of 512 channels."""
STATISTICS = 1.07
"""What an encoder takes with statistics over what it takes alone."""
MEGABYTE = 2**20

Found = Mapping[str, Any]
"""What `tuiprobe.measure.preview` answers."""

Trial = Mapping[str, Any]
"""The encoder as `tuiprobe doctor --model MODEL --json` describes it."""


def trial_of(answer: Answer) -> tuple[dict[str, Any] | None, str]:
    """Returns what `doctor` says of the encoder; None and the reason if it could not be tried."""
    try:
        examination = json.loads(answer.out)
    except ValueError:
        return None, answer.reason
    failed = (check["detail"] for check in examination["checks"] if check["status"] == "fail")
    return examination["encoder"], next(failed, answer.reason)


@dataclass(frozen=True)
class Cost:
    """The cost of a run, from the trial and the data.

    Attributes:
        images: To measure, over sets and models.
        done: Images among them that the directory holds already.
        seconds: From start to report.
        prompts: Of these, seconds for the prompts of zero-shot heads.
        disk: Bytes, of the run directories.
    """

    images: int
    done: int
    seconds: float
    prompts: float
    disk: int

    def lines(self) -> list[str]:
        """Returns the estimate in words."""
        left = f"; {self.done:,} of them are measured" if self.done else ""
        lines = [
            f"{self.images:,} images{left}",
            f"about {clock(self.seconds)}, disk {self.disk / MEGABYTE:,.0f} MB",
        ]
        if self.prompts >= 0.1 * self.seconds:
            lines.append(f"{clock(self.prompts)} of it for prompts, unless the head is cached")
        return lines


def estimate(trials: Sequence[Trial], found: Found, setup: Setup) -> Cost:
    """Estimates a run from trial batches and the images that it will measure.

    Several models decode each image once. What a run keeps (heads of prompts, shards of concepts)
    makes it shorter, other work on the machine longer.

    Args:
        trials: What a trial found of each model.
        found: What will be measured.
        setup: The options as typed.
    """
    counts, sets = list(found["images"].values()), len(found["sets"])
    total, layers = sum(counts), setup["layers"]
    left = 1 - found["done"] / total if total else 0.0
    encoding, prompts, disk = 0.0, 0.0, 0
    seconds = SECONDS_TO_START + SECONDS_A_MODEL * (len(trials) - 1)
    for trial, images in zip(trials, counts, strict=True):
        encoding += left * images * STATISTICS / float(trial["cost"]["images_per_second"])
        prompts += _for_prompts(setup, trial, found)
        inner = [
            int(tap["channels"])
            for tap in trial["taps"]
            if tap["name"] != FINAL_TAP and any(matches(tap["name"], p) for p in layers.split())
        ]
        seconds += SECONDS_A_LAYER * len(inner)
        seconds += SECONDS_A_VALUE * images * int(trial["width"])
        shards = max(images // (8 * CPU_BATCH), 20 * sets)
        # float32 features twice (shard and merged); per channel 8 moments and the two top lists.
        state = int(trial["width"]) * (8 * 8 + 2 * RunSpec.top_k * 16)
        state += sum(inner) * (8 * 8 + 2 * 8 * 16)
        disk += images * int(trial["width"]) * 8 + shards * state + 4096 * 4 * sum(inner)
    decoding = left * max(counts, default=0) * float(found.get("decoding") or 0.0)
    seconds += prompts + _with_decoding(encoding, decoding, trials)
    return Cost(total, int(found["done"]), seconds, prompts, disk)


def _with_decoding(encoding: float, decoding: float, trials: Sequence[Trial]) -> float:
    """Returns the seconds to decode and encode: beside a GPU, or on the cores that both share."""
    cores = max(int(trial["cost"]["threads"]) for trial in trials)
    if all(trial["cost"]["device"] == "cpu" for trial in trials):
        return encoding + decoding / max(cores / 2, 1)
    return max(encoding, decoding / min(cores, MAX_WORKERS))


def _for_prompts(setup: Setup, trial: Trial, found: Found) -> float:
    """Returns the seconds for the prompts of a zero-shot head, if nothing of it is cached."""
    rate, count = trial["cost"].get("prompts_per_second"), _prompts(trial, found)
    if not rate or setup["head"] not in ("", "zero-shot") or _headless(setup, trial, found):
        return 0.0
    return count / float(rate)


def _prompts(trial: Trial, found: Found) -> int:
    """Returns how many prompts a zero-shot head takes; 0 without a text tower or class names."""
    if trial["text"] is None:
        return 0
    return _classes(found) * int(found["templates"] or trial["text"]["templates"])


def _classes(found: Found) -> int:
    """Returns how many classes have a name."""
    first = found["sets"][0] if found["sets"] else None
    return int(found["named"] or (first["classes"] if first is not None else 0))


@dataclass(frozen=True)
class Outlook:
    """All that is known before the start.

    Attributes:
        setup: The options as typed.
        found: What will be measured; None until that was looked at.
        trials: What a trial found of each model; empty until all are there.
        wrong: What is wrong, by option; `run` for the run directory.
    """

    setup: Setup
    found: Found | None
    trials: Sequence[Trial]
    wrong: Mapping[str, str]

    @property
    def cost(self) -> Cost | None:
        """The cost; None while something is wrong or not known yet."""
        if self.found is None or not self.found["images"] or self.wrong or not self.trials:
            return None
        return estimate(self.trials, self.found, self.setup)

    @property
    def words(self) -> str:
        """What the button says."""
        for name in self.wrong:
            what = "the run directory" if name == "run" else run_option(name).label
            return f"✗ {what} needs another value"
        return start_words(self.found, self.cost)

    def lines(self, looking: str, timing: str) -> list[str]:
        """Returns what the form means.

        Args:
            looking: What is said of the data until they were looked at.
            timing: What is said of the trial until it is there.
        """
        found, trial = self.found, self.trials[0] if self.trials else None
        unknown = [_WRONG if self.wrong else _UNKNOWN]
        lines = [f"✗ {self.wrong['run']}", ""] if "run" in self.wrong else []
        lines += ["COST", *self._cost(timing), "", "DATA"]
        lines += [looking] if found is None else recognised(found) or unknown
        lines += ["", "PROBES"]
        if found is not None and (found["sets"] or found["later"]):
            lines += probe_lines(self.setup, trial, found)
        else:
            lines += unknown
        if self.setup.of_vectors:
            return lines
        layers = self.setup["layers"]
        shown = matched_layers(trial["taps"], layers) if trial is not None else ["after the trial"]
        return [*lines, "", "LAYERS", *shown]

    def _cost(self, timing: str) -> list[str]:
        cost = self.cost
        if cost is not None:
            return cost.lines()
        total = sum(self.found["images"].values()) if self.found is not None else 0
        what = "vectors" if self.setup.of_vectors else "images"
        lines = [f"{total:,} {what}"] if total else []
        if timing and not self.setup.of_vectors:
            lines.append(timing)
        return lines or [_WRONG if self.wrong else _UNKNOWN]


def warning(setup: Setup, kept: Kept) -> str:
    """Returns what every reader of the results has to know beforehand; empty if nothing."""
    said = dict[str, None]()
    for model in () if setup.of_vectors else setup.models:
        about = {"model": model, "data": setup["data"], "checkpoint": setup["checkpoint"]}
        trial = kept.trial(model, setup)
        if trial is not None and "weights" in trial:
            about["weights"] = trial["weights"]["kind"]
        said[title_warning(about)] = None
    return " · ".join(filter(None, said))


_UNKNOWN = "known once the data are"
_WRONG = "known once what is marked ✗ is right"


def start_words(found: Found | None, cost: Cost | None) -> str:
    """Returns what the button says: what Enter will do.

    >>> start_words(None, None)
    'start'
    >>> start_words({"images": {"m": 15000}, "done": 5632}, None)
    'resumes 5,632 of 15,000'
    """
    total = sum(found["images"].values()) if found is not None else 0
    if found is None or not total:
        return "start"
    if found["done"] >= total:
        return f"all {total:,} are measured: answers again"
    time = f", about {clock(cost.seconds)}" if cost is not None else ""
    if found["done"]:
        return f"resumes {found['done']:,} of {total:,}{time}"
    what = "vectors" if EMBEDDED in found["images"] else "images"
    return f"start: {total:,} {what}{time}"


def recognised(found: Found, limit: int = 12) -> list[str]:
    """Returns what a data source was recognised as, one line per set."""
    lines, notes = [], dict[str, None]()
    for one in found["sets"][:limit]:
        of = f" of {one['found']:,}" if one["planned"] < one["found"] else ""
        what = f"vectors of {one['width']:,} channels" if "width" in one else "images"
        lines.append(f"✓ {one['name']}: {one['planned']:,}{of} {what}, {_role(one)}")
        notes |= dict.fromkeys(one["notes"][:2])
    if len(found["sets"]) > limit:
        lines.append(f"… {len(found['sets']) - limit} more sets")
    if found["later"]:
        lines.append(f"… {found['later']}")
    return lines + [f"! {note}" for note in notes]


def _role(one: Mapping[str, Any]) -> str:
    if one["role"] == "concepts":
        return "the concept set"
    if one["role"] == "target":
        return "a target without labels"
    return f"{one['classes']:,} classes" if one["classes"] else "no labels"


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


def probe_lines(setup: Setup, trial: Trial | None, found: Found) -> list[str]:
    """Returns which probes will run, and why each of the others will not."""
    missing = _missing(setup, trial, found)
    runs, perhaps, lines = [], [], []
    for one in found["probes"]:
        if one["needs"] is None:
            perhaps.append(f"… {one['title']}: only this package's probe knows what it needs")
            continue
        why = [missing[need] for need in one["needs"] if missing.get(need)]
        if "?" in why:
            perhaps.append(f"… {one['title']}: known after the trial")
        elif why:
            lines.append(f"- {one['title']}: {why[0]}")
        elif "channel" in one["needs"]:
            perhaps.append(f"✓ {one['title']}, if a channel stands out")
        else:
            runs.append(one["title"])
    return [f"✓ {', '.join(runs)}", *perhaps, *lines]


def _missing(setup: Setup, trial: Trial | None, found: Found) -> dict[str, str]:
    """Returns by need why it is not met; empty where it is, `?` where a trial will tell."""
    roles = [one["role"] for one in found["sets"]]
    head = _headless(setup, trial, found)
    option = "target embeddings" if setup.of_vectors else "target"
    texts = "?" if trial is None and not head else ""
    if setup["head"] not in ("", "zero-shot") or (trial is not None and trial["text"] is None):
        texts = "its head is no text tower's"
    return {
        "head": head,
        "no head": _own_head(setup, head),
        "texts": texts,
        "labels": "" if "labelled" in roles[:1] else "the images have no labels",
        "target": "" if "target" in roles else f"no images under {option}",
        "concepts": "" if "concepts" in roles else "no concept set under concepts",
        "peers": next((why for why in found["peers"].values()), "?"),
        "channel": "",
    }


def _own_head(setup: Setup, headless: str) -> str:
    """Returns that a model's own head will be used; `?` where a trial will tell, empty if not."""
    if setup["head"] == "probe" or (headless and headless != "?"):
        return ""
    return headless or "the model has a head, whose accuracy is measured"


def _headless(setup: Setup, trial: Trial | None, found: Found) -> str:
    """Returns why there will be no head; empty if there will be one."""
    classes = _classes(found)
    if setup["head"] and setup["head"] != "probe":
        return ""
    if setup["head"] == "probe":
        return "" if classes else "head probe takes labelled images"
    if setup.of_vectors:
        return "no head: name a file under head"
    if trial is None:
        return "?"
    if trial["text"] is None:
        return "" if trial["head"] is not None else "the model brings no head: head takes one"
    if not classes:
        return "no class names: classes takes a file of them"
    prompts, padded = _prompts(trial, found), trial["text"]["padded"]
    if padded and prompts > MAX_CPU_PROMPTS and trial["cost"]["device"] == "cpu":
        return f"{prompts:,} prompts take a CPU hours: head zero-shot asks for them"
    return ""

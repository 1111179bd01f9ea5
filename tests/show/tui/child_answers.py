"""Answers in place of the child processes of the setup, and what was asked."""

import json
from itertools import pairwise
from typing import Any

import pytest

from tuiprobe.measure.run.preview import (
    PlannedDirectory,
    PlannedProbe,
    PlannedSet,
    Preview,
    Unknown,
    expected_head,
)
from tuiprobe.request import make_spec
from tuiprobe.show.tui.child import ProcessOutput
from tuiprobe.show.tui.screens import setup

TRIAL: dict[str, Any] = {
    "width": 128,
    "training": "zero-shot",
    "taps": [{"name": "layer1", "channels": 8}, {"name": "layer1.0", "channels": 8}],
    "cost": {"device": "cpu"},
    "text": {"templates": 8, "padded": False},
    "head": None,
}  # fmt: skip


def tried(encoder: dict[str, Any] | None, *failures: str) -> ProcessOutput:
    """Returns the answer of `doctor` about an encoder whose checks failed like this."""
    checks = [{"name": "a check", "status": "fail", "detail": one, "fix": ""} for one in failures]
    answer = {"schema": 2, "checks": checks, "encoder": encoder}
    return ProcessOutput(5 if failures else 0, json.dumps(answer), "")


def image_set(name: str, planned: int, role: Any = "labelled", **more: Any) -> PlannedSet:
    """Returns a set of a preview."""
    plain = {"name": name, "source": name, "found": planned, "planned": planned, "role": role}
    return PlannedSet(**{**plain, "classes": 40 if role == "labelled" else 0, **more})


def probe(id: str, title: str, *needs: str) -> PlannedProbe:
    """Returns a probe whose outcome is not known yet."""
    return PlannedProbe(id=id, title=title, needs=needs, outcome="runs")


SETS = (
    image_set("val", 1000, found=4000, notes=("a note",)),
    image_set("r", 200, notes=("a note",)),
    image_set("concepts", 300, "concepts"),
    image_set("street", 50, "target"),
)
PROBES = (
    probe("outliers", "Outlier features"),
    probe("directions", "Privileged directions", "head"),
    probe("targets", "Accuracy on your images", "target", "head"),
    probe("ablation", "Channel ablation", "head", "labels", "channel"),
    probe("concepts", "Concepts", "concepts"),
    PlannedProbe(id="blur", title="blur", needs=(), outcome=Unknown(depends_on="package")),
)


def previewed(options: dict[str, Any] | None = None, **changes: Any) -> Preview:
    """Returns the preview of a run of `mini_clip`, or of what the options name."""
    given = {"model": "mini_clip", "data": None, **(options or {})}
    spec = make_spec(given.pop("model"), given.pop("data"), given)
    content: dict[str, Any] = {
        "spec": spec, "sets": SETS, "taps": ("embedding",), "head": Unknown(depends_on="model"),
        "probes": PROBES, "downloads": (), "directory": PlannedDirectory(path="runs/x"),
        "wrong": (),
    }  # fmt: skip
    preview = Preview(**{**content, **changes})
    return preview.with_head(expected_head(preview))


class ChildAnswers:
    """Answers in place of child processes.

    Attributes:
        models: The words of each question about a model.
        data: The words of each question about a run.
        trial: The next answer about a model.
        trials: Answers about models by name, in place of that.
        options: Options of the spec that is answered.
        changes: Fields of the preview that is answered; see `previewed`.
    """

    def __init__(self) -> None:
        self.models: list[list[str]] = []
        self.data: list[list[str]] = []
        self.trial = tried(TRIAL)
        self.trials: dict[str, ProcessOutput] = {}
        self.options: dict[str, Any] = {}
        self.changes: dict[str, Any] = {}

    def set_preview(self, options: dict[str, Any] | None = None, **changes: Any) -> None:
        """Changes the preview that is answered from now on."""
        self.options, self.changes = options or {}, changes

    async def ask(self, words: list[str]) -> ProcessOutput:
        """Answers about a model, or what the runs of a command would do."""
        if words[0] == "doctor":
            self.models.append(list(words))
            return self.trials.get(words[words.index("--model") + 1], self.trial)
        self.data.append(list(words))
        models = [value for option, value in pairwise(words) if option == "--model"]
        layers = tuple(value for option, value in pairwise(words) if option == "--layers")
        taps = {"taps": Unknown(depends_on="model")} if layers else {}
        options: list[dict[str, Any]] = [{"model": m, "layers": layers} for m in models]
        previews = [
            previewed({**given, **self.options}, **{**taps, **self.changes})
            for given in options or [{"model": None}]
        ]
        out = "".join(f"{preview.model_dump_json()}\n" for preview in previews)
        return ProcessOutput(previews[0].exit_code, out, "")


def answered(monkeypatch: pytest.MonkeyPatch) -> ChildAnswers:
    """Lets the setup ask no process."""
    answers = ChildAnswers()
    monkeypatch.setattr(setup, "ask", answers.ask)
    return answers

"""Answers in place of the child processes of the setup, and what was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tuiprobe.tui.child import Answer
from tuiprobe.tui.screens import setup

TRIAL: dict[str, Any] = {
    "width": 128,
    "training": "zero-shot",
    "taps": [{"name": "layer1", "channels": 8}, {"name": "layer1.0", "channels": 8}],
    "cost": {"device": "cpu"},
    "text": {"templates": 8, "padded": False},
    "head": None,
}  # fmt: skip


def tried(encoder: dict[str, Any] | None, *failures: str) -> Answer:
    """Returns what `doctor` answers about an encoder, after these checks failed."""
    checks = [{"name": "a check", "status": "fail", "detail": one, "fix": ""} for one in failures]
    answer = {"schema": 2, "checks": checks, "encoder": encoder}
    return Answer(5 if failures else 0, json.dumps(answer), "")


def one_set(name: str, planned: int, role: str = "labelled", **more: Any) -> dict[str, Any]:
    """Returns a set as the preview describes it."""
    classes = 40 if role == "labelled" else 0
    plain = {"name": name, "source": name, "found": planned, "planned": planned, "role": role}
    return {**plain, "classes": classes, "notes": [], **more}


FOUND: dict[str, Any] = {
    "sets": [
        one_set("val", 1000, found=4000, notes=["a note"]),
        one_set("r", 200, notes=["a note"]),
        one_set("concepts", 300, "concepts"),
        one_set("street", 50, "target"),
    ],
    "images": {"mini_clip": 1550},
    "templates": None,
    "named": 0,
    "peers": {"mini_clip": "too few models are published on these sets"},
    "probes": [
        {"id": "outliers", "title": "Outlier features", "needs": []},
        {"id": "directions", "title": "Privileged directions", "needs": ["head"]},
        {"id": "targets", "title": "Accuracy on your images", "needs": ["target", "head"]},
        {"id": "ablation", "title": "Channel ablation", "needs": ["head", "labels", "channel"]},
        {"id": "towers", "title": "Both towers", "needs": ["head", "texts"]},
        {"id": "concepts", "title": "Concepts", "needs": ["concepts"]},
        {"id": "forecast", "title": "Forecast", "needs": ["peers"]},
        {"id": "blur", "title": "blur", "needs": None},
    ],
    "done": 0,
    "kept": "",
    "later": "",
    "problems": {},
}


class Asked:
    """Answers in place of child processes.

    Attributes:
        models: The words of each question about a model.
        data: Each request for a preview.
        trial: The next answer about a model.
        found: The next preview.
    """

    def __init__(self) -> None:
        self.models: list[list[str]] = []
        self.data: list[dict[str, Any]] = []
        self.trial = tried(TRIAL)
        self.found = Answer(0, json.dumps(FOUND), "")

    def finds(self, **changes: Any) -> None:
        """Changes the preview that is answered from now on."""
        self.found = Answer(0, json.dumps({**FOUND, **changes}), "")

    async def ask(self, words: list[str]) -> Answer:
        """Answers about a model."""
        self.models.append(list(words))
        return self.trial

    async def ask_python(self, words: list[str]) -> Answer:
        """Answers what would be measured."""
        asked = json.loads(words[-1])
        self.data.append(asked)
        found = json.loads(self.found.out) if self.found.out else {}
        if "mini_clip" in found.get("images", {}):  # as many for each model
            found["images"] = dict.fromkeys(asked["models"], found["images"]["mini_clip"])
        return Answer(self.found.code, json.dumps(found) if found else "", self.found.err)


def answered(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Lets the setup ask no process."""
    answers = Asked()
    monkeypatch.setattr(setup, "ask", answers.ask)
    monkeypatch.setattr(setup, "ask_python", answers.ask_python)
    return answers

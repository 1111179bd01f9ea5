"""Answers in place of the child processes of the setup, and what was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tuiprobe.tui.child import ProcessOutput
from tuiprobe.tui.screens import setup

TRIAL: dict[str, Any] = {
    "width": 128,
    "training": "zero-shot",
    "taps": [{"name": "layer1", "channels": 8}, {"name": "layer1.0", "channels": 8}],
    "cost": {"device": "cpu"},
    "text": {"templates": 8, "padded": False},
    "head": None,
}  # fmt: skip


def tried(encoder: dict[str, Any] | None, *failures: str) -> ProcessOutput:
    """Returns what `doctor` answers about an encoder, after these checks failed."""
    checks = [{"name": "a check", "status": "fail", "detail": one, "fix": ""} for one in failures]
    answer = {"schema": 2, "checks": checks, "encoder": encoder}
    return ProcessOutput(5 if failures else 0, json.dumps(answer), "")


def image_set(name: str, planned: int, role: str = "labelled", **more: Any) -> dict[str, Any]:
    """Returns a set as the preview describes it."""
    classes = 40 if role == "labelled" else 0
    plain = {"name": name, "source": name, "found": planned, "planned": planned, "role": role}
    return {**plain, "classes": classes, "notes": [], **more}


PREVIEW: dict[str, Any] = {
    "sets": [
        image_set("val", 1000, found=4000, notes=["a note"]),
        image_set("r", 200, notes=["a note"]),
        image_set("concepts", 300, "concepts"),
        image_set("street", 50, "target"),
    ],
    "images": {"mini_clip": 1550},
    "templates": None,
    "named": 0,
    "probes": [
        {"id": "outliers", "title": "Outlier features", "needs": []},
        {"id": "directions", "title": "Privileged directions", "needs": ["head"]},
        {"id": "targets", "title": "Accuracy on your images", "needs": ["target", "head"]},
        {"id": "ablation", "title": "Channel ablation", "needs": ["head", "labels", "channel"]},
        {"id": "concepts", "title": "Concepts", "needs": ["concepts"]},
        {"id": "blur", "title": "blur", "needs": None},
    ],
    "done": 0,
    "kept": "",
    "later": "",
    "problems": {},
}


class ChildAnswers:
    """Answers in place of child processes.

    Attributes:
        models: The words of each question about a model.
        data: Each request for a preview.
        trial: The next answer about a model.
        preview: The next preview.
    """

    def __init__(self) -> None:
        self.models: list[list[str]] = []
        self.data: list[dict[str, Any]] = []
        self.trial = tried(TRIAL)
        self.preview = ProcessOutput(0, json.dumps(PREVIEW), "")

    def set_preview(self, **changes: Any) -> None:
        """Changes the preview that is answered from now on."""
        self.preview = ProcessOutput(0, json.dumps({**PREVIEW, **changes}), "")

    async def ask(self, words: list[str]) -> ProcessOutput:
        """Answers about a model."""
        self.models.append(list(words))
        return self.trial

    async def ask_python(self, words: list[str]) -> ProcessOutput:
        """Answers what would be measured."""
        asked = json.loads(words[-1])
        self.data.append(asked)
        preview = json.loads(self.preview.out) if self.preview.out else {}
        if "mini_clip" in preview.get("images", {}):  # as many for each model
            preview["images"] = dict.fromkeys(asked["models"], preview["images"]["mini_clip"])
        return ProcessOutput(
            self.preview.code, json.dumps(preview) if preview else "", self.preview.err
        )


def answered(monkeypatch: pytest.MonkeyPatch) -> ChildAnswers:
    """Lets the setup ask no process."""
    answers = ChildAnswers()
    monkeypatch.setattr(setup, "ask", answers.ask)
    monkeypatch.setattr(setup, "ask_python", answers.ask_python)
    return answers

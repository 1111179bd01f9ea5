"""Events of a run, for those who show them and for the status of the rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

EventKind = Literal["stage", "progress", "warning", "skipped", "interrupted", "failed", "done"]


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: `stage`: a part of the run began; `progress`: images were processed; `warning`:
            something a reader should know; `skipped`: an image was left out; `interrupted`,
            `failed`, `done`: the end.
        message: One sentence for a person. May quote file names, so never treat it as markup.
        data: Figures and names behind the sentence.
    """

    kind: EventKind
    message: str
    data: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]

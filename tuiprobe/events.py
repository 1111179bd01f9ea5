"""Events of a run: one JSON line each, read by narration, log and TUI."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["stage", "progress", "shard", "warning", "skipped", "interrupted", "failed", "done"]


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: `stage`: a part of the run began; `progress`: images were processed (never
            written to disk); `shard`: a shard was published; `warning`: something a reader
            should know; `skipped`: an image was left out; `interrupted`, `failed`, `done`: the
            end.
        message: One sentence for a person. May quote file names, so never treat it as markup.
        data: Figures and names behind the sentence.
        time: Seconds since the epoch.
    """

    kind: Kind
    message: str
    data: dict[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)

    def to_line(self) -> str:
        r"""Returns the event as one line of JSON, with control characters escaped.

        >>> Event("warning", "a\nb", time=0.0).to_line()
        '{"kind": "warning", "message": "a\\nb", "data": {}, "time": 0.0}\n'
        """
        return json.dumps(asdict(self)) + "\n"


Listener = Callable[[Event], None]

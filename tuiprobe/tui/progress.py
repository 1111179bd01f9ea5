"""Texts of the live screen: the line of progress, the stage, how a run ended."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from tuiprobe.catalog.presets import presets
from tuiprobe.plaintext import clock
from tuiprobe.tui.livewatch import Snapshot
from tuiprobe.tui.widgets.bars import bar

QUIET_SECONDS = 20.0
STAGES = {
    "load": "loading",
    "extract": "measuring",
    "merge": "merging",
    "head": "building the head",
    "probe": "probing",
}

UNTRAINED = "UNTRAINED"
DEMONSTRATION = "DEMONSTRATION: says nothing about real CLIPs"


def title_warning(about: Mapping[str, object], short: bool = False) -> str:
    """Returns what a title must say about a run before any figure; empty if nothing.

    Args:
        about: Model, data and checkpoint as in a spec, not trusted; `weights` is the kind of the
            weights, if that is known. If it is not, only a preset tells that no weights exist.
        short: Whether to leave out the explanations.

    >>> title_warning({"model": "mini_clip", "data": "miniature"})
    'DEMONSTRATION: says nothing about real CLIPs'
    >>> title_warning({"model": "rn50", "data": "a", "weights": "untrained"}), title_warning({})
    ('UNTRAINED', '')
    """
    model, data = str(about.get("model") or ""), str(about.get("data") or "")
    kind, preset = about.get("weights"), presets().get(model)
    without = preset is not None and not preset.public and not about.get("checkpoint")
    said = [UNTRAINED] if kind == "untrained" or (kind is None and without) else []
    if model.startswith("mini_") or data.partition(":")[0] == "miniature":
        said.append(DEMONSTRATION.partition(":")[0] if short else DEMONSTRATION)
    return " · ".join(said)


def progress_line(snapshot: Snapshot, width: int) -> str:
    """Returns set, images, a bar, rate and time left as one line.

    >>> one = Snapshot(set="val", done=50, total=100, rate=20.0, eta=2.5)
    >>> progress_line(one, 60).rstrip()
    'val 50 of 100 ━━━━━━━━━━────────── 50 % 20 img/s ETA 0:02'
    """
    through = snapshot.done + snapshot.skipped
    part = through / snapshot.total if snapshot.total else 0.0
    head = f"{snapshot.set} {through:,} of {snapshot.total:,} "
    skipped = f" {snapshot.skipped} skipped" if snapshot.skipped else ""
    eta = f" ETA {clock(snapshot.eta)}" if snapshot.eta is not None else ""
    tail = f" {100 * part:.0f} % {snapshot.rate:.0f} img/s{eta}{skipped}"
    room = min(max(width - len(head) - len(tail), 0), 20)
    full = len(bar(part, room).replace("▏", ""))
    return head + "━" * min(full, room) + "─" * (room - min(full, room)) + tail


def state_line(snapshot: Snapshot, name: str, elapsed: float | None, paused: bool) -> str:
    """Returns the state of the run, with a sign that does not depend on colour.

    Args:
        snapshot: The run.
        name: Name of the run.
        elapsed: Seconds since this screen started it; None if it did not.
        paused: Whether the view is held.
    """
    held = " · view paused, the run goes on" if paused else ""
    if snapshot.state == "gone":
        return f"✗ {name}: the run directory is gone; this view shows its last state"
    if snapshot.state == "unreadable":
        return f"✗ {name}: cannot read the live state: {snapshot.stage_message}{held}"
    if snapshot.state == "starting":
        since = f" ({clock(elapsed)})" if elapsed is not None else ""
        return f"○ {name}: starting: libraries load, the model is built{since}{held}"
    if snapshot.state == "ended":
        return f"{_END[snapshot.outcome]} {name}: {snapshot.outcome}{held}"
    doing = STAGES.get(snapshot.stage, snapshot.stage)
    quiet = ""
    if snapshot.stage == "extract" and snapshot.silence >= QUIET_SECONDS:
        quiet = f" · no sign of life for {clock(snapshot.silence)}"
    return f"● {name}: {doing}{quiet}{held}"


_END = {"done": "✓", "failed": "✗", "interrupted": "!"}


def ending(code: int, log: tuple[str, ...]) -> tuple[str, str]:
    """Returns how the engine ended: the cause in one sentence, and what to do.

    Args:
        code: Exit code; negative for a signal.
        log: What it said.
    """
    said = next((line for line in reversed(log) if line.startswith("error:")), "")
    said = said.removeprefix("error:").strip()
    if code == 0:
        return "the run is done", "enter shows the results"
    if code == 130:
        return "the run was stopped; measured images are kept", "r resumes it"
    if code < 0:
        name = _signal_name(-code)
        memory = ": memory may have run out" if name == "SIGKILL" else ""
        return f"the engine was killed by {name}{memory}", "r resumes from the last shard"
    if said:
        return said, "l shows the log, r tries again"
    last = next((line for line in reversed(log) if line.strip()), "")
    why = f": {last.strip()}" if last else ""
    return f"the engine ended with code {code}{why}", "l shows the log, r tries again"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

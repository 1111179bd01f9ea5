"""Texts of the live screen: its title with the progress, its ranks, how a run ended."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tuiprobe.catalog.presets import presets
from tuiprobe.plaintext import clock
from tuiprobe.run import locks
from tuiprobe.run.state import RunState
from tuiprobe.tui.livewatch import Snapshot
from tuiprobe.tui.text import fitted

if TYPE_CHECKING:
    from tuiprobe.run.ranks import RankView

STAGES = {
    "load": "loading",
    "compare": "comparing contents",
    "concepts": "reading concepts",
    "ablation": "measuring means",
    "preflight": "checking",
    "extract": "measuring",
    "merge": "merging",
    "head": "building the head",
    "probe": "probing",
    "measured": "measured",
}

UNTRAINED = "UNTRAINED"
DEMONSTRATION = "DEMONSTRATION"
_EXPLAINED = f"{DEMONSTRATION}: says nothing about real CLIPs"
LEAST_LINE = 6
"""Cells below which a line of progress cannot be read."""


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
    warnings = [UNTRAINED] if kind == "untrained" or (kind is None and without) else []
    if model.startswith("mini_") or data.partition(":")[0] == "miniature":
        warnings.append(DEMONSTRATION if short else _EXPLAINED)
    return " · ".join(warnings)


def title(name: str, state: RunState, snapshot: Snapshot, elapsed: float | None, width: int) -> str:
    """Returns the line about a run that goes on or is about to, as long as `width` at most.

    Args:
        name: Name of the run; cut where there is no room.
        state: `waiting` or `running`.
        snapshot: What the run says.
        elapsed: Seconds since this screen started it; None if it did not.
        width: Columns.

    >>> shot = Snapshot("running", "extract", done=50, total=100, rate=20.0, eta=2.5)
    >>> title("mini_clip", RunState("running"), shot, None, 60)
    '● mini_clip ━━━━━━━━━━────────── 50 %  20 img/s  0:02 left'
    >>> title("a_long_name_of_a_run", RunState("running"), shot, None, 44)
    '● a_long_name_of_… 50 %  20 img/s  0:02 left'
    """
    if snapshot.state == "unreadable":
        return f"✗ {name}: cannot read the live state: {snapshot.stage_message}"
    if state.kind == "waiting" or snapshot.state == "starting":
        since = f" ({clock(elapsed)})" if elapsed is not None else ""
        return f"○ {name}: starting: libraries load, the model is built{since}"
    doing = STAGES.get(snapshot.stage, snapshot.stage)
    if snapshot.stage == "extract" and snapshot.silence >= locks.QUIET_SECONDS:
        quiet = f"no sign of life for {clock(snapshot.silence)}"
        return f"{sign(state)} {name}: {doing} · {quiet}{state.waiting}"
    counting = snapshot.stage in ("extract", "head") and snapshot.total
    if snapshot.stopping or not counting:
        stopping = "stopping: " if snapshot.stopping else ""
        return f"{sign(state)} {name}: {stopping}{doing}{state.waiting}"
    part = snapshot.done / snapshot.total
    tail = f" {int(100 * part)} %"
    if snapshot.unit == "classes":
        tail = f" building the head: {snapshot.done:,} of {snapshot.total:,} classes"
    unit = "img" if snapshot.unit == "images" else snapshot.unit
    tail += f"  {snapshot.rate:.0f} {unit}/s" if snapshot.rate else ""
    tail += f"  {clock(snapshot.eta)} left" if snapshot.eta is not None else ""
    tail += f"  {snapshot.skipped} skipped" if snapshot.skipped else ""
    tail += state.waiting
    room = width - len(tail) - 2
    line = min(room - len(name) - 1, 20)
    if line >= LEAST_LINE:
        return f"{sign(state)} {name} {part_line(part, line)}{tail}"
    return f"{sign(state)} {fitted(name, min(max(room, 8), len(name)))}{tail}"


def ranks_line(ranks: Sequence[RankView], width: int) -> str:
    """Returns in one line how many ranks are in each phase, and which of them are gone.

    A rank is gone that ended without a last word, or that shows no sign of life.

    Args:
        ranks: The ranks of the run; none gives an empty line.
        width: Columns.
    """
    if not ranks:
        return ""
    gone = [rank for rank in ranks if not rank.may_run and not rank.status.ended]
    phases = [rank.status.phase for rank in ranks if rank not in gone]
    counts = Counter(STAGES.get(phase, phase) for phase in phases)
    parts = [f"{count} {words}" for words, count in counts.items()]
    for rank in gone:
        silent = f"no sign of life for {clock(rank.silence)}"
        since = "ended" if rank.status.here else silent
        parts.append(f"✗ {rank.number} {since} on {rank.status.host}")
    line = f"{len(ranks)} ranks: {' · '.join(parts)}"
    return line if len(line) <= width else f"{line[: width - 1]}…"


def part_line(part: float, room: int) -> str:
    """Returns how much of a whole is done as a line of `room` cells.

    >>> part_line(0.5, 6)
    '━━━───'
    """
    full = round(part * room)
    return "━" * full + "─" * (room - full)


def sign(state: RunState) -> str:
    """Returns the sign of a state; it does not depend on colour.

    >>> [sign(RunState(kind)) for kind in ("running", "done", "partial", "failed", "waiting")]
    ['●', '✓', '◐', '✗', '○']
    """
    if state.kind in ("waiting", "unfinished") and not state.measured:
        return "○"
    signs = {"waiting": "○", "running": "●", "done": "✓", "partial": "◐", "unfinished": "◐"}
    return signs.get(state.kind, "✗")


def advice(state: RunState, cause: str = "") -> str:
    """Returns the state in words, with what to do about it.

    Args:
        state: The state of a run that does not go on.
        cause: Why its engine ended, if that is known.

    >>> advice(RunState("partial", measured=62, planned=100, results=True))
    'stopped at 62 % · r resumes · Enter shows the results so far'
    """
    words = f"{state.words}: {cause}" if cause and state.kind != "failed" else state.words
    steps = {
        "done": ["Enter shows the results"],
        "failed": ["r tries again"],
        "damaged": ["tuiprobe verify tells what is damaged"],
    }.get(state.kind, ["r resumes"] if state.resumable else [])
    if state.results and state.resumable:
        steps.append("Enter shows the results so far")
    return " · ".join([words, *steps])


def cause_of_end(code: int | None, killed: bool, log: Sequence[str]) -> str:
    """Returns why an engine ended, where its directory cannot tell; empty if it can.

    Args:
        code: Exit code; negative for a signal, None if it is unknown.
        killed: Whether the user asked to kill it.
        log: Its output.

    >>> cause_of_end(-9, True, ()), cause_of_end(-9, False, ())
    ('killed on request', 'killed by SIGKILL, so memory may have run out')
    """
    if code is None or code in (0, 130):
        return ""
    if code < 0:
        if killed:
            return "killed on request"
        named = -code in {*signal.Signals}
        name = signal.Signals(-code).name if named else f"signal {-code}"
        memory = ", so memory may have run out" if name == "SIGKILL" else ""
        return f"killed by {name}{memory}"
    last = next((line for line in reversed(log) if line.strip()), "")
    return f"the engine ended with code {code}{f': {last.strip()}' if last else ''}"

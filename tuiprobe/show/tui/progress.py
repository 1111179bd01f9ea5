"""Texts of the live screen: its title with the progress, its ranks, how a run ended."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.catalog.published_models import presets
from tuiprobe.measure.run import locks
from tuiprobe.measure.run.view import RankView, RunView
from tuiprobe.numbers import percent_done
from tuiprobe.plaintext import clock
from tuiprobe.show.tui.text import fitted

STAGES = {
    "load": "loading",
    "compare": "comparing contents",
    "concepts": "reading concepts",
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
MIN_LINE = 6
"""Cells below which a line of progress cannot be read."""


def title_warning(about: Mapping[str, object], short: bool = False) -> str:
    """Returns the warnings that a title has before any figure, such as UNTRAINED.

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


def beyond_title(texts: Iterable[str]) -> list[str]:
    """Leaves out what a title says: that figures are of the demonstration.

    >>> beyond_title(["rendered miniature world: a demonstration", "3 of 9 could not be read"])
    ['3 of 9 could not be read']
    """
    return [text for text in texts if "demonstration" not in {term.id for term in mentioned(text)}]


def title(name: str, view: RunView, elapsed: float | None, width: int) -> str:
    """Returns the line about a run that goes on or is about to, as long as `width` at most.

    Args:
        name: Name of the run; cut where there is no room.
        view: The run: `waiting` or `running`.
        elapsed: Seconds since it began; None if that is not known.
        width: Columns.
    """
    if view.unreadable:
        return f"✗ {name}: cannot read the live state: {view.unreadable}"
    status = view.furthest
    name = name if elapsed is None else f"{clock(elapsed)} {name}"
    if view.state == "waiting" or status is None:
        return f"○ {name}: starting: libraries load, the model is built"
    doing, measuring = STAGES.get(status.phase, status.phase), status.phase == "extract"
    if measuring and view.silence >= locks.QUIET_SECONDS:
        quiet = f"no sign of life for {clock(view.silence)}"
        return f"{sign(view)} {name}: {doing} · {quiet}{view.waiting}"
    done, total, rate, eta = view.progress
    building = status.phase in ("head", "probe") and bool(status.to_build)
    if view.stopping or not total or not (measuring or building):
        stopping = "stopping: " if view.stopping else ""
        return f"{sign(view)} {name}: {stopping}{doing}{view.waiting}"
    tail = f" {percent_done(done / total)}"
    if building:
        unit = "probes" if status.phase == "probe" else "classes"
        tail = f" {doing}: {done:,} of {total:,} {unit}"
    tail += f"  {rate:.0f} {'classes' if building else 'img'}/s" if rate else ""
    tail += f"  {clock(eta)} left" if eta is not None else ""
    tail += f"  {view.skipped} skipped" if view.skipped else ""
    tail += view.waiting
    room = width - len(tail) - 2
    line = min(room - len(name) - 1, 20)
    if line >= MIN_LINE:
        return f"{sign(view)} {name} {progress_bar(done / total, line)}{tail}"
    return f"{sign(view)} {fitted(name, min(max(room, 8), len(name)))}{tail}"


def ranks_line(ranks: Sequence[RankView], width: int) -> str:
    """Returns in one line how many ranks are in each phase, and which of them are gone.

    A rank is gone that ended without a last word, or that shows no sign of life.

    Args:
        ranks: The ranks of the run; the line of a run with one rank is empty.
        width: Columns.
    """
    if all(rank.status.world == 1 for rank in ranks):
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


def progress_bar(part: float, room: int) -> str:
    """Returns how much of a whole is done as a line of `room` cells.

    >>> progress_bar(0.5, 6)
    '━━━───'
    """
    full = round(part * room)
    return "━" * full + "─" * (room - full)


def sign(view: RunView) -> str:
    """Returns the sign of a state; it does not depend on colour.

    >>> [sign(RunView(state)) for state in ("running", "done", "partial", "failed", "waiting")]
    ['●', '✓', '◐', '✗', '○']
    """
    if view.state in ("waiting", "unfinished") and not view.measured:
        return "○"
    signs = {"waiting": "○", "running": "●", "done": "✓", "partial": "◐", "unfinished": "◐"}
    return signs.get(view.state, "✗")


def advice(view: RunView, cause: str = "") -> str:
    """Returns the state in words, with what to do about it.

    Args:
        view: A run that does not go on.
        cause: Why its engine ended, if that is known.

    >>> advice(RunView("partial", measured=62, planned=100, results=True))
    'stopped at 62 % · r resumes · Enter shows the results so far'
    """
    words = f"{view.words}: {cause}" if cause and view.state != "failed" else view.words
    steps = {
        "done": ["Enter shows the results"],
        "failed": ["r tries again"],
        "damaged": ["tuiprobe verify tells what is damaged"],
    }.get(view.state, ["r resumes"] if view.resumable else [])
    if view.results and view.resumable:
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

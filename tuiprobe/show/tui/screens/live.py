"""Live: a run as it goes on, here or on another machine, and the keys that act on its engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView, logged_errors
from tuiprobe.plaintext import plain
from tuiprobe.request import shown_command
from tuiprobe.show.tui import progress
from tuiprobe.show.tui.child import Engine
from tuiprobe.show.tui.keys import KEYS
from tuiprobe.show.tui.livewatch import WatchThread, finished_group, runs_of
from tuiprobe.show.tui.screens.base import ProbeScreen
from tuiprobe.show.tui.text import FigureText, fitted, inert, inert_lines
from tuiprobe.show.tui.widgets.forest import Forest, model_row
from tuiprobe.show.tui.widgets.live_panels import LivePanels
from tuiprobe.show.tui.worker import READER, read_report

if TYPE_CHECKING:
    from tuiprobe.measure.run.status import LiveTap
    from tuiprobe.show.tui.tabs.tab import RunResults

FRAME_SECONDS = 0.2

ROOMY = 30
"""Lines of a window from which on a warning may take six of them, and below two."""

SetAndTap = tuple[str, str]
"""Names of a set and of a tap."""


class LiveScreen(ProbeScreen):
    """The run goes on in a process of its own: leaving this screen does not stop it.

    Args:
        run: The run directory, or a group's, which holds one directory a model.
        engine: The process, if this program started it.
        view: How the run stands, if that was already read; it is shown at once.
    """

    AUTO_FOCUS = "ChannelBars"
    IMPORTANT = ("results", "cancel", "detach", "resume", "log")
    BINDINGS: ClassVar[list[BindingType]] = KEYS["live"]

    def __init__(
        self, run: Path, engine: Engine | None = None, view: RunView | None = None
    ) -> None:
        super().__init__()
        self.root, self.engine, self.reading = run, engine, view is None
        self._started = time.monotonic() if engine is not None else None
        self._ended: Engine | None = None  # whose end was shown
        self._members = [run]
        self._member = 0
        self._watch = self._new_watch(view)
        self._place: SetAndTap | None = None
        self._chosen_set: str | None = None
        self._chosen_tap = "embedding"
        self._shown: RunView | None = None
        self._taps: dict[SetAndTap, LiveTap] = {}
        self._timer: Timer | None = None
        self._messages: tuple[object, ...] = ()
        self._other_states: tuple[object, ...] = ()  # what was shown of the other models
        self._answer_asked = False

    def _new_watch(self, first: RunView | None = None) -> WatchThread:
        log = RunDir(self.root).log_file
        watch = WatchThread(self.shown_run, log, self.app.has_running_engine, first)
        watch.other_runs = self._other_runs
        return watch

    @property
    def _other_runs(self) -> tuple[Path, ...]:
        """The runs of the other models of a group."""
        return tuple(run for run in self._members if run != self.shown_run)

    @property
    def shown_run(self) -> Path:
        """The run directory that is shown."""
        return self._members[self._member]

    @property
    def view(self) -> RunView | None:
        """How the run stands; None before it is known."""
        return self._watch.latest

    @property
    def going(self) -> bool:
        """Whether the run goes on, as far as it is known."""
        return self.view is None or self.view.going

    def compose_body(self) -> ComposeResult:
        """Lays out the panels, the last warning and the log."""
        yield Static("", id="ranks", markup=False)
        yield LivePanels(id="body")
        yield Static("", id="warning", markup=False)
        with VerticalScroll(id="log", classes="panel"):
            yield Static("", id="log-lines", markup=False)

    def on_mount(self) -> None:
        """Starts to watch the run."""
        log = self.query_one("#log")
        log.border_title, log.display = "log", False
        self._find_engine()
        self._timer = self.set_interval(FRAME_SECONDS, self._tick)
        self._tick()

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the panels and of the title."""
        return (
            "estimate", "top-1", "interval", "set", "shift", "kurtosis", "image-ends",
            "tap", "untrained", "demonstration",
        )  # fmt: skip

    def on_unmount(self) -> None:
        """Stops watching; the run goes on."""
        self._watch.stop()

    def _find_engine(self) -> None:
        """Finds the engine of the run that is shown, if this program has one."""
        if self.engine is not None:
            self.app.add(self.engine)
        else:
            self.engine = self.app.engine(self.shown_run)

    def _find_members(self) -> None:
        """Finds the runs of a group, whose models begin one after the other."""
        if RunDir(self.root).key_file.exists():
            return
        runs = runs_of(self.root)
        if runs == [self.root] or runs == self._members:
            return
        shown, self._members, self._member = self.shown_run, runs, 0
        if shown in runs:
            self._member = runs.index(shown)
            self._watch.other_runs = self._other_runs
        else:
            self._watch_member()

    # The view.

    def on_resize(self) -> None:
        """Draws title and messages for the new width at once."""
        self._messages = ()
        self._tick()

    def _tick(self) -> None:
        self._find_members()
        view, log = self._watch.latest, self._watch.log
        self._show_title(view)
        if view is None:
            return
        self.finish_reading()
        self._announce_end(view)
        if self._answer_asked and view.going:  # a later attempt
            self._hide_answer()
        others = [self._watch.other_views.get(run) for run in self._other_runs]
        ended = view.final and all(other is not None and not other.going for other in others)
        if ended and not self._answer_asked:
            self._answer_asked = True
            load = partial(self._read_answer, self.app.has_running_engine)
            self.app.read(self, load, self._show_answer)
        end = self._full_end(view)
        ranks = progress.ranks_line(view.ranks, self.size.width - 2) if view.going else ""
        messages = (log, view.messages, ranks, end, view.state)
        changed = messages[-2:] != self._messages[-2:]
        if messages != self._messages:
            self._messages = messages
            self._show_messages(view, ranks)
        before, self._shown = self._shown, view
        states = self._other_states
        self._other_states = tuple((o.state, o.beat) for o in self._watch.other_views.values())
        # The last events follow the last heartbeat.
        changed = changed or states != self._other_states
        if changed or before is None or (view.beat, view.damage) != (before.beat, before.damage):
            self._taps = view.taps
            self._show_figures()

    # The answer, in place of the live figures.

    def _read_answer(self, has_engine: Callable[[Path], bool]) -> tuple[RunResults, Content | None]:
        """Reads the card of the run, and of a group that has all results which model to take.

        It runs in a thread, where a screen that was left has no app.
        """
        from tuiprobe.show.tui.tabs.tab import RunResults

        run, decision = RunDir(self.shown_run), None
        if finished_group(self.root, has_engine):
            from tuiprobe.show.tui.compared import read_decision
            from tuiprobe.show.tui.screens.compare import decision_text

            taken = READER.call(read_decision, self._members)
            decision = decision_text(taken, "press Enter, then b")
        return RunResults(run, read_report(run, results=())), decision

    async def _show_answer(self, answer: tuple[RunResults, Content | None] | TuiprobeError) -> None:
        view = self._watch.latest
        if isinstance(answer, TuiprobeError) or view is None or view.going:
            return
        from tuiprobe.show.tui.tabs.overview import OverviewTab

        results, decision = answer
        panels: list[Widget] = [OverviewTab(results)]
        if decision is not None:
            panel = FigureText(decision, classes="panel")
            panel.border_title = "Which one?"
            panels.insert(0, panel)
        self.query_one("#body").display = False
        self.set_focus(None)  # so that Enter shows the results
        await self.mount(Vertical(*panels, id="answer"), after="#body")

    def _hide_answer(self) -> None:
        self._answer_asked = False
        self.query("#answer").remove()
        self.query_one("#body").display = True
        self.query_one("ChannelBars").focus()

    def on_block_view_opened(self) -> None:
        """Goes to the results from a block of the card, too."""
        self.action_results()

    def _end(self, view: RunView) -> str:
        """Returns how a run ended, with what to do; empty while it goes on."""
        if view.going:
            return ""
        engine, cause = self.engine, ""
        if engine is not None and view.state != "done":  # else of another model of its group
            cause = progress.cause_of_end(engine.exit_code(), engine.killed, self._watch.log)
        return progress.advice(view, cause)

    def _full_end(self, view: RunView) -> str:
        """Returns the reason why a run does not go on, where the title may cut it; else nothing."""
        end = "" if view.state == "done" or view.vanished else self._end(view)
        return f"{progress.sign(view)} {end}" if end else ""

    def _announce_end(self, view: RunView) -> None:
        """Says once how the engine ended, where another screen is in front of this one."""
        engine, end = self.engine, self._end(view)
        if engine is None or engine is self._ended or engine.exit_code() is None or not end:
            return
        self._ended = engine
        self.refresh_bindings()
        if self.is_current:
            return
        if view.state in ("done", "partial", "unfinished"):
            self.notify(end, timeout=6, markup=False)
        else:
            self.notify(end, severity="error", timeout=12, markup=False)

    def _state_text(self, view: RunView, width: int) -> str:
        """Returns the line that says how the run stands, with its sign."""
        name = view.about.get("model") or self.shown_run.name
        if view.vanished:
            return f"✗ {name}: the run directory is gone; this view shows its last state"
        if view.state == "done":
            return f"{progress.sign(view)} {name}: {self._end(view)}"
        if not view.going:  # the reason and what to do stand below in full
            words = view.words if view.state in ("partial", "unfinished") else view.word
            return f"{progress.sign(view)} {name}: {words}"
        status, elapsed = view.furthest, None
        if self._started is not None:
            elapsed = time.monotonic() - self._started
        elif status is not None and status.here and status.begun:
            elapsed = max(time.time() - status.begun, 0.0)
        count = len(self._members)
        if count > 1:
            name = f"{name}, {self._member + 1} of {count} models"
        return progress.title(name, view, elapsed, width)

    def _show_title(self, view: RunView | None) -> None:
        """Shows the state in the room that a short warning leaves."""
        view = view or RunView("waiting")
        warning = progress.title_warning(view.about, short=True)
        room = self.title_line.content_size.width - (len(warning) + 2 if warning else 0)
        self.title_line.show(self._state_text(view, max(room, 40)), [view.about])

    def _show_messages(self, view: RunView, ranks: str) -> None:
        """Shows log, ranks, the last warning, and in full how a run ended."""
        log = self.query_one("#log")
        if log.display:
            events = [f"{message.kind}: {message.message}" for message in view.messages]
            lines = self._watch.log or events or ["No log output yet."]
            at_end = log.is_vertical_scroll_end
            self.query_one("#log-lines", Static).update(inert_lines(lines))
            if at_end:
                log.scroll_end(animate=False)
        line = self.query_one("#ranks", Static)
        line.update(inert(ranks))
        line.display = bool(ranks)
        warnings = [m.message for m in view.messages if m.kind in ("warning", "failed")]
        if self.shown_run != self.root:  # a model of a group that cannot run has no directory
            warnings += logged_errors(self._watch.log)
        warnings = progress.beyond_title(warnings)
        more = f"  (and {len(warnings) - 1} more: l)" if len(warnings) > 1 else ""
        warning = f"! {warnings[-1]}" if warnings else ""
        end = self._full_end(view)
        room = (self.size.width - 2) * (2 if self.size.height < ROOMY else 6)
        text = end or fitted(plain(warning), room - len(more)).rstrip() + more
        panel = self.query_one("#warning", Static)
        panel.update(inert(text))
        panel.display = bool(end or warning)

    def _show_figures(self) -> None:
        view = self._shown
        if view is None:
            return
        sets = [name for name in view.sets if self._taps_of(name)]
        sets = sets or [name for name, _ in self._taps]
        self._place = None
        if sets:
            name = self._chosen_set if self._chosen_set in sets else sets[0]
            taps = self._taps_of(name)
            self._place = name, self._chosen_tap if self._chosen_tap in taps else taps[-1]
        taps = self._taps_of(self._place[0]) if self._place else []
        others = self._watch.other_views
        views = [view if run == self.shown_run else others.get(run) for run in self._members]
        models = [
            model_row(one, self.app.mark(run))
            for run, one in zip(self._members, views, strict=True)
            if one is not None and len(self._members) > 1
        ]
        self.query_one(LivePanels).show(view, self._taps, self._place, taps, models)
        self.refresh_bindings()

    def _taps_of(self, set_name: str) -> list[str]:
        """Returns the taps of a set, the final representation last, as in the network."""
        taps = [tap for name, tap in self._taps if name == set_name]
        return sorted(taps, key=lambda tap: tap == "embedding")

    # Actions of the keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something in this state of the run."""
        view = self.view
        views = (view, *self._watch.other_views.values())
        stopped = any(one is not None and one.resumable for one in views)
        return {
            "cancel": self.going,
            "kill": self.engine is not None and self.engine.exit_code() is None,
            "resume": view is not None and (view.stopping or (not self.going and stopped)),
            "results": view is not None and view.results and not view.going,
            "layer": self._place is not None and len(self._taps_of(self._place[0])) > 1,
            "set": len({name for name, _ in self._taps}) > 1,
            "next_model": len(self._members) > 1,
        }.get(action, True)

    def action_cancel(self) -> None:
        """Asks whether to stop the run, then stops it."""
        self.app.ask_to_cancel(self.shown_run)

    def action_kill(self) -> None:
        """Asks whether to kill the engine, then kills it."""
        if self.engine is not None:
            self.app.ask_to_kill(self.engine)

    def action_resume(self) -> None:
        """Starts the engine again with the same options; it resumes all models of a group."""
        self.app.resume(self.root, self._resumed)

    def _resumed(self, engine: Engine) -> None:
        """Follows the next engine, unless the screen was left meanwhile."""
        if self.alive:
            self.engine, self._started = engine, time.monotonic()
            self._watch_member()

    @on(Forest.Chosen)
    def _chosen(self) -> None:
        """Goes to the results from a line of the answers, too."""
        if self.check_action("results", ()):
            self.action_results()

    def action_results(self) -> None:
        """Goes to the results; of several models to which one to take, once all have results."""
        decided = finished_group(self.root, self.app.has_running_engine)
        self.app.switch_screen(self.app.screen_of(self.root if decided else self.shown_run))

    async def action_detach(self) -> None:
        """Leaves the screen; a run goes on."""
        if self.going and self.view is not None:
            self.app.notify(f"the run goes on: tuiprobe open {self.root}", timeout=6, markup=False)
        await self.app.run_action("back")

    def action_layer(self, by: int) -> None:
        """Selects another layer."""
        if self._place is None:
            return
        taps = self._taps_of(self._place[0])
        index = max(0, min(taps.index(self._place[1]) + by, len(taps) - 1))
        self._chosen_tap = taps[index]
        self._show_figures()

    def action_set(self) -> None:
        """Selects the next set of images."""
        sets = list(dict.fromkeys(place[0] for place in self._taps))
        if self._place is not None and sets:
            self._chosen_set = sets[(sets.index(self._place[0]) + 1) % len(sets)]
            self._show_figures()

    def action_next_model(self) -> None:
        """Shows the next model of the group."""
        if len(self._members) > 1:
            self._member = (self._member + 1) % len(self._members)
            self._watch_member()

    def _watch_member(self) -> None:
        self._watch.stop()
        self._hide_answer()
        self._place, self._shown, self._messages, self._taps = None, None, (), {}
        self._watch, self.reading = self._new_watch(), True  # keys wait for how this one stands
        self._find_engine()

    def action_log(self) -> None:
        """Shows or hides the log."""
        panel = self.query_one("#log")
        panel.display = not panel.display
        self._messages = ()
        self._tick()

    async def action_leave(self) -> None:
        """Closes the log, or else leaves. The run goes on."""
        if self.query_one("#log").display:
            self.action_log()
        else:
            await self.action_detach()

    def action_copy_command(self) -> None:
        """Copies the command that does the same, or opens this run."""
        words = self.engine.arguments if self.engine else ("open", str(self.root))
        self.app.copy(shown_command(words), "command")

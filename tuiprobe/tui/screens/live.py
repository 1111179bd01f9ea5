"""Live: a run as it goes on, here or on another machine, and the keys that act on its engine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.timer import Timer
from textual.widgets import Static

from tuiprobe.plaintext import plain
from tuiprobe.run.directory import RunDir
from tuiprobe.run.state import RunState
from tuiprobe.tui import progress
from tuiprobe.tui.child import Engine, shown_command
from tuiprobe.tui.livewatch import Snapshot, Watch, WatchThread, runs_of
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.text import fitted, inert, inert_lines
from tuiprobe.tui.widgets.live_panels import LivePanels

FRAME_SECONDS = 0.2

SetAndTap = tuple[str, str]
"""Names of a set and of a tap."""


class LiveScreen(ProbeScreen):
    """The run goes on in a process of its own: leaving this screen does not stop it.

    Args:
        run: The run directory, or a group's, which holds one directory a model.
        engine: The process, if this program started it.
    """

    AUTO_FOCUS = "ChannelBars"
    IMPORTANT = ("results", "cancel", "detach", "again", "log")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "cancel", "stop", tooltip="Stop the run; what it has is kept and reported"),
        Binding("d", "detach", "detach", tooltip="Leave this screen; the run goes on"),
        Binding("enter", "results", "results", tooltip="The results, once they are there"),
        Binding("r", "again", "resume", tooltip="Resume a stopped run, or try a failed one again"),
        Binding("l", "log", "log", tooltip="Show or hide the log"),
        Binding("left", "layer(-1)", "layer", key_display="←→", tooltip="Layer before"),
        Binding("right", "layer(1)", "layer", show=False, tooltip="Next layer"),
        Binding("t", "set", "next set", tooltip="Look at the next set of images"),
        Binding("n", "run_of_group", "next run", tooltip="Next model of the group"),
        Binding("X", "kill", "kill", show=False, tooltip="Kill the engine at once"),
        Binding("escape", "leave", "back", show=False, tooltip="Close the log, or leave"),
        Binding("c", "copy_command", "command", show=False, tooltip="Copy the command of this run"),
    ]

    def __init__(self, run: Path, engine: Engine | None = None) -> None:
        super().__init__()
        self.root, self.engine = run, engine
        self._started = time.monotonic() if engine is not None else None
        self._ended: Engine | None = None  # whose end was shown
        self._members = [run]
        self._member = 0
        self._watch = self._new_watch()
        self._place: SetAndTap | None = None
        self._chosen_set: str | None = None
        self._chosen_tap = "embedding"
        self._shown = Snapshot()
        self._timer: Timer | None = None
        self._messages: tuple[object, ...] = ()

    def _new_watch(self) -> WatchThread:
        log = RunDir(self.root).log_file
        return WatchThread(Watch(self.shown_run, log, alive=self.app.works_on))

    @property
    def shown_run(self) -> Path:
        """The run directory that is shown."""
        return self._members[self._member]

    @property
    def state(self) -> RunState | None:
        """The state of the run; None before it is known."""
        return self._watch.latest.run

    @property
    def going(self) -> bool:
        """Whether the run goes on, as far as it is known."""
        return self.state is None or self.state.kind in ("waiting", "running")

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
        before, self._members, self._member = self.shown_run, runs, 0
        if before in runs:
            self._member = runs.index(before)
        else:
            self._look_at_member()

    # The view.

    def on_resize(self) -> None:
        """Draws title and messages for the new width at once."""
        self._messages = ()
        self._tick()

    def _tick(self) -> None:
        self._find_members()
        snapshot = self._watch.latest
        self._announce_end(snapshot)
        self._show_title(snapshot)
        kind = None if self.state is None else self.state.kind
        end = self._whole_end(snapshot)
        messages = (snapshot.log, snapshot.messages, snapshot.ranks, end, kind)
        turned = messages[-2:] != self._messages[-2:]
        if messages != self._messages:
            self._messages = messages
            self._show_messages(snapshot)
        before, self._shown = self._shown, snapshot
        # The last events follow the last heartbeat.
        moved = any(
            getattr(snapshot, name) != getattr(before, name) for name in ("beat", "stage", "state")
        )
        if turned or moved or snapshot.taps is not before.taps:
            self._show_figures()

    def _end(self, snapshot: Snapshot) -> str:
        """Returns how a run ended, with what to do; empty while it goes on."""
        if self.state is None or self.going:
            return ""
        engine, cause = self.engine, ""
        if engine is not None:
            cause = progress.cause_of_end(engine.ended(), engine.killed, snapshot.log)
        return progress.advice(self.state, cause)

    def _whole_end(self, snapshot: Snapshot) -> str:
        """Returns the reason why a run does not go on, where the title may cut it; else nothing."""
        if self.state is None or self.state.kind == "done" or snapshot.state == "gone":
            return ""
        end = self._end(snapshot)
        return f"{progress.sign(self.state)} {end}" if end else ""

    def _announce_end(self, snapshot: Snapshot) -> None:
        """Shows once how the engine ended, as soon as its directory says so too."""
        engine, end = self.engine, self._end(snapshot)
        if engine is None or engine is self._ended or engine.ended() is None or not end:
            return
        self._ended = engine
        if self.state is not None and self.state.kind in ("done", "partial", "unfinished"):
            self.notify(end, timeout=6, markup=False)
        else:
            self.notify(end, severity="error", timeout=12, markup=False)
        self.refresh_bindings()

    def _state_text(self, snapshot: Snapshot, width: int) -> str:
        """Returns the line that says how the run stands, with its sign."""
        name = self.shown_run.name
        if snapshot.state == "gone":
            return f"✗ {name}: the run directory is gone; this view shows its last state"
        state = self.state or RunState("waiting" if snapshot.state == "starting" else "running")
        if not self.going:
            return f"{progress.sign(state)} {name}: {self._end(snapshot)}"
        elapsed = None if self._started is None else time.monotonic() - self._started
        return progress.title(snapshot.about.get("model") or name, state, snapshot, elapsed, width)

    def _show_title(self, snapshot: Snapshot) -> None:
        """Shows the state in the room that a short warning leaves."""
        warning = progress.title_warning(snapshot.about, short=True)
        room = self.title_line.content_size.width - (len(warning) + 2 if warning else 0)
        self.title_line.show(self._state_text(snapshot, max(room, 40)), [snapshot.about])

    def _show_messages(self, snapshot: Snapshot) -> None:
        """Shows log, ranks, the last warning, and in full how a run ended."""
        width = self.size.width - 2
        log = self.query_one("#log")
        if log.display:
            events = [f"{message.kind}: {message.message}" for message in snapshot.messages]
            lines = snapshot.log or events or ["No log output yet."]
            at_end = log.is_vertical_scroll_end
            self.query_one("#log-lines", Static).update(inert_lines(lines))
            if at_end:
                log.scroll_end(animate=False)
        ranks = progress.ranks_line(snapshot.ranks, width) if self.going else ""
        line = self.query_one("#ranks", Static)
        line.update(inert(ranks))
        line.display = bool(ranks)
        warnings = [m.message for m in snapshot.messages if m.kind in ("warning", "failed")]
        more = f"  (and {len(warnings) - 1} more: l)" if len(warnings) > 1 else ""
        warning = f"! {warnings[-1]}" if warnings else ""
        end = self._whole_end(snapshot)
        text = end or fitted(plain(warning), width - len(more)) + more
        panel = self.query_one("#warning", Static)
        panel.update(inert(text))
        panel.set_class(bool(end), "-whole")
        panel.display = bool(end or warning)

    def _show_figures(self) -> None:
        snapshot = self._shown
        sets = [name for name in snapshot.sets if self._taps(name)]
        sets = sets or [name for name, _ in snapshot.taps]
        self._place = None
        if sets:
            name = self._chosen_set if self._chosen_set in sets else sets[0]
            taps = self._taps(name)
            self._place = name, self._chosen_tap if self._chosen_tap in taps else taps[-1]
        taps = self._taps(self._place[0]) if self._place else []
        directory = RunDir(self.shown_run)
        self.query_one(LivePanels).show(snapshot, directory, self._place, taps, self.going)
        self.refresh_bindings()

    def _taps(self, set_name: str) -> list[str]:
        """Returns the taps of a set, the final representation last, as in the network."""
        taps = [tap for name, tap in self._shown.taps if name == set_name]
        return sorted(taps, key=lambda tap: tap == "embedding")

    # Actions of the keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something in this state of the run."""
        state = self.state
        return {
            "cancel": self.going,
            "kill": self.engine is not None and self.engine.ended() is None,
            "again": state is not None and state.resumable,
            "results": state is not None and state.results and not self.going,
            "layer": self._place is not None and len(self._taps(self._place[0])) > 1,
            "set": len({name for name, _ in self._shown.taps}) > 1,
            "run_of_group": len(self._members) > 1,
        }.get(action, True)

    def action_cancel(self) -> None:
        """Asks whether to stop the run, then stops it."""
        self.app.ask_to_cancel(self.shown_run)

    def action_kill(self) -> None:
        """Asks whether to kill the engine, then kills it."""
        if self.engine is not None:
            self.app.ask_to_kill(self.engine)

    def action_again(self) -> None:
        """Starts the engine again with the same options; it resumes."""
        group = self.engine is not None and self.engine.run.absolute() == self.root.absolute()
        engine = self.app.resume(self.root if group else self.shown_run)
        if engine is not None:
            self.engine, self._started = engine, time.monotonic()
            self._look_at_member()

    def action_results(self) -> None:
        """Goes to the results."""
        self.app.switch_screen(self.app.screen_of(self.shown_run))

    async def action_detach(self) -> None:
        """Leaves the screen; a run goes on."""
        if self.going and self.state is not None:
            self.app.notify(f"the run goes on: tuiprobe open {self.root}", timeout=6, markup=False)
        await self.app.run_action("back")

    def action_layer(self, by: int) -> None:
        """Selects another layer."""
        if self._place is None:
            return
        taps = self._taps(self._place[0])
        index = max(0, min(taps.index(self._place[1]) + by, len(taps) - 1))
        self._chosen_tap = taps[index]
        self._show_figures()

    def action_set(self) -> None:
        """Selects the next set of images."""
        sets = list(dict.fromkeys(place[0] for place in self._shown.taps))
        if self._place is not None and sets:
            self._chosen_set = sets[(sets.index(self._place[0]) + 1) % len(sets)]
            self._show_figures()

    def action_run_of_group(self) -> None:
        """Shows the next model of the group."""
        if len(self._members) > 1:
            self._member = (self._member + 1) % len(self._members)
            self._look_at_member()

    def _look_at_member(self) -> None:
        self._watch.stop()
        self._place, self._shown, self._messages = None, Snapshot(), ()
        self._watch = self._new_watch()
        self._find_engine()

    def action_log(self) -> None:
        """Shows or hides the log."""
        panel = self.query_one("#log")
        panel.display = not panel.display
        if panel.display:
            self._show_messages(self._watch.latest)

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

"""Live: a run as it goes on, here or on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Static

from tuiprobe.plaintext import plain
from tuiprobe.run.directory import RunDir
from tuiprobe.tui import progress
from tuiprobe.tui.child import Engine, shown_command
from tuiprobe.tui.livewatch import Snapshot, runs_of
from tuiprobe.tui.screens.running import RunningScreen
from tuiprobe.tui.text import fitted, inert, inert_lines
from tuiprobe.tui.widgets.bars import ChannelBars
from tuiprobe.tui.widgets.layers import LayerStrip
from tuiprobe.tui.widgets.lines import Lines
from tuiprobe.tui.widgets.live_panels import LivePanels, PanelData

FRAME_SECONDS = 0.2

Place = tuple[str, str]
"""Set and tap."""


def _moved(before: Snapshot, now: Snapshot) -> bool:
    """Returns whether the panels have to change; the last events follow the last heartbeat."""
    return now.taps is not before.taps or any(
        getattr(now, name) != getattr(before, name) for name in ("beat", "stage", "state")
    )


class LiveScreen(RunningScreen):
    """The run goes on in a process of its own: pausing or leaving this screen does not stop it.

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
        Binding("space", "pause", "pause", tooltip="Hold the view; the run goes on"),
        Binding("l", "log", "log", tooltip="Show or hide the log"),
        Binding("left", "layer(-1)", "layer", key_display="←→", tooltip="Layer before"),
        Binding("right", "layer(1)", "layer", show=False, tooltip="Next layer"),
        Binding("t", "set", "next set", tooltip="Look at the next set of images"),
        Binding("n", "run_of_group", "next run", tooltip="Next model of the group"),
        Binding("X", "kill", "kill", show=False, tooltip="Kill the engine at once"),
        Binding("escape", "leave", "back", show=False, tooltip="Close the log, or leave"),
        Binding("y", "copy", "copy", show=False, tooltip="Copy the channel under the cursor"),
        Binding("c", "copy_command", "command", show=False, tooltip="Copy the command of this run"),
    ]
    DEFAULT_CSS = """
    LiveScreen #ranks { height: 1; padding: 0 1; display: none; }
    LiveScreen #warning { height: 1; padding: 0 1; color: $warning; display: none; }
    LiveScreen #warning.-whole { height: auto; max-height: 6; }
    LiveScreen #log { height: 10; }
    LiveScreen.-low #log { height: 7; }
    """

    def __init__(self, run: Path, engine: Engine | None = None) -> None:
        self._members = [run]
        self._member = 0
        super().__init__(run, engine)
        self._paused = False
        self._place: Place | None = None
        self._chosen_set: str | None = None
        self._chosen_tap = "embedding"
        self._shown = Snapshot()
        self._timer: Timer | None = None
        self._choices: tuple[bool | None, ...] = ()
        self._messages: tuple[object, ...] = ()

    @property
    def run_path(self) -> Path:
        """The run directory that is shown."""
        return self._members[self._member]

    @property
    def shown_run(self) -> Path:
        """The run directory that is shown."""
        return self.run_path

    def compose_body(self) -> ComposeResult:
        """Lays out the panels, the last warning and the log."""
        yield Static("", id="ranks", markup=False)
        yield LivePanels(id="body")
        yield Static("", id="warning", markup=False)
        with Vertical(id="log", classes="panel"):
            yield Lines()

    def on_mount(self) -> None:
        """Starts to watch the run."""
        self.query_one("#log").border_title = "log"
        self.query_one("#log").display = False
        self.find_engine()
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

    # The view.

    def on_resize(self) -> None:
        """Draws title and messages for the new width at once."""
        self._messages = ()
        self._tick()

    def _tick(self) -> None:
        self._find_members()
        snapshot = self._watch.latest
        self.note_end(snapshot)
        self._show_title(snapshot)
        if self._paused:
            return
        kind = None if self.state is None else self.state.kind
        messages = (snapshot.log, snapshot.messages, snapshot.ranks, self.end_text(snapshot), kind)
        turned = messages[-2:] != self._messages[-2:]
        if messages != self._messages:
            self._messages = messages
            self._show_messages(snapshot)
        before, self._shown = self._shown, snapshot
        if turned or _moved(before, snapshot):
            self._show_figures()
        if turned:
            self.refresh_bindings()

    def _show_title(self, snapshot: Snapshot) -> None:
        """Shows the state, and at the right the longest form of a warning that fits.

        Where not even the shortest form fits, the warning has a line of its own.
        """
        width = self.size.width - 2
        held = " · view paused, the run goes on" if self._paused and self.going else ""
        forms = [progress.title_warning(snapshot.about, short) for short in (False, True)]
        room = width - len(held) - (len(forms[1]) + 2 if forms[1] else 0)
        state = self.state_text(snapshot, max(room, 40)) + held
        lines = [state]
        if forms[0]:
            form = next((f for f in forms if len(state) + len(f) + 2 <= width), "")
            whole = next((f for f in forms if len(f) <= width), forms[1])
            lines = [f"{fitted(state, width - len(form))}{form}"] if form else [
                fitted(state, width), whole.rjust(width)
            ]  # fmt: skip
        place = self.query_one("#place", Static)
        place.update(inert_lines(lines))
        place.styles.height = len(lines)

    def _show_messages(self, snapshot: Snapshot) -> None:
        """Shows log, ranks, the last warning, and in full how a run ended."""
        width = self.size.width - 2
        lines = [f"{message.kind}: {message.message}" for message in snapshot.messages]
        self.query_one(Lines).show(snapshot.log or lines)
        ranks = progress.ranks_line(snapshot.ranks, width) if self.going else ""
        line = self.query_one("#ranks", Static)
        line.update(inert(ranks))
        line.display = bool(ranks)
        warnings = [m.message for m in snapshot.messages if m.kind in ("warning", "failed")]
        more = f"  (and {len(warnings) - 1} more: l)" if len(warnings) > 1 else ""
        warning = f"! {warnings[-1]}" if warnings else ""
        end = self.end_text(snapshot)
        text = end or fitted(plain(warning), width - len(more)) + more
        panel = self.query_one("#warning", Static)
        panel.update(inert(text, "" if end else "dim"))
        panel.set_class(bool(end), "-whole")
        panel.display = bool(end or warning)

    def _find_members(self) -> None:
        """Finds the runs of a group, whose models begin one after the other."""
        if RunDir(self.root).key_file.exists():
            return
        found = runs_of(self.root)
        if found == [self.root] or found == self._members:
            return
        before, self._members = self.run_path, found
        if before in found:
            self._member = found.index(before)
        else:
            self._member = 0
            self._look_at_member()

    def _show_figures(self) -> None:
        snapshot = self._shown
        self._place = self._current_place(snapshot)
        taps = self._taps(snapshot, self._place[0]) if self._place else []
        directory = RunDir(self.run_path)
        self.query_one(LivePanels).show(
            PanelData(snapshot, directory, self._place, tuple(taps), self.going)
        )
        choices = tuple(self.check_action(name, ()) for name in ("layer", "set", "run_of_group"))
        if choices != self._choices:
            self._choices = choices
            self.refresh_bindings()

    def _current_place(self, snapshot: Snapshot) -> Place | None:
        sets = [name for name in snapshot.sets if self._taps(snapshot, name)]
        sets = sets or [place[0] for place in snapshot.taps]
        if not sets:
            return None
        wanted = self._chosen_set if self._chosen_set in sets else sets[0]
        taps = self._taps(snapshot, wanted)
        return wanted, self._chosen_tap if self._chosen_tap in taps else taps[-1]

    @staticmethod
    def _taps(snapshot: Snapshot, set_name: str) -> list[str]:
        """Returns the taps of a set, the final representation last, as in the network."""
        taps = [tap for name, tap in snapshot.taps if name == set_name]
        return sorted(taps, key=lambda tap: tap == "embedding")

    # Actions of the keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides the keys for which there is nothing to choose from."""
        if action == "layer":
            return self._place is not None and len(self._taps(self._shown, self._place[0])) > 1
        if action == "set":
            return len({place[0] for place in self._shown.taps}) > 1
        if action == "run_of_group":
            return len(self._members) > 1
        if action == "pause":
            return self.going or self._paused
        return super().check_action(action, parameters)

    def action_layer(self, by: int) -> None:
        """Selects another layer."""
        if self._place is None:
            return
        taps = self._taps(self._shown, self._place[0])
        index = max(0, min(taps.index(self._place[1]) + by, len(taps) - 1))
        self._chosen_tap = taps[index]
        self._show_figures()

    @on(LayerStrip.Clicked)
    def _layer_clicked(self, event: LayerStrip.Clicked) -> None:
        if self._place is not None:
            self._chosen_tap = self._taps(self._shown, self._place[0])[event.index]
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
        self.find_engine()

    def action_pause(self) -> None:
        """Pauses the view, or catches up with the run."""
        self._paused = not self._paused
        self._tick()

    def action_log(self) -> None:
        """Shows or hides the log."""
        panel = self.query_one("#log")
        panel.display = not panel.display
        if panel.display:
            self._show_messages(self._watch.latest)

    def resumed(self) -> None:
        """Shows the run from its beginning."""
        self._look_at_member()

    async def action_leave(self) -> None:
        """Closes the log, or else leaves. The run goes on."""
        if self.query_one("#log").display:
            self.action_log()
        else:
            await self.action_detach()

    def action_copy(self) -> None:
        """Copies channel, share and lead of the channel under the cursor."""
        channel = self.query_one(ChannelBars).channel
        tap = self._shown.taps.get(self._place) if self._place else None
        if channel is None or tap is None or self._place is None:
            return
        text = f"{self._place[0]}\t{self._place[1]}\t{channel}\t{tap.shares[channel]:.6g}"
        self.app.copy_to_clipboard(text)
        self.notify("channel copied", timeout=2)

    def action_copy_command(self) -> None:
        """Copies the command that does the same, or opens this run."""
        words = self.engine.arguments if self.engine else ("open", str(self.root))
        self.app.copy_to_clipboard(shown_command(words))
        self.notify("command copied", timeout=2)

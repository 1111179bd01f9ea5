"""The keys of the live screen that are about the engine: cancel, kill, resume, results, leave."""

from __future__ import annotations

import time
from pathlib import Path

from tuiprobe.run.directory import RunDir
from tuiprobe.run.state import RunState
from tuiprobe.tui import progress
from tuiprobe.tui.child import Engine
from tuiprobe.tui.livewatch import Snapshot, Watch, WatchThread
from tuiprobe.tui.screens.base import ProbeScreen


class RunningScreen(ProbeScreen):
    """A screen that shows a run and acts on its engine.

    Args:
        run: The run directory, or a group's, which holds one directory a model.
        engine: The process, if it was just started.
    """

    def __init__(self, run: Path, engine: Engine | None = None) -> None:
        super().__init__()
        self.root, self.engine = run, engine
        self._started = time.monotonic() if engine is not None else None
        self._noted: Engine | None = None
        self._watch = self._new_watch()

    def _new_watch(self) -> WatchThread:
        log = RunDir(self.root).log_file
        return WatchThread(Watch(self.run_path, log, alive=self.app.works_on))

    @property
    def run_path(self) -> Path:
        """The run directory that is shown."""
        return self.root

    @property
    def state(self) -> RunState | None:
        """The state of the run; None before it is known."""
        return self._watch.latest.run

    def find_engine(self) -> None:
        """Finds the engine of the run that is shown, if this program has one."""
        if self.engine is not None:
            self.app.add(self.engine)
        else:
            self.engine = self.app.engine(self.run_path)

    @property
    def going(self) -> bool:
        """Whether the run goes on, as far as it is known."""
        return self.state is None or self.state.kind in ("waiting", "running")

    def state_text(self, snapshot: Snapshot, width: int) -> str:
        """Returns the line that says how the run stands, with its sign."""
        name = self.run_path.name
        if snapshot.state == "gone":
            return f"✗ {name}: the run directory is gone; this view shows its last state"
        state = self.state or RunState("waiting" if snapshot.state == "starting" else "running")
        if self.going:
            since = None if self._started is None else time.monotonic() - self._started
            name = snapshot.about.get("model") or name
            return progress.title(name, state, snapshot, since, width)
        return f"{progress.sign(state)} {name}: {progress.advice(state, self._cause(snapshot))}"

    def _cause(self, snapshot: Snapshot) -> str:
        if self.engine is None:
            return ""
        return progress.cause_of_end(self.engine.ended(), self.engine.killed, snapshot.log)

    def end_text(self, snapshot: Snapshot) -> str:
        """Returns the whole reason why a run does not go on, with what to do; else nothing."""
        state = self.state
        if state is None or self.going or state.kind == "done" or snapshot.state == "gone":
            return ""
        return f"{progress.sign(state)} {progress.advice(state, self._cause(snapshot))}"

    def note_end(self, snapshot: Snapshot) -> None:
        """Shows once, in full, how the engine ended, as soon as its directory says so too."""
        engine, state = self.engine, self.state
        if engine is None or engine is self._noted or engine.ended() is None:
            return
        if state is None or self.going:
            return
        self._noted = engine
        message = progress.advice(state, self._cause(snapshot))
        if state.kind in ("done", "partial", "unfinished"):
            self.notify(message, timeout=6, markup=False)
        else:
            self.notify(message, severity="error", timeout=12, markup=False)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something in this state of the run."""
        state = self.state
        if action == "cancel":
            return self.going
        if action == "kill":
            return self.engine is not None and self.engine.ended() is None
        if action == "again":
            return state is not None and state.resumable
        if action == "results":
            return state is not None and state.results and not self.going
        return True

    def action_cancel(self) -> None:
        """Asks whether to stop the run, then stops it."""
        self.app.ask_to_cancel(self.run_path)

    def action_kill(self) -> None:
        """Asks whether to kill the engine, then kills it."""
        if self.engine is not None:
            self.app.ask_to_kill(self.engine)

    def action_again(self) -> None:
        """Starts the engine again with the same options; it resumes."""
        group = self.engine is not None and self.engine.run.absolute() == self.root.absolute()
        engine = self.app.resume(self.root if group else self.run_path)
        if engine is not None:
            self.engine, self._started = engine, time.monotonic()
            self.resumed()

    def resumed(self) -> None:
        """Begins to show the run anew."""
        raise NotImplementedError

    def action_results(self) -> None:
        """Goes to the results."""
        self.app.switch_screen(self.app.screen_of(self.run_path))

    async def action_detach(self) -> None:
        """Leaves the screen; a run goes on."""
        if self.going and self.state is not None:
            self.app.notify(f"the run goes on: tuiprobe open {self.root}", timeout=6, markup=False)
        await self.app.run_action("back")

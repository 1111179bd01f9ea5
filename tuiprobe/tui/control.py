"""What screens ask of the application: engines, other screens, the clipboard, errors."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any
from weakref import WeakSet

from textual import events, work
from textual.app import App
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input

from tuiprobe.errors import TuiprobeError
from tuiprobe.numbers import percent_done
from tuiprobe.plaintext import plain
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.child import Engine, resuming_arguments
from tuiprobe.tui.runmarks import RunMark, run_mark
from tuiprobe.tui.runsetup import SetupMemory
from tuiprobe.tui.settings import Settings

ReadJob = Callable[[], None]

_LONGEST_WORK = 5.0
"""Seconds after which a key counts as done, if the widget that worked on it was removed."""


@cache
def _reader() -> SimpleQueue[ReadJob]:
    """Returns the jobs of the one thread that reads reports.

    A thread for each report would keep memory of its own: 14 MB for that of a default run. It is a
    daemon, so a disk that hangs does not keep the program from ending.
    """
    jobs: SimpleQueue[ReadJob] = SimpleQueue()

    def work() -> None:
        jobs.get()()
        while True:
            job = jobs.get()
            gc.collect()  # the report before
            job()
            del job  # with its screen

    Thread(target=work, daemon=True, name="reader").start()
    return jobs


class KeyPassed(Message):
    """Bubbles behind a key, or behind the messages of its action, through the same queues.

    Args:
        key: Number of the key.
        rounds: How often it is to bubble.
    """

    def __init__(self, key: int, rounds: int) -> None:
        super().__init__()
        self.key, self.rounds = key, rounds


class EngineApp(App[None]):
    """An application that keeps the engines it started, and ends them when asked.

    Args:
        runs: Where run directories are kept.

    Attributes:
        engines: In the order in which they were started.
        setups: What was typed into the form, by models.
        pinned: Run directories that stay on top until the program ends.
        settings: What is kept for the next start.
    """

    def __init__(self, runs: Path) -> None:
        super().__init__()
        self.runs = runs
        self.engines: list[Engine] = []
        self.setups = SetupMemory()
        self.pinned: set[Path] = set()
        self.settings = Settings.read()
        self._marks: dict[Path, RunMark] = {}
        self._counts: dict[Path, tuple[int, int]] = {}  # images measured and planned
        self._opened: WeakSet[Screen[Any]] = WeakSet()  # laid out
        self._ahead: deque[events.Key] = deque()  # keys that wait
        self._keys = 0  # that were taken
        self._at_work: Timer | None = None  # ends the work of a key whose widget was removed

    # One key after the other.

    async def on_event(self, event: events.Event) -> None:
        """Gives a key to the screen that the keys before it have led to; hands on other events."""
        if isinstance(event, events.InputEvent) and not self.screen_stack:
            return  # the program is about to end
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        if self._leaves(event.key):
            self._ahead.clear()
        self._ahead.append(event)
        await self._next_key()

    def _leaves(self, key: str) -> bool:
        """Returns whether a key leaves a screen that reads, whatever was typed for it."""
        screen = self.screen
        if screen not in self._opened or not getattr(screen, "reading", False):
            return False
        active = screen.active_bindings.get(key)
        of_all = active is not None and (active.node is self or "app." in active.binding.action)
        return of_all or key == "escape"

    async def _next_key(self) -> None:
        """Takes the next key, unless the one before is at work or its screen is not there yet."""
        while self._ahead and self._at_work is None and self.screen in self._opened:
            event, reads = self._ahead[0], getattr(self.screen, "reading", False)
            if reads and not self._leaves(event.key):
                return
            await super().on_event(self._ahead.popleft())
            if not (isinstance(self.focused, Input) and event.is_printable):  # else it is a letter
                self._keys += 1
                self._at_work = self.set_timer(_LONGEST_WORK, partial(self._passed, self._keys))
                self._follow(KeyPassed(self._keys, 2))  # its action, then the messages of that

    def _follow(self, message: KeyPassed) -> None:
        (self.focused or self.screen).post_message(message)

    async def on_key_passed(self, message: KeyPassed) -> None:
        """Takes the next key once the one before has had its effect."""
        if message.key != self._keys or not self.screen_stack:
            return
        if message.rounds > 1:
            self._follow(KeyPassed(message.key, message.rounds - 1))
        else:
            await self._passed(message.key)

    async def _passed(self, key: int) -> None:
        if key == self._keys and self.screen_stack:
            if self._at_work is not None:
                self._at_work.stop()
            self._at_work = None
            await self._next_key()

    def opens(self, screen: Screen[Any]) -> None:
        """Keeps keys for the screen that is shown from now on, until it is laid out."""
        if screen in self._opened:
            self.call_next(self._passed, self._keys)
        else:  # its messages before this one lay it out and set the focus
            screen.call_later(self.call_next, self.hand_over, screen)

    async def hand_over(self, screen: Screen[Any]) -> None:
        """Gives a screen that is laid out the keys that were kept for it, unless it reads."""
        self._opened.add(screen)
        await self._passed(self._keys)

    def read(self, job: ReadJob) -> None:
        """Reads reports in a thread, one job after the other; an error that is a bug ends the app.

        Args:
            job: What to do; it hands its results to `call_later`.
        """

        def guarded() -> None:
            try:
                job()
            except Exception as error:
                self.call_later(self._ended_by, error)

        _reader().put(guarded)

    def _ended_by(self, error: Exception) -> None:
        raise error

    def screen_of(self, run: Path) -> Screen[None]:
        """Returns the screen that shows a run: its results, or the run as it goes on."""
        raise NotImplementedError

    def open(self, run: Path) -> None:
        """Opens a run over the screen that is shown."""
        self.push_screen(self.screen_of(run))

    def mark(self, run: Path) -> RunMark:
        """Returns the sign and the colour of a run, which it has on every screen."""
        return self._marks.setdefault(run.absolute(), run_mark(len(self._marks)))

    def engine(self, run: Path) -> Engine | None:
        """Returns the latest engine that was started for a directory or for its group."""
        run = run.absolute()
        places = (run, run.parent)
        for engine in reversed(self.engines):
            if engine.run.absolute() in places:
                return engine
        return None

    def works_on(self, run: Path) -> bool:
        """Returns whether an engine of this program works on a directory."""
        engine = self.engine(run)
        return engine is not None and engine.ended() is None

    def add(self, engine: Engine) -> None:
        """Notes an engine that a screen started."""
        if engine not in self.engines:
            self.engines.append(engine)

    # What runs meanwhile.

    def running_beside(self, run: Path | None) -> str:
        """Returns how many runs of this program go on and how far they are; empty for none.

        Args:
            run: The run of the screen, which says more of it; it counts only beside others.
        """
        engine = None if run is None else self.engine(run)
        if not self._counts or (engine is not None and [*self._counts] == [engine.run]):
            return ""
        done, planned = (sum(counts) for counts in zip(*self._counts.values(), strict=True))
        percent = f" {percent_done(done / planned)}" if planned else ""
        return f"● {len(self._counts)} running{percent}"

    def look_at_running(self) -> None:
        """Reads how far the runs of this program are, in a thread: a disk may be slow."""
        going = [engine.run for engine in self.engines if engine.ended() is None]
        if going or self._counts:
            self._count_images(going)

    @work(thread=True, exclusive=True, group="running")
    def _count_images(self, places: list[Path]) -> None:
        from tuiprobe.run.view import RunView
        from tuiprobe.tui.livewatch import runs_of

        images = {}
        for place in places:
            views = [RunView.read(RunDir(run), alive=True) for run in runs_of(place)]
            images[place] = sum(v.measured for v in views), sum(v.planned for v in views)

        def show() -> None:
            self._counts = images
            self.show_running()

        self.call_from_thread(show)

    def show_running(self) -> None:
        """Shows in the title of the screen what runs meanwhile."""
        raise NotImplementedError

    @work(exclusive=True, group="resume")
    async def resume(self, run: Path, then: Callable[[Engine], object]) -> None:
        """Starts an engine that resumes a run, once an earlier one has stopped.

        Args:
            run: The run directory.
            then: Gets the engine; not called where it cannot start, which is said.
        """
        before = self.engine(run)
        if before is not None and before.ended() is None:
            self.notify("resumes as soon as it has stopped", timeout=5)
            while before.ended() is None:
                await asyncio.sleep(0.1)
        engine = self._started_again(run, before)
        if engine is not None:
            self.add(engine)
            then(engine)

    def _started_again(self, run: Path, before: Engine | None) -> Engine | None:
        """Starts an engine of this program as it was, any other from `spec.json`."""
        try:
            if before is not None and before.run.absolute() == run.absolute():
                return Engine(before.arguments, run)
            if not RunDir(run).spec_file.exists():
                cause = f"{run} has no spec.json, because it failed before it was planned"
                self.fail(f"cannot resume: {cause}", "M goes to the models: set it up again")
                return None
            return Engine(resuming_arguments(run), run)
        except (OSError, TuiprobeError) as error:
            self.fail(f"cannot resume {run.name}: {error}")
            return None

    @work
    async def ask_to_cancel(self, run: Path) -> None:
        """Asks, then stops a run: by a signal, or by a file if its engine is not ours."""
        kept = "What is measured is kept and reported; r resumes it."
        if not await self._confirmed("Stop this run?", kept, "Stop"):
            return
        engine = self.engine(run)
        try:
            if engine is not None and engine.ended() is None:
                engine.cancel()
            else:
                RunDir(run).cancel_file.replace(b"")
        except (OSError, TuiprobeError) as error:
            self.fail(f"cannot stop it: {error}")
            return
        self.notify("Stop requested: a report of what is measured follows.", timeout=5)

    @work
    async def ask_to_kill(self, engine: Engine) -> None:
        """Asks, then kills an engine at once."""
        kept = "Finished shards are kept, nothing is reported; r resumes it."
        if await self._confirmed("Kill the engine at once?", kept, "Kill"):
            engine.kill()

    async def _confirmed(self, question: str, line: str, yes: str) -> bool:
        from tuiprobe.tui.screens.dialogs import ConfirmScreen

        return await self.push_screen_wait(ConfirmScreen(question, [line], yes))

    def copy(self, text: str, what: str) -> None:
        """Copies text to the terminal's clipboard (OSC 52, works over SSH) and says so."""
        self.copy_to_clipboard(text)
        self.notify(f"{what} copied", timeout=2, markup=False)

    def write_settings(self) -> None:
        """Keeps the settings for the next start."""
        try:
            self.settings.write()
        except TuiprobeError as error:
            self.fail("the settings are not kept for the next start", plain(str(error)))

    def fail(self, cause: str, fix: str = "") -> None:
        """Shows an error: the cause, and what to do."""
        self.notify(
            "\n".join(part for part in (cause, fix) if part),
            title="error",
            severity="error",
            timeout=12,
            markup=False,
        )

"""What screens ask of the application: engines, other screens, the clipboard, errors."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakSet

from textual import events, work
from textual._context import active_message_pump
from textual.app import App
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import WorkerFailed, get_current_worker

from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry, parse_json, read_regular
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView
from tuiprobe.numbers import percent_done
from tuiprobe.plaintext import plain
from tuiprobe.show.tui.child import Engine, resuming_arguments
from tuiprobe.show.tui.livewatch import runs_of

if TYPE_CHECKING:
    from tuiprobe.show.tui.runsetup import SetupMemory

T = TypeVar("T")

ReadJob = Callable[[], None]

_KEY_TIMEOUT = 5.0
"""Seconds after which a key counts as done, if the widget that worked on it was removed."""


@cache
def _reader_jobs() -> SimpleQueue[ReadJob]:
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


# What tells runs apart on every screen, a sign and a colour for each.

SIGNS: Final = "■▽□▼◣◹▮▯"
DARK_COLOURS: Final = ("#d4a8f2", "#f9a0c0", "#7fdbca", "#c3e88d", "#d7ba7d", "#a3bcff")
LIGHT_COLOURS: Final = ("#5f2a85", "#8a1f4e", "#00524a", "#3a5400", "#5c4210", "#2b3a94")
"""Colours of runs by theme: readable on the row under the cursor too."""


class RunMark(NamedTuple):
    """The sign of a run, and the name of its colour among the variables of a theme."""

    sign: str
    colour: str


def run_mark(number: int) -> RunMark:
    """Returns the mark of the run that was shown as the nth; those of 24 in a row differ.

    The first six differ in both, so that they are told apart without colours too.

    >>> len({run_mark(n) for n in range(24)}), len({run_mark(n).sign for n in range(8)})
    (24, 8)
    """
    return RunMark(SIGNS[number % len(SIGNS)], f"run-{number % len(DARK_COLOURS)}")


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
        settings: What is kept for the next start.
    """

    def __init__(self, runs: Path) -> None:
        super().__init__()
        self.runs = runs
        self.engines: list[Engine] = []
        self.settings = Settings.read()
        self._marks: dict[Path, RunMark] = {}
        self._counts: dict[Path, tuple[int, int]] = {}  # images measured and planned
        self._laid_out: WeakSet[Screen[Any]] = WeakSet()
        self._pending_keys: deque[events.Key] = deque()  # keys that wait
        self._key_count = 0  # that were taken
        self._key_timer: Timer | None = None  # ends the work of a key whose widget was removed

    @cached_property
    def setups(self) -> SetupMemory:
        """What was typed into the form, by models."""
        from tuiprobe.show.tui.runsetup import (
            SetupMemory,  # a start can wait for the options of runs
        )

        return SetupMemory()

    # One key after the other.

    async def on_event(self, event: events.Event) -> None:
        """Gives a key to the screen that the keys before it have led to; hands on other events."""
        if isinstance(event, events.InputEvent) and not self.screen_stack:
            return  # the program is about to end
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        if self._is_exit_key(event.key):
            self._pending_keys.clear()
        self._pending_keys.append(event)
        await self._next_key()

    def _is_exit_key(self, key: str) -> bool:
        """Returns whether a key leaves a screen that reads, whatever was typed for it."""
        screen = self.screen
        if screen not in self._laid_out or not getattr(screen, "reading", False):
            return False
        active = screen.active_bindings.get(key)
        of_all = active is not None and (active.node is self or "app." in active.binding.action)
        return of_all or key == "escape"

    async def _next_key(self) -> None:
        """Takes the next key, unless the one before is at work or its screen is not there yet."""
        while self._pending_keys and self._key_timer is None and self.screen in self._laid_out:
            event, reads = self._pending_keys[0], getattr(self.screen, "reading", False)
            if reads and not self._is_exit_key(event.key):
                return
            await super().on_event(self._pending_keys.popleft())
            if not (isinstance(self.focused, Input) and event.is_printable):  # else it is a letter
                self._key_count += 1
                done = partial(self._key_done, self._key_count)
                self._key_timer = self.set_timer(_KEY_TIMEOUT, done)
                # Its action, then the messages of that.
                self._post_key_passed(KeyPassed(self._key_count, 2))

    def _post_key_passed(self, message: KeyPassed) -> None:
        (self.focused or self.screen).post_message(message)

    async def on_key_passed(self, message: KeyPassed) -> None:
        """Takes the next key once the one before has had its effect."""
        if message.key != self._key_count or not self.screen_stack:
            return
        if message.rounds > 1:
            self._post_key_passed(KeyPassed(message.key, message.rounds - 1))
        else:
            await self._key_done(message.key)

    async def _key_done(self, key: int) -> None:
        if key == self._key_count and self.screen_stack:
            if self._key_timer is not None:
                self._key_timer.stop()
            self._key_timer = None
            await self._next_key()

    def screen_changed(self, screen: Screen[Any]) -> None:
        """Keeps keys for the screen that is shown from now on, until it is laid out."""
        if screen in self._laid_out:
            self.call_next(self._key_done, self._key_count)
        else:  # its messages before this one lay it out and set the focus
            screen.call_later(self.call_next, self.release_keys, screen)

    async def release_keys(self, screen: Screen[Any]) -> None:
        """Gives a screen that is laid out the keys that were kept for it, unless it reads."""
        self._laid_out.add(screen)
        await self._key_done(self._key_count)

    def read(
        self,
        owner: Widget,
        load: Callable[[], T],
        show: Callable[[T | TuiprobeError], object],
    ) -> None:
        """Reads in the thread of all reports, one after the other.

        What `load` reads with is imported before: of a package that two threads load at once, one
        may get a module without its content. An error that is a bug ends the app.

        Args:
            owner: The widget or screen that it is read for.
            load: Reads.
            show: Gets what was read, or why it cannot be, unless the owner is closed.
        """

        def job() -> None:
            result: T | TuiprobeError
            try:
                result = load()
            except TuiprobeError as error:
                result = error
            except Exception as error:
                self.call_later(self._raise, error)
                return
            if owner.is_running:
                self.call_later(arrived, result)

        def arrived(result: T | TuiprobeError) -> object:
            return show(result) if self.is_open(owner) else None

        _reader_jobs().put(job)

    def is_open(self, owner: Widget) -> bool:
        """Returns whether a widget is on a screen; what was read may arrive too late."""
        return self.is_running and owner.is_attached and owner.screen in self.screen_stack

    def _handle_exception(self, error: Exception) -> None:
        """Ends the program by a bug: what a screen that is left still does finds no widgets."""
        cause = error.error if isinstance(error, WorkerFailed) else error
        owner = active_message_pump.get(None) if cause is error else get_current_worker().node
        is_late = isinstance(owner, Widget) and not self.is_open(owner)
        if not (is_late and isinstance(cause, NoMatches)):
            super()._handle_exception(error)

    def _raise(self, error: Exception) -> None:
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
        directories = (run.absolute(), run.absolute().parent)
        found = (of for of in reversed(self.engines) if of.run.absolute() in directories)
        return next(found, None)

    def has_running_engine(self, run: Path) -> bool:
        """Returns whether an engine of this program works on a directory."""
        engine = self.engine(run)
        return engine is not None and engine.exit_code() is None

    def add(self, engine: Engine) -> None:
        """Notes an engine that a screen started."""
        if engine not in self.engines:
            self.engines.append(engine)

    # What runs meanwhile.

    def update_running(self) -> None:
        """Reads how far the runs of this program are, in a thread: a disk may be slow."""
        running = [engine.run for engine in self.engines if engine.exit_code() is None]
        if running or self._counts:
            self._count_images(running)

    @work(thread=True, exclusive=True, group="running")
    def _count_images(self, directories: list[Path]) -> None:
        images = {}
        for directory in directories:
            views = [RunView.read(RunDir(run), alive=True) for run in runs_of(directory)]
            images[directory] = sum(v.measured for v in views), sum(v.planned for v in views)

        def show() -> None:
            self._counts = images
            self.show_running(self.screen)

        self.call_from_thread(show)

    def show_running(self, screen: Screen[Any]) -> None:
        """Shows in the title of a screen how many runs go on and how far they are.

        The run of the screen, which says more of it, counts only beside others.
        """
        run, text = getattr(screen, "shown_run", None), ""
        engine = None if run is None else self.engine(run)
        if self._counts and (engine is None or [*self._counts] != [engine.run]):
            done, planned = (sum(counts) for counts in zip(*self._counts.values(), strict=True))
            percent = f" {percent_done(done / planned)}" if planned else ""
            text = f"● {len(self._counts)} running{percent}"
        for badge in screen.query("#badge").results(Static):  # none before it is laid out
            badge.update(text)
            badge.display = bool(text)

    @work(exclusive=True, group="resume")
    async def resume(self, run: Path, then: Callable[[Engine], object]) -> None:
        """Starts an engine that resumes a run or a group, once an earlier one has stopped.

        Args:
            run: The directory.
            then: Gets the engine; not called where it cannot start, which is said.
        """
        before = self.engine(run)
        if before is not None and before.exit_code() is None:
            self.notify("resumes as soon as it has stopped", timeout=5)
            while before.exit_code() is None:
                await asyncio.sleep(0.1)
        engine = self._restart(run, before)
        if engine is not None:
            self.add(engine)
            then(engine)

    def _restart(self, run: Path, before: Engine | None) -> Engine | None:
        """Starts an engine of this program as it was, any other from `spec.json`."""
        try:
            if before is not None and before.run.absolute() == run.absolute():
                return Engine(before.arguments, run)
            if not all(RunDir(one).spec_file.exists() for one in runs_of(run)):
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
        consequence = "What is measured is kept and reported; r resumes it."
        if not await self._confirmed("Stop this run?", consequence, "Stop"):
            return
        engine = self.engine(run)
        try:
            if engine is not None and engine.exit_code() is None:
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
        consequence = "Finished shards are kept, nothing is reported; r resumes it."
        if await self._confirmed("Kill the engine at once?", consequence, "Kill"):
            engine.kill()

    async def _confirmed(self, question: str, line: str, yes: str) -> bool:
        from tuiprobe.show.tui.screens.dialogs import ConfirmScreen

        return await self.push_screen_wait(ConfirmScreen(question, [line], yes))

    def copy(self, text: str, name: str) -> None:
        """Copies text to the terminal's clipboard (OSC 52, works over SSH) and says so."""
        self.copy_to_clipboard(text)
        self.notify(f"{name} copied", timeout=2, markup=False)

    def write_settings(self) -> None:
        """Keeps the settings for the next start."""
        try:
            self.settings.write()
        except TuiprobeError as error:
            self.fail("the settings are not kept for the next start", plain(str(error)))

    def fail(self, cause: str, fix: str = "") -> None:
        """Shows an error: the cause, and what to do."""
        words = "\n".join(filter(None, (cause, fix)))
        self.notify(words, title="error", severity="error", timeout=12, markup=False)


@dataclass
class Settings:
    """The settings, as in the file.

    Attributes:
        theme: Name of a theme.
        keymap: Keys by the id of what they do, such as `runs.compare`; several with commas.
    """

    theme: str = ""
    keymap: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Settings:
        """Reads the settings; those that are not valid have their defaults."""
        try:
            values = parse_json(read_regular(_file()))
        except (OSError, ValueError, TuiprobeError):
            return cls()
        values = values if isinstance(values, dict) else {}
        theme, keymap = values.get("theme"), values.get("keymap")
        keymap = keymap if isinstance(keymap, dict) else {}
        return cls(
            theme if isinstance(theme, str) else "",
            {id: key for id, key in keymap.items() if isinstance(key, str) and key},
        )

    def write(self) -> None:
        """Writes the settings.

        Raises:
            RunError: If the file cannot be written.
        """
        file = _file()
        values = {name: value for name, value in asdict(self).items() if value}
        Entry(file.parent, file.name).write_json(values)


def _file() -> Path:
    """Returns the path of the settings: `$XDG_CONFIG_HOME/tuiprobe/screens.json`."""
    import platformdirs

    return Path(platformdirs.user_config_dir("tuiprobe")) / "screens.json"

"""What the screens do to the engine of a run: find, resume, cancel and kill it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.errors import TuiprobeError
from tuiprobe.run.directory import RunDir
from tuiprobe.tui.child import Engine

if TYPE_CHECKING:
    from tuiprobe.tui.app import TuiprobeApp


class Control:
    """The engines of this program, by run directory.

    Args:
        app: Keeps the engines, and shows questions and errors.
    """

    def __init__(self, app: TuiprobeApp) -> None:
        self._app = app

    def engine(self, run: Path) -> Engine | None:
        """Returns the latest engine that was started for a directory or for its group."""
        run = run.absolute()
        places = (run, run.parent)
        for engine in reversed(self._app.engines):
            if engine.run.absolute() in places:
                return engine
        return None

    def works_on(self, run: Path) -> bool:
        """Says whether an engine of this program works on a directory."""
        engine = self.engine(run)
        return engine is not None and engine.ended() is None

    def add(self, engine: Engine) -> None:
        """Notes an engine that a screen started."""
        if engine not in self._app.engines:
            self._app.engines.append(engine)

    def resume(self, run: Path) -> Engine | None:
        """Starts an engine that goes on with a run; says why if it cannot.

        An engine of this program is started again as it was, any other from `spec.json`.
        """
        before = self.engine(run)
        try:
            if before is not None and before.run.absolute() == run.absolute():
                engine = Engine(before.arguments, run)
            elif not RunDir(run).spec_file.exists():
                cause = f"{run} has no spec.json, because it failed before it was planned"
                self._app.fail(f"cannot resume: {cause}", "M goes to the models: set it up again")
                return None
            else:
                engine = Engine.resume(run)
        except (OSError, TuiprobeError) as error:
            self._app.fail(f"cannot resume {run.name}: {error}")
            return None
        self.add(engine)
        return engine

    def ask_to_cancel(self, run: Path) -> None:
        """Asks, then stops a run: by a signal, or by a file if its engine is not ours."""

        def cancel(yes: bool | None) -> None:
            if not yes:
                return
            engine = self.engine(run)
            try:
                if engine is not None and engine.ended() is None:
                    engine.cancel()
                else:
                    RunDir(run).cancel_file.replace(b"")
            except (OSError, TuiprobeError) as error:
                self._app.fail(f"cannot stop it: {error}")
                return
            self._app.notify("Stop requested: a report of what is measured follows.", timeout=5)

        self._ask(
            "Stop this run?",
            ["What is measured is kept and reported; r resumes it."],
            "Stop",
            cancel,
        )

    def ask_to_kill(self, engine: Engine) -> None:
        """Asks, then kills an engine at once."""
        self._ask(
            "Kill the engine at once?",
            ["Finished shards are kept, nothing is reported; r resumes it."],
            "Kill",
            lambda yes: engine.kill() if yes else None,
        )

    def _ask(
        self, question: str, lines: list[str], yes: str, then: Callable[[bool | None], None]
    ) -> None:
        from tuiprobe.tui.screens.confirm import ConfirmScreen

        self._app.push_screen(ConfirmScreen(question, lines, yes), then)

"""Waiting until an app of Textual has done all that it can do now."""

import asyncio
import contextlib
import time

from textual._context import active_app
from textual.app import ScreenStackError

SECONDS = 5.0
"""Bound of a wait: what is animated may never rest where a frame takes longer than its time."""


async def settled(*_: float) -> None:
    """Returns once no task of the loop can go on and the screen is drawn.

    What still waits for a thread, a process or a timer is not waited for; tests do so by `until`.
    Textual's own `wait_for_idle`, whose place this takes, returns when the process has used little
    time in 20 ms: at once, where other processes have the cores.
    """
    app, loop = active_app.get(), asyncio.get_running_loop()
    deadline, quiet = time.monotonic() + SECONDS, 0
    while quiet < 4 and time.monotonic() < deadline:
        await asyncio.sleep(0)
        quiet = 0 if loop._ready else quiet + 1  # type: ignore[attr-defined]
        if quiet == 2:
            with contextlib.suppress(ScreenStackError):  # it is ending
                app.screen._on_timer_update()

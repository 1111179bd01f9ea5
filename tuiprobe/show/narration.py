"""Events as text: a bar on a terminal, one line in a notebook, lines on stderr elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from tuiprobe.catalog.model_list import download_words, missing_weights
from tuiprobe.errors import error_line
from tuiprobe.measure.run.status import Event, Listener
from tuiprobe.plaintext import clock, plain
from tuiprobe.spec import RunSpec

if TYPE_CHECKING:
    from tuiprobe.measure.engine.shards import Rank

Detail = Literal["quiet", "usual", "verbose"]
"""What is shown of a run: what goes wrong; also one bar, or lines in a log; also every step."""

_LINE_SECONDS = 5.0
_NOTEBOOK_SECONDS = 0.2
_SKIPPED_SHOWN = 10


def is_interactive() -> bool:
    """Returns whether progress would be seen: in a terminal, or in a notebook."""
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    """Returns whether this process is the kernel of a notebook (Jupyter, Colab)."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and hasattr(running, "kernel")


def announce_downloads(specs: list[RunSpec], listen: Listener) -> None:
    """Announces the downloads of all models once, if there are any."""
    from tuiprobe.models.loaders.published_weights import with_sizes

    loaded = [spec for spec in specs if spec.checkpoint is None and spec.kind == "images"]
    models = [spec.model for spec in loaded if not spec.offline]
    if words := download_words(with_sizes(missing_weights(models))):
        listen(Event("stage", words))


@contextmanager
def narrated(rank: Rank | None = None, detail: Detail = "usual") -> Iterator[Listener]:
    """Yields a listener that shows events as plain text on stderr, or in a cell of a notebook.

    Args:
        rank: This process, if it is one of several. The first one of a host narrates the progress
            of all; the others, whose output stands in the same log, only what goes wrong.
        detail: What is shown.
    """
    if rank is not None and rank.local > 0:
        yield _RankWarnings(rank.number)
        return
    if detail == "quiet":
        yield _Troubled()
        return
    if _in_notebook():
        from IPython.display import display

        cell = _NotebookCell(display(_text(""), raw=True, display_id=True).update)
        try:
            yield cell
        finally:
            cell.end()
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines()
        return
    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    columns = BarColumn(20), text
    # Results on stdout are data: they go where stdout does, while no bar is drawn.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        yield _Bar(console, progress, detail == "verbose")


_LOGGER = logging.getLogger("tuiprobe")
_LOGGER.addHandler(logging.NullHandler())  # what nobody asked for is not printed
_LEVELS = {"progress": logging.DEBUG, "failed": logging.ERROR} | dict.fromkeys(
    ("warning", "skipped", "interrupted"), logging.WARNING
)


def logged(event: Event) -> None:
    """Writes an event to the logger `tuiprobe`."""
    text = progress_line(event.data) if event.kind == "progress" else plain(event.message)
    _LOGGER.log(_LEVELS.get(event.kind, logging.INFO), "%s", text)


def sentence(event: Event) -> str:
    r"""Returns an event as one line of plain text.

    >>> print(sentence(Event("warning", "bad\x1b[31m name")))
    warning: bad\x1b[31m name
    """
    if event.kind == "failed":
        return error_line(plain(event.message))
    prefix = {"warning": "warning: ", "skipped": "skipped "}
    return prefix.get(event.kind, "") + plain(event.message)


def progress_line(data: dict[str, Any]) -> str:
    """Returns progress as one line.

    >>> progress_line({"done": 65, "total": 500, "rate": 8, "eta": 61})
    'measured: 65 of 500 images, 8.0 images/s, 1:01 left'

    Of several ranks it is the progress of all.

    >>> progress_line({"ranks": 4, "done": 9, "total": 10, "rate": 32, "eta": None})
    '4 ranks: 9 of 10 images, 32.0 images/s'
    """
    unit = data.get("unit", "images")
    done, total, eta = data["done"], data["total"], data["eta"]
    left = f", {clock(eta)} left" if eta is not None else ""
    rate = f", {_rate(data)}" if data["rate"] else ""
    return f"{_where(data)}: {done} of {total} {unit}{rate}{left}"


def _rate(data: dict[str, Any]) -> str:
    return f"{data['rate']:.1f} {data.get('unit', 'images')}/s"


def _where(data: dict[str, Any]) -> str:
    ranks = data.get("ranks")
    if ranks is None:
        return "head" if data.get("stage") == "head" else "measured"
    return "1 rank" if ranks == 1 else f"{ranks} ranks"


class _Narrator:
    """Shows events; of unreadable images only the first ones, since the report lists all."""

    def __init__(self) -> None:
        self._skipped = 0

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            self.progress(event.data)
            return
        self._skipped += event.kind == "skipped"
        if event.kind != "skipped" or self._skipped <= _SKIPPED_SHOWN:
            self.show(event)

    def progress(self, data: dict[str, Any]) -> None:
        """Shows progress."""

    def show(self, event: Event) -> None:
        """Shows any other event."""


class _Lines(_Narrator):
    """Writes one line per event, and progress every few seconds and at its end."""

    def __init__(self) -> None:
        super().__init__()
        self._next = time.monotonic() + _LINE_SECONDS
        self._begun = False  # progress that took less than a line's time is not shown

    def progress(self, data: dict[str, Any]) -> None:
        ends = data["done"] == data["total"]
        if time.monotonic() >= self._next or (ends and self._begun):
            self._next = time.monotonic() + _LINE_SECONDS
            self._begun = not ends
            print(progress_line(data), file=sys.stderr, flush=True)

    def show(self, event: Event) -> None:
        print(sentence(event), file=sys.stderr, flush=True)


def _text(text: str) -> dict[str, str]:
    return {"text/plain": text}


class _NotebookCell(_Narrator):
    """One output of a notebook: notable events, and progress below them.

    Args:
        update: Replaces the output by data by media type; takes `raw=True`.
    """

    def __init__(self, update: Callable[..., None]) -> None:
        super().__init__()
        self._update = update
        self._notable: list[str] = []
        self._next = 0.0

    def progress(self, data: dict[str, Any]) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _NOTEBOOK_SECONDS
            self._renew(progress_line(data))

    def show(self, event: Event) -> None:
        if event.kind == "stage":
            self._renew(sentence(event))
        else:
            self._notable.append(sentence(event))
            self._renew("")

    def end(self) -> None:
        """Removes the progress; notable events stay."""
        self._renew("")

    def _renew(self, now: str) -> None:
        lines = [*self._notable, now] if now else self._notable
        self._update(_text("\n".join(lines)), raw=True)


class _Troubled(_Narrator):
    """Writes only what goes wrong."""

    def show(self, event: Event) -> None:
        if event.kind not in ("stage", "done"):
            print(sentence(event), file=sys.stderr, flush=True)


class _RankWarnings(_Narrator):
    """Writes warnings of a rank from its first image on, and why it fails.

    What is said before that is the same on every rank.
    """

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank
        self._measuring = False

    def show(self, event: Event) -> None:
        if event.kind == "stage" and event.data.get("stage") == "extract":
            self._measuring = True
        is_warning = self._measuring and event.kind in ("warning", "skipped")
        if event.kind == "failed" or is_warning:
            print(f"rank {self._rank}: {sentence(event)}", file=sys.stderr, flush=True)


_STYLES: Final = {"failed": "bold red", "warning": "yellow", "skipped": "yellow"}


class _Bar(_Narrator):
    """One bar with images, rate, time left and the answer so far; before that, the step.

    Args:
        console: The terminal.
        progress: Draws the bar.
        verbose: Whether every step is a line above it.
    """

    def __init__(self, console: Console, progress: Progress, verbose: bool) -> None:
        super().__init__()
        self._console, self._bar, self._verbose = console, progress, verbose
        self._task = progress.add_task("", total=None)

    def progress(self, data: dict[str, Any]) -> None:
        _, _, text = progress_line(data).partition(": ")
        answer = data.get("answer")
        description = f"{text}  {plain(answer)}" if answer else text
        self._bar.update(
            self._task, total=data["total"], completed=data["done"], description=description
        )

    def show(self, event: Event) -> None:
        step = event.kind == "stage"
        if step:
            self._bar.update(self._task, total=None, description=sentence(event))
        self._bar.update(self._task, visible=step, refresh=True)  # results are printed after it
        if event.kind not in ("stage", "done") or self._verbose:
            self._console.print(Text(sentence(event), style=_STYLES.get(event.kind, "")))

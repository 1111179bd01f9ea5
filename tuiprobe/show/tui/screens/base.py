"""What every screen shares: the top line, the footer, the keys, and a notice for small windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.events import ScreenResume
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from tuiprobe.plaintext import plain
from tuiprobe.show.tui.control import EngineApp
from tuiprobe.show.tui.keys import with_ids
from tuiprobe.show.tui.progress import title_warning
from tuiprobe.show.tui.text import fitted, inert_lines
from tuiprobe.show.tui.widgets.keyline import KeyLine
from tuiprobe.show.tui.widgets.rows import RowTable


def title_with_warning(text: str, warning: str, short: str, width: int) -> Content:
    """Returns a title with a warning at its right end.

    Args:
        text: What the screen is about; cut where there is no room.
        warning: Never cut; its short form takes its place where there is no room for both.
        short: The short form.
        width: Cells.

    >>> title_with_warning("mini_clip · 128 channels", "UNTRAINED: no more", "UNTRAINED", 36).plain
    'mini_clip · 128 channels   UNTRAINED'
    """
    notice = warning if cell_len(text) + cell_len(warning) + 2 <= width else short
    room = max(width - cell_len(notice) - (2 if notice else 0), 0)
    head = fitted(text, room) + ("  " if notice else "")
    return Content.assemble(Content(head), (notice, "bold $warning"))


class TitleLine(Static):
    """Text and a warning, drawn anew for every width.

    Args:
        text: The text.
        id: Id of the widget.
    """

    ALLOW_SELECT = False

    def __init__(self, text: str, *, id: str) -> None:
        self._text, self._warnings = text, ("", "")
        super().__init__(text, id=id, markup=False)

    def show(self, text: str, specs: Iterable[Mapping[str, object]] = ()) -> None:
        """Shows other text, and what to beware of.

        Args:
            text: What the screen is about; may come from outside.
            specs: What is known of the runs that it shows, for `title_warning`.
        """
        warnings = [(title_warning(spec), title_warning(spec, short=True)) for spec in specs]
        long, short = (
            " · ".join(filter(None, dict.fromkeys(forms))) for forms in zip(*warnings, strict=True)
        ) if warnings else ("", "")  # fmt: skip
        self._text, self._warnings = plain(text), (long, short)
        self.on_resize()

    def on_resize(self) -> None:
        """Draws for the width there is, unless that changes nothing: a live title comes often."""
        if self.content_size.width:
            line = title_with_warning(self._text, *self._warnings, self.content_size.width)
            if not (isinstance(self.content, Content) and line.is_same(self.content)):
                self.update(line, layout=False)


MIN_SIZE = (60, 15)


class ProbeScreen(Screen[None]):
    """A screen with a line at the top and the keys at the bottom; the body is the subclass's.

    The line at the bottom shows as many keys as fit: first the actions in `IMPORTANT`, then those
    of the widget with the focus, then the others in their order. A key whose `check_action` says no
    is not shown; `refresh_bindings()` asks again. Widgets, tabs and screens may have `explained()`:
    ids of the terms at their cursor (`explained_at`). One that shows a run has `shown_run`.

    Attributes:
        reading: Whether it is covered until something is read; keys pressed meanwhile wait.
    """

    app: EngineApp
    reading = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = with_ids("screen", [
        Binding("escape", "app.back", "back", tooltip="Back to where you came from"),
        Binding("M", "app.open_list('models')", "models", show=False, tooltip="The list of models"),
        Binding("R", "app.open_list('runs')", "runs", show=False, tooltip="All runs"),
    ])  # fmt: skip
    IMPORTANT: ClassVar[tuple[str, ...]] = ()
    HEADING = ""

    def compose(self) -> ComposeResult:
        """Lays out the top line, the body and the footer."""
        size = self.app.size
        for length, breakpoints in (
            (size.width, self.app.HORIZONTAL_BREAKPOINTS),
            (size.height, self.app.VERTICAL_BREAKPOINTS),
        ):  # Textual adds these classes after a first layout without them
            self.add_class(max(of for of in breakpoints or [] if of[0] <= length)[1])
        with Horizontal(id="title"):
            yield TitleLine(f"tuiprobe  {self.HEADING}", id="place")
            yield Static(id="badge", markup=False)
        yield Static(
            f"the window is too small: {MIN_SIZE[0]} x {MIN_SIZE[1]} or more, please",
            id="too-small",
        )
        yield from self.compose_body()
        if self.reading:
            yield Static("reading…", id="reading", markup=False)
        yield KeyLine()

    def compose_body(self) -> ComposeResult:
        """Yields the widgets between top line and footer."""
        yield from ()

    @property
    def shown_run(self) -> Path | None:
        """The run directory that is shown; None where the screen is not about one."""
        return None

    def on_screen_suspend(self) -> None:
        """Drops what was drawn: Textual keeps the lines of 1,024 widgets after their screens.

        Behind a dialog the screen stays in sight. Scrollbars are no children.
        """
        for widget in () if self.app.screen.is_modal else self.walk_children(Widget):
            widget.refresh()
            vertical, horizontal = widget.scrollbars_enabled
            if vertical:
                widget.vertical_scrollbar.refresh()
            if horizontal:
                widget.horizontal_scrollbar.refresh()

    @property
    def alive(self) -> bool:
        """Whether the screen is open; a result from a thread or process may arrive too late."""
        return self.app.is_open(self)

    @on(ScreenResume)
    def _show_running(self) -> None:
        self.app.show_running(self)

    def finish_reading(self, error: str = "") -> None:
        """Shows what was read, and takes keys, first those that were pressed meanwhile.

        Args:
            error: Why it cannot be read, which is shown in its place; empty where it was.
        """
        for cover in self.query("#reading").results(Static):
            cover.update(inert_lines([error, "", "esc goes back"]))
            cover.display = bool(error)
        if self.reading:
            self.reading = False
            self.app.call_next(self.app.release_keys, self)

    @property
    def title_line(self) -> TitleLine:
        """The line at the top."""
        return self.query_one(TitleLine)


class OpeningScreen(ProbeScreen):
    """What is shown until the first screen is there."""

    reading = True


class FilteredScreen(ProbeScreen):
    """A screen with one list and an input of class `filter` above it that narrows the list."""

    def __init__(self) -> None:
        super().__init__()
        self._query = ""

    @property
    def table(self) -> RowTable[Any]:
        """The list."""
        return self.query_one(RowTable)

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the list, which are those of the filter too."""
        return self.table.explained()

    def _show(self) -> None:
        """Shows the rows that fit the filter; the subclass's."""
        raise NotImplementedError

    @on(Input.Changed, ".filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._query = event.value
        self._show()

    @on(Input.Submitted, ".filter")
    def _filter_done(self) -> None:
        self.table.focus()

    @on(RowTable.Sorted)
    def _sorted(self) -> None:
        self._show()

    def action_filter(self) -> None:
        """Puts the cursor into the filter."""
        self.set_focus(self.query_one(".filter"))  # at once, so that it gets the next key

    def action_clear(self) -> None:
        """Clears the filter; goes back where there is none."""
        field = self.query_one(".filter", Input)
        if field.value or field.has_focus:
            field.value = ""
            self.table.focus()
        else:
            self.run_worker(self.app.run_action("back"))

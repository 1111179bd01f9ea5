"""The program: themes, the keys that work everywhere, and which screen comes first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from tuiprobe.tui.ascii import AsciiFilter
from tuiprobe.tui.themes import DARK, LIGHT


class TuiprobeApp(App[None]):
    """Screens over run directories.

    Args:
        runs: Where run directories are kept.
        open_run: A run to open at once; None starts with the list of models.
        ascii: Draw with ASCII characters only.
    """

    TITLE = "tuiprobe"
    CSS_PATH = "styles.tcss"
    ALLOW_SELECT = False  # a press on a widget that was just replaced must not end the program
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", tooltip="Keys of this screen and what they do"),
        Binding("ctrl+t", "switch_theme", "theme", show=False, tooltip="Dark or light"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
        Binding("q", "quit", "quit", tooltip="Leave; a run that goes on goes on"),
    ]

    def __init__(
        self, runs: Path = Path("runs"), open_run: Path | None = None, ascii: bool = False
    ) -> None:
        super().__init__()
        self.runs, self.open_run, self.ascii = runs, open_run, ascii
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        if ascii:
            self._filters.append(AsciiFilter())

    def get_default_screen(self) -> Screen[None]:
        """Returns the screen to start with."""
        return super().get_default_screen()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yields the entries of the command palette that work everywhere."""
        yield from super().get_system_commands(screen)

    def action_switch_theme(self) -> None:
        """Switches between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

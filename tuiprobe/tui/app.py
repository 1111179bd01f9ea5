"""The application: themes, global keys, and the first screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.theme import Theme

from tuiprobe.tui.ascii import AsciiFilter
from tuiprobe.tui.child import Engine
from tuiprobe.tui.commands import working_keys
from tuiprobe.tui.runsetup import Kept

# Muted backgrounds, one accent, colours for colour-blind readers.
DARK = Theme(
    name="tuiprobe-dark",
    primary="#5aa9e6",
    secondary="#8fb8de",
    accent="#f2a65a",
    warning="#e9c46a",
    error="#e76f51",
    success="#58b09c",
    foreground="#d8dee6",
    background="#11151a",
    surface="#171c23",
    panel="#20272f",
    dark=True,
)
LIGHT = Theme(
    name="tuiprobe-light",
    primary="#1f6fb2",
    secondary="#4b7ea8",
    accent="#b35c00",
    warning="#8a6d00",
    error="#b23a1e",
    success="#1f7a67",
    foreground="#1b2530",
    background="#f7f8f9",
    surface="#eef0f2",
    panel="#e1e5e9",
    dark=False,
)


class TuiprobeApp(App[None]):
    """Screens over run directories.

    Args:
        runs: Where run directories are kept.
        open_run: A run to open at once; None starts with the list of models.
        ascii: Draw with ASCII characters only.
    """

    TITLE = "tuiprobe"
    CSS_PATH = Path(__file__).with_name("styles.tcss")
    ALLOW_SELECT = False  # a press on a widget that was just replaced must not crash
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012  (Textual declares them on the instance)
        (0, "-slim"),
        (60, "-narrow"),
        (100, "-normal"),
        (160, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"),
        (15, "-low"),
        (30, "-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", tooltip="Keys of this screen"),
        Binding("ctrl+p", "command_palette", "palette", tooltip="Command palette", priority=True),
        Binding("ctrl+t", "switch_theme", "theme", show=False, tooltip="Dark or light theme"),
        Binding("q", "quit", "quit", tooltip="Leave; runs go on without the screen"),
        Binding("ctrl+c,ctrl+q", "quit", "quit", show=False, priority=True),
    ]

    def __init__(
        self, runs: Path = Path("runs"), open_run: Path | None = None, ascii: bool = False
    ) -> None:
        super().__init__()
        self.runs, self.open_run, self.ascii = runs, open_run, ascii
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.add_class("-ascii" if ascii else "-unicode")
        if ascii:
            self._filters.append(AsciiFilter())
        self.engines: list[Engine] = []
        self.setups = Kept()
        self._places: dict[str, Callable[[], Screen[None]]] = {
            "models": self._models,
            "runs": self._runs,
        }

    @property
    def farewell(self) -> str:
        """What to say when the program is left: which runs go on."""
        going = [engine for engine in self.engines if engine.ended() is None]
        return "\n".join(f"a run goes on; to see it: {engine.reopened_by}" for engine in going)

    def on_mount(self) -> None:
        """Shows the first screen."""
        if self.open_run is None:
            self.push_screen(self._models())
        else:
            self.push_screen(self.screen_of(self.open_run))

    def _models(self) -> Screen[None]:
        from tuiprobe.tui.screens.models import ModelsScreen

        return ModelsScreen()

    def _runs(self) -> Screen[None]:
        from tuiprobe.tui.screens.runs import RunsScreen

        return RunsScreen(self.runs)

    def screen_of(self, run: Path) -> Screen[None]:
        """Returns the screen that shows a run: its results, or the run as it goes on."""
        from tuiprobe.tui.livewatch import has_results

        if has_results(run):
            from tuiprobe.tui.screens.results import ResultsScreen

            return ResultsScreen(run)
        from tuiprobe.tui.screens.live import LiveScreen

        return LiveScreen(run)

    def open(self, run: Path) -> None:
        """Opens a run over the screen that is shown."""
        self.push_screen(self.screen_of(run))

    def action_go(self, place: str) -> None:
        """Goes to one of the main places; what was opened above it is closed."""
        while len(self.screen_stack) > 2:
            self.pop_screen()
        self.switch_screen(self._places[place]())

    async def action_back(self) -> None:
        """Closes the screen that is shown; from the first one goes to the models."""
        if len(self.screen_stack) > 2:
            self.pop_screen()
        elif self.open_run is not None:
            self.open_run = None
            self.action_go("models")

    def action_help(self) -> None:
        """Shows the keys that work here."""
        from tuiprobe.tui.screens.help import HelpScreen

        keys = [
            (self.get_key_display(binding), binding.tooltip)
            for binding, _ in working_keys(self.screen)
        ]
        self.push_screen(HelpScreen(keys, (self.screen.__doc__ or "").split("\n\n")[0]))

    def action_switch_theme(self) -> None:
        """Switches between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def copy(self, text: str, what: str) -> None:
        """Copies text to the terminal's clipboard (OSC 52, works over SSH) and says so."""
        self.copy_to_clipboard(text)
        self.notify(f"{what} copied", timeout=2, markup=False)

    def fail(self, cause: str, fix: str = "") -> None:
        """Shows an error: the cause, and what to do."""
        self.notify(
            "\n".join(part for part in (cause, fix) if part),
            title="error",
            severity="error",
            timeout=12,
            markup=False,
        )

"""The application: themes, global keys, and the first screen."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import NoColor
from textual.screen import Screen
from textual.theme import Theme, ThemeProvider

from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.view import RunView
from tuiprobe.plaintext import plain
from tuiprobe.show.tui.commands import Commands, Palette, working_keys
from tuiprobe.show.tui.control import DARK_COLOURS, LIGHT_COLOURS, EngineApp
from tuiprobe.show.tui.keys import with_ids
from tuiprobe.show.tui.livewatch import finished_group, read_live

# Muted backgrounds, colours for colour-blind readers. The accent is the colour of keys alone, the
# primary one that of figures and of what has the focus.
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
    variables={"scrollbar-background": "#20272f"},
)
LIGHT = Theme(
    name="tuiprobe-light",
    primary="#1f6fb2",
    secondary="#35658c",
    accent="#964c00",
    warning="#6e5600",
    error="#b23a1e",
    success="#1f7a67",
    foreground="#0d1620",
    background="#f7f8f9",
    surface="#eef0f2",
    panel="#e1e5e9",
    dark=False,
    variables={"button-color-foreground": "#ffffff"},
)


class TuiprobeApp(EngineApp):
    """Screens over run directories.

    Args:
        runs: Where run directories are kept.
        open_run: A run to open at once; None starts with the list of models.
        first: Makes the screen to begin with, in place of that of a run.
    """

    TITLE = "tuiprobe"
    COMMANDS = {Commands}  # noqa: RUF012  (instead of Textual's own)
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
    BINDINGS: ClassVar[list[BindingType]] = with_ids("app", [
        Binding("question_mark,f1", "help", "help", tooltip="Terms at the cursor, and keys"),
        Binding(
            "colon", "command_palette", "commands", key_display=":",
            tooltip="Every action of every screen, by a part of its name",
        ),
        Binding("ctrl+p", "command_palette", "", show=False, priority=True),
        Binding(
            "ctrl+t", "switch_theme", "theme", show=False, priority=True,
            tooltip="Dark or light theme",
        ),
        Binding(
            "ctrl+z", "suspend_process", "suspend", show=False, priority=True,
            tooltip="Back to the shell; fg returns here",
        ),
        Binding(
            "S", "screenshot(None, '.')", "screenshot", show=False,
            tooltip="Save this screen as SVG in the current directory",
        ),
        Binding("q", "quit", "quit", tooltip="Leave; runs go on without the screen"),
        Binding("ctrl+c,ctrl+q", "quit", "quit", show=False, priority=True),
    ])  # fmt: skip

    def __init__(
        self,
        runs: Path = Path("runs"),
        open_run: Path | None = None,
        first: Callable[[], Screen[None]] | None = None,
    ) -> None:
        super().__init__(runs)
        self._first_screen = partial(self.screen_of, open_run) if open_run is not None else first
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        is_known = self.settings.theme in self.available_themes
        # Without the watcher, which would parse all styles a second time.
        self.set_reactive(App.theme, self.settings.theme if is_known else DARK.name)
        self.stylesheet.set_variables(self.get_css_variables())
        self.set_keymap(self.settings.keymap)
        if self.no_color:  # Textual's own filter leaves shades of grey
            self._filters.append(NoColor())

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Returns the colours of runs, which no theme has."""
        colours = DARK_COLOURS if self.current_theme.dark else LIGHT_COLOURS
        return {f"run-{i}": colour for i, colour in enumerate(colours)}

    @property
    def exit_message(self) -> str:
        """What to say when the program is left: which runs go on, and how to get back to them."""
        running = [engine for engine in self.engines if engine.exit_code() is None]
        return "\n".join(
            f"{plain(engine.run.name)} goes on; to see or stop it: {engine.open_command}"
            for engine in running
        )

    def on_mount(self) -> None:
        """Shows the first screen, and keeps the theme that is chosen from now on."""
        self.screen_change_signal.subscribe(self, self.screen_changed, immediate=True)
        self.theme_changed_signal.subscribe(self, self._save_theme)
        self.set_interval(1.0, self.update_running)
        if self._first_screen is None:
            self.push_screen(self._list("models"))
            return
        from tuiprobe.show.tui.screens.base import OpeningScreen

        self.push_screen(OpeningScreen())  # is drawn before what the first screen needs is loaded
        self.call_after_refresh(self._replace_opening, self._first_screen)

    def _replace_opening(self, first: Callable[[], Screen[None]]) -> None:
        self.switch_screen(first())

    def on_ready(self) -> None:
        """Collects garbage from now on, without going through what a start has loaded."""
        gc.freeze()
        gc.enable()

    def _list(self, name: str) -> Screen[None]:
        if name == "runs":
            from tuiprobe.show.tui.screens.runs import RunsScreen

            return RunsScreen(self.runs)
        from tuiprobe.show.tui.screens.models import ModelsScreen

        return ModelsScreen()

    def screen_of(self, run: Path) -> Screen[None]:
        """Returns the screen that shows a run: its results, or the run as it goes on.

        Args:
            run: Its directory, or that of a group, which leads to the decision between its models.
        """
        if group := finished_group(run, self.has_running_engine):
            from tuiprobe.show.tui.screens.compare import CompareScreen

            return CompareScreen(group)
        view = RunView.read(RunDir(run), alive=self.has_running_engine(run))
        if view.state != "done":  # a finished run has no live figures, which take numpy to read
            view = read_live(run, alive=self.has_running_engine(run))
        damaged = view.state == "damaged" and RunDir(run).results_file.exists()  # says what to do
        if view.state in ("done", "partial") or damaged:
            from tuiprobe.show.tui.screens.results import ResultsScreen

            return ResultsScreen(run)
        from tuiprobe.show.tui.screens.live import LiveScreen

        return LiveScreen(run, view=view)

    def action_open_list(self, name: str) -> None:
        """Goes to one of the main places; what was opened above it is closed."""
        while len(self.screen_stack) > 2:
            self.pop_screen()
        self.switch_screen(self._list(name))

    async def action_back(self) -> None:
        """Closes the screen that is shown; from the first one goes to the models."""
        if len(self.screen_stack) > 2:
            self.pop_screen()
        elif self._first_screen is not None:
            self._first_screen = None
            self.action_open_list("models")

    def action_command_palette(self) -> None:
        """Opens the palette; Textual's own has an id, which one that still closes has too."""
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())

    def search_themes(self) -> None:
        """Lists all themes, in this palette too."""
        self.push_screen(Palette([ThemeProvider], placeholder="Search for themes…"))

    def action_help(self) -> None:
        """Explains the terms at the cursor, and shows the keys that work here."""
        from tuiprobe.show.tui.screens.dialogs import HelpScreen, explained_at

        keys = [
            (self.get_key_display(binding), binding.tooltip)
            for binding, _ in working_keys(self.screen)
        ]
        topic = (self.screen.__doc__ or "").split("\n\n")[0]
        self.push_screen(HelpScreen(explained_at(self.screen), keys, topic))

    def action_switch_theme(self) -> None:
        """Switches between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def _save_theme(self, theme: Theme) -> None:
        self.settings.theme = theme.name
        self.write_settings()

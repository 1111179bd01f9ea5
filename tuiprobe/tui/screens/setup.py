"""Run setup: data, layers and other options, with their meaning and cost before the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Label, Select, Static

from tuiprobe.errors import RunError
from tuiprobe.spec import run_option
from tuiprobe.tui import runsetup
from tuiprobe.tui.child import Engine, ask, ask_python, shown_command
from tuiprobe.tui.runsetup import FIRST, MORE, YES, Setup
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.text import inert, inert_lines


class Form(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The fields; up and down walk them, and the view follows the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "next field", show=False, tooltip="Next field"),
        Binding("up", "app.focus_previous", "field before", show=False, tooltip="Field before"),
    ]


class SetupScreen(ProbeScreen):
    """Set up the run: Enter starts it, tab walks the fields; the command below does the same.

    Args:
        models: Presets or specs to probe.
    """

    PLACE = "Run setup"
    AUTO_FOCUS = "#run"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "run", tooltip="Start the run"),
        Binding("o", "pick", "pick data", tooltip="Pick a folder or file of images"),
        Binding(
            "t", "trial", "trial", tooltip="Load the model (downloads weights) and time a batch"
        ),
        Binding("c,y", "copy", "copy command", tooltip="Copy this command line"),
    ]

    def __init__(self, models: list[str]) -> None:
        super().__init__()
        self._models = tuple(models)
        self._trials: dict[str, dict[str, Any]] = {}
        self._trial_note = ""
        self._found: dict[str, Any] | None = None
        self._found_note = ""
        self._looked_at = ""

    def compose_body(self) -> ComposeResult:
        """Lays out the form, what it means, and the command line."""
        with Horizontal(id="body"):
            with Form(id="form", classes="panel"):
                yield Static(inert("models  " + ", ".join(self._models)), id="names")
                yield from self._fields(FIRST)
                yield Button("run", id="run", variant="primary", compact=True)
                yield Static("", id="command", markup=False)
                yield from self._fields(MORE)
            with VerticalScroll(id="meaning", classes="panel", can_focus=False):
                yield Static("", id="understood", markup=False)

    def _fields(self, names: tuple[str, ...]) -> ComposeResult:
        for option in map(run_option, names):
            with Horizontal(classes="field"):
                yield Label(option.label)
                text, values = runsetup.first_text(option), runsetup.choices(option)
                if values:
                    yield Select(
                        [(value, value) for value in values],
                        value=text,
                        allow_blank=False,
                        id=option.name,
                        compact=True,
                    )
                else:
                    yield Input(text, placeholder=option.hint, id=option.name, compact=True)

    def on_mount(self) -> None:
        """Starts to inspect data and model in the background."""
        self.query_one("#form").border_title = "run"
        self.query_one("#meaning").border_title = "what this means"
        self._show()
        self._look_at_data(self.setup["data"])
        self._try_models(offline=True)

    @property
    def setup(self) -> Setup:
        """The options as typed."""
        typed = {str(one.id): one.value for one in self.query(".field Input").results(Input)}
        chosen = {
            str(one.id): str(one.value) for one in self.query(".field Select").results(Select)
        }
        return Setup(self._models, typed | chosen)

    @on(Input.Changed)
    @on(Select.Changed)
    def _changed(self) -> None:
        self._show()

    @on(Input.Blurred, "#data")
    def _data_left(self) -> None:
        if self.setup["data"] != self._looked_at:
            self._look_at_data(self.setup["data"])

    @on(Input.Submitted)
    @on(Button.Pressed, "#run")
    def _submitted(self) -> None:
        self.action_run()

    def _show(self) -> None:
        setup = self.setup
        arguments = setup.arguments(self._runs)
        self.query_one("#command", Static).update(inert("$ " + shown_command(arguments)))
        self.query_one("#understood", Static).update(inert_lines(self._meaning(setup)))

    @property
    def _runs(self) -> Path:
        return getattr(self.app, "runs", Path("runs"))

    def _meaning(self, setup: Setup) -> list[str]:
        trial = next(iter(self._trials.values()), None)
        lines = ["COST", *self._cost(setup), "", "DATA"]
        lines += runsetup.recognised(self._found) if self._found else [self._found_note]
        lines += ["", "LAYERS"]
        layers = setup["layers"]
        lines += runsetup.matched_layers(trial["taps"], layers) if trial else ["after trial"]
        lines += ["", "PROBES", *runsetup.probes(setup, trial, self._found)]
        problem = setup.problem()
        return [f"✗ {problem}", "", *lines] if problem else lines

    def _cost(self, setup: Setup) -> list[str]:
        if len(self._trials) < len(self._models) or self._found is None:
            return [self._trial_note] if self._trial_note else ["unknown until data are recognised"]
        if setup.problem():
            return []
        sample = int(setup["sample"] or runsetup.usual_sample(self._models, setup["data"]))
        sizes = [int(one["images"]) for one in self._found["sets"]]
        trials = list(self._trials.values())
        return runsetup.estimate(trials, sizes, sample, setup["layers"]).lines()

    @work(exclusive=True, group="data")
    async def _look_at_data(self, source: str) -> None:
        self._looked_at, self._found, self._found_note = source, None, "looking at the data"
        self._show()
        if source.startswith("hf:"):
            self._found_note = "checked when the run starts"
        elif source:
            answer = await ask_python(["-P", "-m", "tuiprobe.datasets.describe", source])
            try:
                self._found = json.loads(answer.out)
            except ValueError:
                self._found_note = f"✗ {answer.reason}"
        self._show()

    @work(exclusive=True, group="trial")
    async def _try_models(self, offline: bool) -> None:
        self._trials = {}
        setup = self.setup
        for model in self._models:
            self._trial_note = f"timing a batch of {model}"
            self._show()
            words = ["inspect", model, "--json", *setup.words("checkpoint", "device", "dtype")]
            answer = await ask(words + ["--offline"] * offline)
            try:
                self._trials[model] = json.loads(answer.out)
            except ValueError:
                hint = "; t tries again with downloads" if offline else ""
                self._trial_note = f"! {answer.reason}{hint}"
                break
        self._show()

    def action_trial(self) -> None:
        """Loads the models, fetching weights where they are missing, and times a batch."""
        self._try_models(offline=self.setup["offline"] == YES)

    def action_copy(self) -> None:
        """Copies the command line."""
        self.app.copy_to_clipboard(shown_command(self.setup.arguments(self._runs)))
        self.notify("command copied", timeout=2)

    def action_pick(self) -> None:
        """Opens the file picker."""
        from tuiprobe.tui.screens.picker import PickerScreen

        self.app.push_screen(PickerScreen(Path.cwd()), self._picked)

    def _picked(self, path: Path | None) -> None:
        if path is not None:
            self.query_one("#data", Input).value = runsetup.source_of(path)
            self._look_at_data(self.setup["data"])

    def action_run(self) -> None:
        """Starts the engine as a process of its own and goes to its live screen."""
        from tuiprobe.tui.screens.live import LiveScreen

        setup = self.setup
        if problem := setup.problem():
            self.notify(problem, severity="error", markup=False)
            return
        directory = setup.directory(self._runs)
        try:
            engine = Engine(setup.arguments(self._runs), directory)
        except (OSError, RunError) as error:
            cause = f"cannot start the run: {error}"
            self.notify(cause, severity="error", markup=False)
            return
        self.workers.cancel_group(self, "trial")
        self.app.switch_screen(LiveScreen(directory, engine))

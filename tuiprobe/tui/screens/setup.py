"""Run setup: data, layers and other options, with their meaning and cost before the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.timer import Timer
from textual.widgets import Button, Input, Label, Select, Static

from tuiprobe.errors import RunError
from tuiprobe.spec import run_option
from tuiprobe.tui import forecast, runsetup
from tuiprobe.tui.child import Engine, ask, ask_python, shown_command
from tuiprobe.tui.progress import title_warning
from tuiprobe.tui.runsetup import FIRST, MORE, VECTORS, YES, Kept, Setup
from tuiprobe.tui.screens.base import ProbeScreen
from tuiprobe.tui.text import inert, inert_lines

if TYPE_CHECKING:
    from tuiprobe.tui.app import TuiprobeApp

PAUSE_SECONDS = 0.3
"""How long the form rests before what was typed is looked at."""

EXPLAINED = {
    "data": ("set", "in-distribution", "suite"),
    "target": ("target", "estimate"),
    "concepts": ("concept-set", "concept"),
    "concept_sample": ("concept-set", "sample"),
    "sample": ("sample",),
    "layers": ("layer", "tap"),
    "tokens": ("layer", "tap"),
    "head": ("head", "prompts"),
    "classes": ("head", "labels"),
    "templates": ("prompts", "head"),
    "checkpoint": ("weights", "untrained"),
    "baseline": ("baseline", "effective-robustness"),
    "device": ("device",),
    "batch_size": ("batch-size",),
    "dtype": ("dtype",),
    "offline": ("offline",),
    "embeddings": ("representation",),
    "labels": ("labels",),
    "training": ("training", "zero-shot"),
    "representation": ("representation-kind",),
    "target_embeddings": ("target", "estimate"),
    "run": ("run", "resume", "cost"),
}
"""Terms of the glossary by field."""


class Form(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The fields; up and down walk them, and the view follows the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "next field", show=False, tooltip="Next field"),
        Binding("up", "app.focus_previous", "field before", show=False, tooltip="Field before"),
    ]


class Field(Input):
    """One line of text; Enter starts the run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "start", tooltip="Start the run, or go on with it"),
    ]


class SetupScreen(ProbeScreen):
    """Set up the run: name the images; Enter starts it, and every other field has a default.

    Args:
        models: Presets or specs to probe.
    """

    PLACE = "Run setup"
    AUTO_FOCUS = "#data"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "start", show=False, tooltip="Start the run, or go on with it"),
        Binding("ctrl+o,o", "pick", "pick images", tooltip="Pick a folder or file of images"),
        Binding(
            "ctrl+l,t", "trial", "trial", tooltip="Load the model (downloads weights), time a batch"
        ),
        Binding("ctrl+y,c,y", "copy", "copy command", tooltip="Copy this command line"),
        Binding("pagedown", "meaning(1)", "more", show=False, tooltip="What this means: further"),
        Binding("pageup", "meaning(-1)", "back", show=False, tooltip="What this means: back"),
    ]
    DEFAULT_CSS = """
    SetupScreen .wrong { display: none; padding-left: 18; color: $error; height: auto; }
    SetupScreen #refused { display: none; color: $error; height: auto; }
    SetupScreen #hint { dock: bottom; height: 2; color: $foreground 60%; background: $background; }
    """

    def __init__(self, models: list[str]) -> None:
        super().__init__()
        self._models = tuple(models)
        self._seen: dict[str, str] = {}
        self._found: dict[str, Any] | None = None
        self._note = ""
        self._trial_note = ""
        self._tried: tuple[str, ...] = ()  # what determines the trial that was begun last
        self._waits = False  # Enter was pressed before the answer of the preview
        self._pause: Timer | None = None

    def compose_body(self) -> ComposeResult:
        """Lays out the form, what it means, and the command line."""
        typed = self._kept.texts.get(self._models, {})
        with Horizontal(id="body"):
            with Form(id="form", classes="panel"):
                yield Static("", id="names", markup=False)
                yield from self._fields(FIRST, typed)
                yield Button("start", id="run", variant="primary", compact=True)
                yield Static("", id="refused", markup=False)
                yield Static("", id="command", markup=False)
                yield from self._fields((*MORE, *VECTORS), typed)
                yield Static("", id="hint", markup=False)
            with VerticalScroll(id="meaning", classes="panel", can_focus=False):
                yield Static("", id="understood", markup=False)

    def _fields(self, names: tuple[str, ...], typed: dict[str, str]) -> ComposeResult:
        for option in map(run_option, names):
            with Horizontal(classes="field", id=f"{option.name}-field"):
                yield Label(option.label)
                text = typed.get(option.name, runsetup.first_text(option))
                values = runsetup.choices(option)
                if values:
                    yield Select(
                        [(value, value) for value in values],
                        value=text,
                        allow_blank=False,
                        id=option.name,
                        compact=True,
                    )
                else:
                    yield Field(
                        text, placeholder=option.shown_default, id=option.name, compact=True
                    )
            yield Static("", id=f"{option.name}-wrong", classes="wrong", markup=False)

    def on_mount(self) -> None:
        """Starts to inspect data and model in the background."""
        self.query_one("#form").border_title = "run"
        self.query_one("#meaning").border_title = "what this means"
        self._seen = dict(self.setup.texts)
        self._ask_about_data()
        self._try_models(offline=True)

    @property
    def _kept(self) -> Kept:
        return cast("TuiprobeApp", self.app).setups

    @property
    def setup(self) -> Setup:
        """The options as typed."""
        typed = {str(one.id): one.value for one in self.query(".field Input").results(Input)}
        chosen = {
            str(one.id): str(one.value) for one in self.query(".field Select").results(Select)
        }
        return Setup(self._models, typed | chosen)

    @property
    def _runs(self) -> Path:
        return getattr(self.app, "runs", Path("runs"))

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the glossary for the field under the cursor."""
        focused = self.focused.id if self.focused is not None else None
        said = self._warning()
        warned = [term for term in ("untrained", "demonstration") if term.upper() in said]
        return (*EXPLAINED.get(focused or "", ()), *warned, "trial", "cost", "probe")

    # What was typed.

    @on(Input.Changed)
    @on(Select.Changed)
    def _changed(self) -> None:
        texts = dict(self.setup.texts)
        if texts == self._seen:
            return
        trial_before = _trial_key(self._models[0], Setup(self._models, self._seen))
        self._seen = self._kept.texts[self._models] = texts
        self._found, self._waits = None, False
        self.workers.cancel_group(self, "data")
        self.query_one("#refused").display = False
        self.place(self._top_line())
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(PAUSE_SECONDS, self._ask_about_data)
        if _trial_key(self._models[0], self.setup) != trial_before:
            self._trial_note = ""
        self._note = "looking at what was typed"
        self._show()

    @work(exclusive=True, group="data")
    async def _ask_about_data(self) -> None:
        """Asks what the run would measure, in a process that may open data."""
        setup = self.setup
        self._found, self._note = None, "looking at the data"
        self._show()
        trained = {
            model: str(trial["training"])
            for model in self._models
            if (trial := self._trial(model, setup)) is not None and "training" in trial
        }
        request = setup.request(self._runs, trained)
        answer = await ask_python(["-P", "-m", "tuiprobe.measure.preview", request])
        try:
            self._found = json.loads(answer.out)
        except ValueError:
            self._note = f"✗ {answer.reason}"
        self._show()
        self._try_anew()
        if self._waits:
            self._waits = False
            self._start()

    def _wrong(self, setup: Setup) -> dict[str, str]:
        """Returns what is wrong, by option: what the texts show, the data, and the model."""
        wrong = dict(self._found["problems"]) if self._found is not None else {}
        if self._found is not None and self._found["kept"]:
            wrong["run"] = self._found["kept"]
        trials = [one for model in self._models if (one := self._trial(model, setup)) is not None]
        if trials and not setup.of_vectors and setup["layers"]:
            unmatched = forecast.unmatched_layers(trials, setup["layers"])
            wrong |= {"layers": unmatched} if unmatched else {}
        if setup["offline"] == YES and not setup.of_vectors:
            absent = (m for m in self._models if runsetup.download(m, setup["checkpoint"]))
            for model in absent:
                wrong["offline"] = f"the weights of {model} are not on this machine: choose no"
        return wrong | setup.problems()

    # What is shown.

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        name = event.widget.id or ""
        known = name in (*FIRST, *MORE, *VECTORS)
        help_text = run_option(name).option.help.replace("`", "") if known else ""
        self.query_one("#hint", Static).update(inert(help_text))

    def _show(self) -> None:
        if not self.alive:
            return
        setup = self.setup
        wrong = self._wrong(setup)
        asked = setup.asked
        names = "vectors in place of models" if setup.of_vectors else ", ".join(self._models)
        self.query_one("#names", Static).update(inert(f"{'model':<18}{names}"))
        for name in (*FIRST, *MORE, *VECTORS):
            self.query_one(f"#{name}-field").display = name in asked or name == "embeddings"
            shown = self.query_one(f"#{name}-wrong", Static)
            shown.update(inert(f"✗ {wrong[name]}" if name in wrong else ""))
            shown.display = name in wrong and name in asked
        trials = self._all_trials(setup)
        counted = self._found is not None and bool(self._found["images"]) and not wrong
        cost = None
        if counted and trials:
            cost = forecast.estimate(trials, self._found or {}, setup["layers"])
        words = forecast.start_words(self._found if counted else None, cost)
        first = next(iter(wrong), None)
        if first is not None:
            what = "the run directory" if first == "run" else run_option(first).label
            words = f"✗ {what} needs another value"
        self.query_one("#run", Button).label = inert(words)
        arguments = setup.arguments(self._runs)
        self.query_one("#command", Static).update(inert("$ " + shown_command(arguments)))
        lines = self._meaning(setup, wrong, cost, trials)
        self.query_one("#understood", Static).update(inert_lines(lines))
        if not self.query_one("#refused").display:
            self.place(self._top_line())

    def _top_line(self) -> str:
        warning = self._warning() if self.is_attached and self.query("#form") else ""
        return f"{self.PLACE}  {warning}" if warning else super()._top_line()

    def _warning(self) -> str:
        """Returns what every reader of the results has to know beforehand; empty if nothing."""
        setup, said = self.setup, dict[str, None]()
        for model in () if setup.of_vectors else self._models:
            about = {"model": model, "data": setup["data"], "checkpoint": setup["checkpoint"]}
            trial = self._trial(model, setup)
            if trial is not None and "weights" in trial:
                about["weights"] = trial["weights"]["kind"]
            said[title_warning(about)] = None
        return " · ".join(filter(None, said))

    def _meaning(
        self,
        setup: Setup,
        wrong: dict[str, str],
        cost: forecast.Cost | None,
        trials: list[dict[str, Any]],
    ) -> list[str]:
        lines = [f"✗ {wrong['run']}", ""] if "run" in wrong else []
        lines += ["COST", *self._cost(setup, cost), "", "DATA"]
        seen = forecast.recognised(self._found) if self._found is not None else [self._note]
        lines += seen or ["known once what is marked ✗ is right"]
        lines += ["", "PROBES"]
        trial = trials[0] if trials else None
        if self._found is None or not (self._found["sets"] or self._found["later"]):
            lines.append("known once the data are")
        else:
            lines += forecast.probe_lines(setup, trial, self._found)
        if not setup.of_vectors:
            lines += ["", "LAYERS"]
            layers = setup["layers"]
            lines += (
                forecast.matched_layers(trial["taps"], layers) if trial else ["after the trial"]
            )
        return lines

    def _cost(self, setup: Setup, cost: forecast.Cost | None) -> list[str]:
        if cost is not None:
            return cost.lines()
        lines = []
        if self._found is not None and self._found["images"]:
            total = sum(self._found["images"].values())
            lines.append(f"{total:,} {'vectors' if setup.of_vectors else 'images'}")
        if self._trial_note and not setup.of_vectors:
            lines.append(self._trial_note)
        return lines or ["known once the data are"]

    # The trial of the models.

    def _trial(self, model: str, setup: Setup) -> dict[str, Any] | None:
        return self._kept.trials.get(_trial_key(model, setup))

    def _all_trials(self, setup: Setup) -> list[dict[str, Any]]:
        """Returns the trial of each model; empty if one is missing, or vectors have no model."""
        trials = [] if setup.of_vectors else [self._trial(model, setup) for model in self._models]
        found = [one for one in trials if one is not None]
        return found if len(found) == len(trials) else []

    def _try_anew(self) -> None:
        """Times a batch again if what determines it was changed, unless that is under way."""
        setup = self.setup
        wrong = self._wrong(setup)
        asked = _trial_key(self._models[0], setup)
        if asked != self._tried and not {"checkpoint", "device", "dtype"} & wrong.keys():
            self._try_models(offline=True)

    @work(exclusive=True, group="trial")
    async def _try_models(self, offline: bool) -> None:
        """Loads each model once while the program runs, so that the estimate stays the same."""
        setup = self.setup
        self._tried = _trial_key(self._models[0], setup)
        for model in self._models:
            if self._trial(model, setup) is not None:
                continue
            if offline and (absent := runsetup.download(model, setup["checkpoint"])):
                self._trial_note = absent
                self._show()
                return
            self._trial_note = f"timing a batch of {model}"
            self._show()
            words = ["inspect", model, "--json", *setup.words("checkpoint", "device", "dtype")]
            answer = await ask(words + ["--offline"] * offline)
            try:
                self._kept.trials[_trial_key(model, setup)] = json.loads(answer.out)
            except ValueError:
                hint = "; ctrl+l tries again with downloads" if offline else ""
                self._trial_note = f"! {answer.reason}{hint}"
                self._show()
                return
        self._trial_note = ""
        self._show()

    # Actions of the keys.

    def action_trial(self) -> None:
        """Loads the models, fetching weights where they are missing, and times a batch."""
        self._try_models(offline=self.setup["offline"] == YES)

    def action_copy(self) -> None:
        """Copies the command line."""
        self.app.copy_to_clipboard(shown_command(self.setup.arguments(self._runs)))
        self.notify("command copied", timeout=2)

    def action_meaning(self, pages: int) -> None:
        """Scrolls what the form means."""
        panel = self.query_one("#meaning")
        panel.scroll_relative(y=pages * max(panel.size.height - 1, 1), animate=False)

    def action_pick(self) -> None:
        """Opens the file picker."""
        from tuiprobe.tui.screens.picker import PickerScreen

        self.app.push_screen(PickerScreen(Path.cwd()), self._picked)

    def _picked(self, path: Path | None) -> None:
        if path is not None:
            self.query_one("#data", Input).value = runsetup.source_of(path)

    @on(Input.Submitted)
    @on(Button.Pressed, "#run")
    def _submitted(self) -> None:
        self.action_run()

    def action_run(self) -> None:
        """Starts the engine, as soon as what was typed has been looked at."""
        if self._found is None and not self.setup.problems() and not self._note.startswith("✗"):
            self._waits = True
            self.notify("starts once the data were looked at", timeout=2)
            return
        self._start()

    def _start(self) -> None:
        """Starts the engine as a process of its own and goes to its live screen."""
        from tuiprobe.tui.screens.live import LiveScreen

        setup = self.setup
        wrong = self._wrong(setup)
        if wrong:
            name = next(iter(wrong))
            if name != "run":
                self.query_one(f"#{name}").focus()
            label = "" if name == "run" else f"{run_option(name).label}: "
            self._refuse(f"{label}{wrong[name]}", shown=name != "run")
            return
        directory = setup.directory(self._runs)
        try:
            engine = Engine(setup.arguments(self._runs), directory)
        except RunError as error:
            self._refuse(f"cannot start the run: {error}")
            return
        except OSError as error:
            self._refuse(
                f"cannot start the run in {directory}: {error.strerror or error}; free the cause "
                "and press Enter again, or start tuiprobe in another folder"
            )
            return
        self.workers.cancel_group(self, "trial")
        self.app.switch_screen(LiveScreen(directory, engine))

    def _refuse(self, cause: str, shown: bool = False) -> None:
        """Says why the run does not start: in the title, a toast and, wrapped, in the form.

        Args:
            cause: Why, with the remedy.
            shown: Whether it stands under its field already.
        """
        said = f"✗ {cause}"
        refused = self.query_one("#refused", Static)
        refused.update(inert(said))
        refused.display = not shown
        self.place(said)
        self.notify(said, severity="error", markup=False)


def _trial_key(model: str, setup: Setup) -> tuple[str, ...]:
    """Returns what determines the result of a trial."""
    return (model, setup["checkpoint"], setup["device"], setup["dtype"])

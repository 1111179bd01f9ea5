"""Run setup: data, layers and other options, with their meaning before the start."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, OptionList, Static

from tuiprobe.catalog.glossary import mentioned
from tuiprobe.errors import RunError, WeightsError
from tuiprobe.request import shown_command
from tuiprobe.show.tui.child import Engine, ProcessOutput, ask
from tuiprobe.show.tui.keys import KEYS
from tuiprobe.show.tui.progress import beyond_title, title_warning
from tuiprobe.show.tui.runsetup import (
    COMMAND,
    FIELDS,
    YES,
    Setup,
    SetupMemory,
    run_specs,
    start_label,
    with_fields,
)
from tuiprobe.show.tui.screens.base import ProbeScreen
from tuiprobe.show.tui.text import inert_lines
from tuiprobe.show.tui.widgets.form import RunForm

if TYPE_CHECKING:
    from tuiprobe.measure.run.preview import Preview

PAUSE_SECONDS = 0.3
"""Seconds without a key until the data are looked at."""


class SetupScreen(ProbeScreen):
    """Set up the run: name the images; Enter starts it, and every other field has a default.

    Args:
        models: Presets or specs to probe.
    """

    HEADING = "Run setup"
    AUTO_FOCUS = "#data"
    BINDINGS: ClassVar[list[BindingType]] = KEYS["setup"]

    def __init__(self, models: list[str]) -> None:
        super().__init__()
        self._opened = tuple(models)
        self._last_typed: tuple[Setup, str] = Setup(()), ""
        self._previews: list[Preview] = []  # empty until the answer is there
        self._note = ""
        self._preview_error = ""  # why there is no preview of what was typed
        self._trial_note = ""
        self._trial_problems: dict[str, str] = {}
        self._last_trial: tuple[str, ...] = ()  # what determines the trial that was begun last
        self._start_pending = False  # Enter was pressed before the answer of the preview

    def compose_body(self) -> ComposeResult:
        """Lays out the form, what it means, and the command line."""
        with Horizontal(id="body"):
            texts = self._memory.texts.get(self._opened, {})
            yield RunForm(Setup(self._opened, texts))
            with VerticalScroll(id="meaning", classes="panel", can_focus=False):
                yield Static("", id="understood", markup=False)

    def on_mount(self) -> None:
        """Starts to inspect data and model in the background."""
        self.query_one("#meaning").border_title = "what this means"
        self._last_typed = self.setup, ""
        self._load_previews()

    @property
    def _memory(self) -> SetupMemory:
        return self.app.setups

    @property
    def form(self) -> RunForm:
        """The form."""
        return self.query_one(RunForm)

    @property
    def setup(self) -> Setup:
        """The options as typed."""
        return self.form.setup

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the glossary for the field under the cursor."""
        field = FIELDS.get((self.focused.id or "") if self.focused is not None else "")
        warnings = " ".join(map(title_warning, run_specs(self.setup, self._memory)))
        warned = [term for term in ("untrained", "demonstration") if term.upper() in warnings]
        terms = (
            ()
            if field is None
            else (field.option.term, *(term.id for term in mentioned(field.help)))
        )
        return (*filter(None, terms), *warned, "probe", "run")

    # What was typed.

    @on(Input.Changed)
    def _changed(self) -> None:
        typed, before = (self.setup, self.form.unread), self._last_typed
        if typed == before:
            return
        self._last_typed = typed
        if self.setup.models == self._opened:
            self._memory.texts[self._opened] = dict(self.setup.texts)
        self._previews, self._start_pending = [], False
        self.form.show_error("")
        if self.setup.trial_options != before[0].trial_options:
            self._trial_note, self._trial_problems = "", {}
        self._note, self._preview_error = "looking at what was typed", ""
        self._show()
        self._load_previews(PAUSE_SECONDS)

    @work(exclusive=True, group="data")
    async def _load_previews(self, pause: float = 0.0) -> None:
        """Asks what the run would do, in a process that may open data, after a pause."""
        from tuiprobe.measure.run.preview import Preview  # pydantic, which a start can wait for

        if pause:
            await asyncio.sleep(pause)
        if not self.alive:  # left meanwhile
            return
        setup = self.setup
        self._previews, self._note, self._preview_error = [], "looking at the data", ""
        if not setup.data:
            self._note = "no data set is named"
            self._show()
            return
        self._show()
        answer = await ask(setup.dry_run(self.app.runs))
        if not self.alive:
            return
        try:
            self._previews = list(map(Preview.model_validate_json, answer.out.splitlines()))
        except ValueError:
            self._previews = []
        if not self._previews:
            self._preview_error = with_fields(answer.reason)
        self._show()
        wrong = self._wrong(setup, self._previews)
        sound = not {"checkpoint", "device", "dtype"} & wrong.keys() and not setup.of_vectors
        if setup.trial_options != self._last_trial and sound:
            self._try_models(offline=True)
        if self._start_pending:
            self._start_pending = False
            self._start()

    @property
    def previews(self) -> list[Preview]:
        """What the runs would do, with what the loaded models tell; empty until that is known."""
        setup, previews = self.setup, []
        for preview in self._previews:
            trial = self._memory.trial(preview.spec.model, setup)
            previews.append(preview if trial is None else preview.with_model(trial))
        return previews

    def _wrong(self, setup: Setup, previews: Sequence[Preview]) -> dict[str, str]:
        """Returns the errors by option: those of the texts, the data and the models.

        What is wrong for some of several models only stands beside these.
        """
        found = [{one.option: one.reason for one in preview.wrong} for preview in previews]
        wrong = {
            setup.field_of(option): with_fields(reason)
            for option, reason in (found[0].items() if found else ())
            if all(option in others for others in found)
        }
        unread = {COMMAND: self.form.unread} if self.form.unread else {}
        return wrong | self._trial_problems | setup.problems() | unread

    # What is shown.

    def _show(self) -> None:
        if not self.alive:
            return
        setup, previews = self.setup, self.previews
        wrong = self._wrong(setup, previews)
        self.form.show(wrong, start_label(previews, wrong))
        lines = [f"✗ {wrong['output']}"] if "output" in wrong else []
        if previews:
            from tuiprobe.measure.run.preview import (
                preview_lines,  # pydantic, which a start can wait for
            )

            lines += map(with_fields, beyond_title(preview_lines(previews)))
        else:
            lines.append(f"✗ {self._preview_error}" if self._preview_error else self._note)
        lines += ["", "MODEL", self._trial_note] if self._trial_note else []
        self.query_one("#understood", Static).update(inert_lines(lines))
        self.title_line.show(self.HEADING, run_specs(setup, self._memory))

    # The trial of the models.

    @work(exclusive=True, group="trial")
    async def _try_models(self, offline: bool) -> None:
        """Loads each model once while the program runs: its layers, its head, its training."""
        setup = self.setup
        self._last_trial = setup.trial_options
        for model in setup.models:
            if self._memory.trial(model, setup) is not None:
                continue
            if offline and any(
                download.kind == "weights" and download.name == model
                for preview in self._previews
                for download in preview.downloads
            ):
                self._trial_note = "known once the weights are there: ctrl+l downloads them now"
                self._show()
                return
            self._trial_note = f"loading {model}"
            self._show()
            options = setup.words("checkpoint", "device", "dtype")
            if offline:
                options.append("--offline")
            answer = await ask(["doctor", "--model", model, "--json", *options])
            trial, reason, blamed = _trial_of(answer)
            if trial is None:
                if answer.code == WeightsError.exit_code and setup["checkpoint"]:
                    blamed = "checkpoint"
                hint = "; ctrl+l tries again with downloads" if offline else ""
                self._trial_note = f"! {with_fields(reason)}{hint}"
                if blamed:
                    self._trial_note = "see what is marked ✗"
                    self._trial_problems = {blamed: with_fields(reason)}
                self._show()
                return
            self._memory.trials[(model, *setup.trial_options)] = trial
        self._trial_note = ""
        self._show()

    # Actions of the keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether a key does something: in lists up and down choose."""
        return action != "field" or not isinstance(self.focused, OptionList)

    def action_field(self, by: int) -> None:
        """Goes to the field above or below."""
        if by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_trial(self) -> None:
        """Loads the models, fetching weights where they are missing."""
        self._try_models(offline=self.setup["offline"] == YES)

    def action_copy(self) -> None:
        """Copies the command line."""
        self.app.copy(shown_command(self.setup.arguments(self.app.runs)), "command")

    def action_meaning(self, pages: int) -> None:
        """Scrolls what the form means."""
        panel = self.query_one("#meaning")
        panel.scroll_relative(y=pages * max(panel.size.height - 1, 1), animate=False)

    @on(Input.Submitted)
    @on(Button.Pressed, "#run")
    def action_run(self) -> None:
        """Starts the engine, as soon as what was typed has been looked at."""
        if not self.is_current:  # a second Enter, typed ahead
            return
        wrong = self._wrong(self.setup, ())
        if not self._previews and not wrong and not self._preview_error:
            self._start_pending = True
            self.notify("starts once the data were looked at", timeout=2)
            return
        self._start()

    def _start(self) -> None:
        """Starts the engine as a process of its own and goes to its live screen."""
        from tuiprobe.show.tui.screens.live import LiveScreen

        setup = self.setup
        wrong = self._wrong(setup, self.previews)
        if wrong:
            name = next(iter(wrong))
            if name != "output":
                self.query_one(f"#{name if name in FIELDS else COMMAND}").focus()
            self._show_start_error(wrong[name], marked=name != "output")
            return
        directory = setup.directory(self.app.runs)
        try:
            engine = Engine(setup.arguments(self.app.runs), directory)
        except RunError as error:
            self._show_start_error(f"cannot start the run: {error}")
            return
        except OSError as error:
            self._show_start_error(
                f"cannot start the run in {directory}: {error.strerror or error}; free the cause "
                "and press Enter again, or start tuiprobe in another folder"
            )
            return
        self.workers.cancel_group(self, "trial")
        self.app.switch_screen(LiveScreen(directory, engine))

    def _show_start_error(self, cause: str, marked: bool = False) -> None:
        """Shows why the run does not start, in a toast and in the form.

        Args:
            cause: Why, with the remedy.
            marked: Whether it stands under its field already.
        """
        text = f"✗ {cause}"
        self.form.show_error("" if marked else text)
        self.notify(text, severity="error", markup=False)


def _trial_of(answer: ProcessOutput) -> tuple[dict[str, Any] | None, str, str]:
    """Returns the checks of `doctor` on the encoder; or else None, why, and the option to blame."""
    try:
        examination = json.loads(answer.out)
    except ValueError:
        return None, answer.reason, ""
    if wrong := examination.get("wrong"):
        return None, wrong["cause"], wrong["option"]
    failed = (check["detail"] for check in examination["checks"] if check["status"] == "fail")
    return examination["encoder"], next(failed, answer.reason), ""

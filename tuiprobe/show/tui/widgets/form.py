"""The form of a run: common fields, its command line, what completes them, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import Suggester
from textual.widgets import Button, Input, Label, Static

from tuiprobe.datasets.registry import BUILTIN
from tuiprobe.errors import UsageError
from tuiprobe.files import expand_home
from tuiprobe.options import OptionField, flag
from tuiprobe.show.tui.runsetup import COMMAND, FIELDS, OPTIONS, Setup, with_fields
from tuiprobe.show.tui.text import fitted, inert
from tuiprobe.spec import path_options


class Field(Input):
    """One line of text; Enter starts the run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "start", tooltip="Start the run, or go on with it"),
    ]

    def on_paste(self, event: events.Paste) -> None:
        """Takes one line; of several, a text field would keep the first without a word."""
        lines = event.text.splitlines()
        if len(lines) > 1:
            event.stop().prevent_default()
            text = f"{len(lines):,} lines were pasted, and a field takes one: "
            remedy = "save them as a file, and name the file here"
            self.notify(text + remedy, severity="error", markup=False)


class Suggestions(Suggester):
    """Completes a field: sources of images by their names, files and folders by their paths.

    Args:
        option: The option; None for a command line, which is completed by the option before.
    """

    def __init__(self, option: OptionField | None) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._option = option

    async def get_suggestion(self, value: str) -> str | None:
        """Returns the first text that begins with the last word of a value."""
        before, gap, word = value.rpartition(" ")
        if not word:
            return None
        return await asyncio.to_thread(self._completed, before + gap, word)

    def _completed(self, before: str, word: str) -> str | None:
        option, names = self._option, list[str]()
        if option is None:
            option = OPTIONS.get(before.split()[-1] if before.split() else "")
            names = [*OPTIONS] if option is None else list(option.values)
        if option is not None and option.metavar == "SOURCE":
            names = ["miniature", *(f"{name}:" for name in BUILTIN)]
        matching = [name for name in names if name.startswith(word)]
        if option is not None and option.name in path_options():
            matching += islice(self._paths(word), 1)
        return next((before + text for text in matching), None)

    def _paths(self, word: str) -> Iterator[str]:
        """Yields the folders, and where files are asked for the files, that a path begins."""
        source, colon, path = word.rpartition(":")
        head, slash, start = path.rpartition("/")
        folder = expand_home(head or slash) if head or slash else Path()
        with suppress(OSError):
            for entry in sorted(folder.iterdir()):
                if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                    yield f"{source}{colon}{head}{slash}{entry.name}{'/' * entry.is_dir()}"


class RunButton(Button):
    """The button that starts the run; its key is shown like that of the fields."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "press", "start", tooltip="Start the run, or go on with it"),
    ]


class RunForm(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The common fields of a run, and under them its command line, which has all options.

    Args:
        setup: What it shows at first.
    """

    DEFAULT_CSS = """
    RunForm .wrong { display: none; padding-left: 18; color: $error; height: auto; }
    RunForm #refused { display: none; color: $error; height: auto; }
    RunForm #start { dock: bottom; height: auto; background: $background; }
    RunForm #hint { height: 2; color: $foreground 70%; }
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(id="form", classes="panel")
        self.border_title = "run"
        self.setup = setup
        self.unread = ""
        """Why the command line is not what the fields show; empty if it is."""

    def compose(self) -> ComposeResult:
        """Lays out the fields, the command line, and the button, which is always in sight."""
        yield Static("", id="names", markup=False)
        for name, option in FIELDS.items():
            shown = "" if option.required else option.shown_default  # else an example
            suggester = Suggestions(option)
            with Horizontal(classes="field", id=f"{name}-field"):
                yield Label(option.label)
                yield Field(
                    self.setup[name], placeholder=shown, suggester=suggester, id=name, compact=True
                )
            yield Static("", id=f"{name}-wrong", classes="wrong", markup=False)
        with Horizontal(classes="field", id=f"{COMMAND}-field"):
            yield Label("$")
            yield Field(self.setup.line, suggester=Suggestions(None), id=COMMAND, compact=True)
        yield Static("", id=f"{COMMAND}-wrong", classes="wrong", markup=False)
        with Vertical(id="start"):
            yield RunButton("start", id="run", variant="primary", compact=True)
            yield Static("", id="refused", markup=False)
            yield Static("", id="hint", markup=False)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        """Lets the command line follow the fields, or the fields the command line."""
        name, line = event.input.id or "", self.query_one(f"#{COMMAND}", Input)
        if name != COMMAND:
            self.setup = Setup(self.setup.models, {**self.setup.texts, name: event.value})
            self.unread = ""
            with self.prevent(Input.Changed):
                line.value = self.setup.line
            return
        self._show_hint(COMMAND)
        try:
            self.setup, self.unread = Setup.from_command(event.value), ""
        except UsageError as error:
            self.unread = str(error)
            return
        with self.prevent(Input.Changed):
            for field in FIELDS:
                self.query_one(f"#{field}", Input).value = self.setup[field]

    def show(self, wrong: Mapping[str, str], words: str) -> None:
        """Shows the fields that this run has a use for, and what is wrong under each.

        Args:
            wrong: What is wrong, by option; under the command line for one without a field.
            words: What the button says.
        """
        asked = self.setup.used_options
        models = "vectors in place of models" if self.setup.of_vectors else self.setup.models
        names = models if isinstance(models, str) else ", ".join(models)
        self.query_one("#names", Static).update(inert(f"{'model':<18}{names}"))
        others = [
            f"{'' if name == COMMAND else f'{flag(name)}: '}{reason}"
            for name, reason in wrong.items()
            if name == COMMAND or (name in asked and name not in FIELDS)
        ]
        under = {**wrong, COMMAND: "; ".join(others)}
        for name in (*FIELDS, COMMAND):
            shown = name in asked or name == COMMAND
            self.query_one(f"#{name}-field").display = shown
            text = self.query_one(f"#{name}-wrong", Static)
            text.update(inert(f"✗ {under.get(name)}"))
            text.display = shown and bool(under.get(name))
        self.query_one("#run", Button).label = inert(words)

    def show_error(self, text: str) -> None:
        """Shows under the button why the run did not start; empty for nothing."""
        refused = self.query_one("#refused", Static)
        refused.update(inert(text))
        refused.display = bool(text)

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        self._show_hint(event.widget.id or "")

    def _show_hint(self, name: str) -> None:
        """Shows what a field means, and of the command line the option that was typed last."""
        text = with_fields(FIELDS[name].help.replace("`", "")) if name in FIELDS else ""
        if name == COMMAND:
            words = self.query_one(f"#{COMMAND}", Input).value.split()
            last = next((OPTIONS[word] for word in reversed(words) if word in OPTIONS), None)
            text = f"{last.flag}: {last.help}".replace("`", "") if last is not None else ""
        hint = self.query_one("#hint", Static)
        room = hint.size.width * hint.size.height - 8  # words are wrapped
        hint.update(inert(fitted(text, room).rstrip() if len(text) > room > 0 else text))

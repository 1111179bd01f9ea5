"""The form of a run: a field an option, its help, what completes it, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import Suggester
from textual.widgets import Button, Input, Label, Select, Static

from tuiprobe.datasets.registry import BUILTIN
from tuiprobe.files import expand_home
from tuiprobe.options import OptionField
from tuiprobe.spec import path_options
from tuiprobe.tui.runsetup import FIELDS, Setup, field_groups, with_fields
from tuiprobe.tui.text import inert


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
        option: The option.
    """

    def __init__(self, option: OptionField) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._sources = option.metavar == "SOURCE"
        self._files = option.name in path_options()

    async def get_suggestion(self, value: str) -> str | None:
        """Returns the first text that begins with the last word of a value."""
        before, gap, word = value.rpartition(" ")
        if not word:
            return None
        return await asyncio.to_thread(self._completed, before + gap, word)

    def _completed(self, before: str, word: str) -> str | None:
        sources = ("miniature", *(f"{name}:" for name in BUILTIN)) if self._sources else ()
        matching = (name for name in sources if name.startswith(word))
        return next((before + text for text in (*matching, *self._paths(word))), None)

    def _paths(self, word: str) -> Iterator[str]:
        """Yields the folders, and where files are asked for the files, that a path begins."""
        source, colon, path = word.rpartition(":")
        head, slash, start = path.rpartition("/")
        folder = expand_home(head or slash) if head or slash else Path()
        with suppress(OSError):
            for entry in sorted(folder.iterdir()) if self._files else ():
                if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                    yield f"{source}{colon}{head}{slash}{entry.name}{'/' * entry.is_dir()}"


class RunButton(Button):
    """The button that starts the run; its key is shown like that of the fields."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "press", "start", tooltip="Start the run, or go on with it"),
    ]


class RunForm(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The fields of a run, the data first; the view follows the focus.

    Args:
        models: Presets or specs to probe.
        typed: Texts by option that were typed before.
    """

    DEFAULT_CSS = """
    RunForm .wrong { display: none; padding-left: 18; color: $error; height: auto; }
    RunForm #refused { display: none; color: $error; height: auto; }
    RunForm .group { height: auto; margin-top: 1; }
    RunForm .group-heading { color: $secondary; text-style: bold; }
    RunForm #start { dock: bottom; height: auto; background: $background; }
    RunForm #hint { height: 2; color: $foreground 70%; }
    """

    def __init__(self, models: tuple[str, ...], typed: Mapping[str, str]) -> None:
        super().__init__(id="form", classes="panel")
        self.border_title = "run"
        self._models, self._typed = models, typed

    def compose(self) -> ComposeResult:
        """Lays out the first fields, the button, the command line and the other fields."""
        first, *others = field_groups().items()
        yield Static("", id="names", markup=False)
        for option in first[1]:
            yield from self._field(option)
        with Vertical(id="start"):  # always in sight
            yield RunButton("start", id="run", variant="primary", compact=True)
            yield Static("", id="refused", markup=False)
            yield Static("", id="hint", markup=False)
        yield Static("", id="command", markup=False)
        for heading, options in others:
            with Vertical(classes="group"):
                yield Static(heading, classes="group-heading", markup=False)
                for option in options:
                    yield from self._field(option)

    def _field(self, option: OptionField) -> ComposeResult:
        text, name = self._typed.get(option.name, option.first_text), option.name
        with Horizontal(classes="field", id=f"{name}-field"):
            yield Label(option.label)
            if option.values:
                values = [(value, value) for value in option.values]
                yield Select(values, value=text, allow_blank=False, id=name, compact=True)
            else:
                shown = "" if option.required else option.shown_default  # else an example
                suggester = Suggestions(option)
                yield Field(text, placeholder=shown, suggester=suggester, id=name, compact=True)
        yield Static("", id=f"{name}-wrong", classes="wrong", markup=False)

    @property
    def setup(self) -> Setup:
        """The options as typed."""
        typed = {str(field.id): field.value for field in self.query(Input)}
        chosen = {str(field.id): str(field.value) for field in self.query(Select)}
        return Setup(self._models, typed | chosen)

    def show(self, setup: Setup, wrong: Mapping[str, str], words: str, command: str) -> None:
        """Shows the fields that this run has a use for, and what is wrong under each.

        Args:
            setup: The options as typed.
            wrong: What is wrong, by option.
            words: What the button says.
            command: The command line.
        """
        asked = setup.used_options
        names = "vectors in place of models" if setup.of_vectors else ", ".join(self._models)
        self.query_one("#names", Static).update(inert(f"{'model':<18}{names}"))
        for name in FIELDS:
            self.query_one(f"#{name}-field").display = name in asked or name == "embeddings"
            under = self.query_one(f"#{name}-wrong", Static)
            under.update(inert(f"✗ {wrong[name]}" if name in wrong else ""))
            under.display = name in wrong and name in asked
        for group in self.query(".group"):
            group.display = any(field.display for field in group.query(".field"))
        self.query_one("#run", Button).label = inert(words)
        self.query_one("#command", Static).update(inert(f"$ {command}"))

    def show_error(self, text: str) -> None:
        """Shows under the button why the run did not start; empty for nothing."""
        refused = self.query_one("#refused", Static)
        refused.update(inert(text))
        refused.display = bool(text)

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        name = event.widget.id or ""
        text = with_fields(FIELDS[name].help.replace("`", "")) if name in FIELDS else ""
        self.query_one("#hint", Static).update(inert(text))

"""The command palette: every action of every screen with its key.

One registry feeds footer, help and palette: the bindings of the screens and their widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from textual.binding import Binding
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.style import Style

from tuiprobe.show.tui.control import EngineApp
from tuiprobe.show.tui.keys import KEYS
from tuiprobe.show.tui.text import DIM, fitted, inert
from tuiprobe.show.tui.widgets.dialog import Dialog

KEY_WIDTH = 11

OTHER_SCREENS = (
    ("runs", "runs", ""),
    ("models", "models", ""),
    ("results", "runs", "Enter opens a run; there "),
    ("section", "runs", "Enter opens a run; at its channels "),
    ("compare", "runs", "mark two runs, press c; there "),
    ("pictures", "runs", "Enter opens a run; behind its p "),
    ("label", "runs", "Enter opens a run; behind its b "),
    ("live", "runs", "Enter opens a run that goes on; there "),
    ("setup", "models", "Enter sets up a run; there "),
)
"""Places in `KEYS`, with the list that leads there and how."""


def working_keys(screen: Screen[Any]) -> Iterator[tuple[Binding, DOMNode]]:
    """Yields the bindings that work on a screen now, with the node each belongs to.

    A binding without a tooltip is part of a widget's own editing and is left out.
    """
    seen = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        if active.enabled and binding.tooltip and binding.action not in seen:
            seen.add(binding.action)
            yield binding, active.node


@dataclass(frozen=True)
class Command:
    """A line of the palette.

    Attributes:
        text: Its word and what it does.
        key: Its key, as people read it.
        run: Does it, or leads to where its key does.
        place: The screen on which it works; empty for the one that is shown.
        shown: Whether the line of keys may show it, unlike moves of a cursor.
    """

    text: str
    key: str
    run: Callable[[], Any]
    place: str = ""
    shown: bool = True

    def line(self, text: Content) -> Content:
        """Returns the line, whose text may have matching letters marked."""
        where = Content.styled(f"  in {self.place}", DIM) if self.place else Content()
        return Content.assemble((fitted(self.key, KEY_WIDTH), "bold $accent"), text, where)


class Commands(Provider):
    """What the screen below the palette can do, then what all others can."""

    def __init__(self, screen: Screen[Any], match_style: Style | None = None) -> None:
        super().__init__(screen, match_style)
        self._app: EngineApp = screen.app  # type: ignore[assignment]
        act = self.app.run_action
        self._screen_commands = [
            self._command(binding, partial(act, binding.action, default_namespace=node))
            for binding, node in working_keys(screen)
        ]
        themes = partial(act, "app.change_theme")
        self._screen_commands.append(Command("all themes: Choose one of all themes", "", themes))

    def _command(self, binding: Binding, run: Callable[[], Any], place: str = "") -> Command:
        """Returns a binding as a command; those of other screens do not know the settings' keys."""
        chosen = self._app.settings.keymap.get(binding.id or "") if place else None
        text = f"{binding.description}: {binding.tooltip}"
        key = chosen or self.app.get_key_display(binding)
        return Command(text, key, run, place, binding.show)

    def _commands(self) -> list[Command]:
        """Returns all commands, moves of a cursor last; keys that only lead back are left out."""
        commands = [*self._screen_commands]
        names = {one.text.partition(":")[0] for one in commands}
        for name, place, how in OTHER_SCREENS:
            for binding in Binding.make_bindings(KEYS[name]):
                leads_back = not binding.tooltip or "escape" in binding.key
                if leads_back or binding.description in names:
                    continue
                names.add(binding.description)
                command = self._command(binding, str, "results" if name == "section" else name)
                hint = f"{how}{command.key}: {binding.tooltip}"
                commands.append(replace(command, run=partial(self._lead_to_list, place, hint)))
        return sorted(commands, key=lambda one: not one.shown)

    async def _lead_to_list(self, name: str, hint: str) -> None:
        """Goes to one of the main places, and says which keys go on there."""
        await self._app.run_action(f"app.open_list('{name}')")
        self._app.notify(hint, timeout=8, markup=False)

    async def discover(self) -> Hits:
        """Yields all commands."""
        for one in self._commands():
            yield DiscoveryHit(one.line(inert(one.text)), one.run, one.text)

    async def search(self, query: str) -> Hits:
        """Yields the commands that match letters in their order, by Textual's score."""
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(command.text)
            if score > 0:
                line = command.line(matcher.highlight(command.text))
                yield Hit(score, line, command.run, command.text)


class Palette(CommandPalette, Dialog[None]):
    """Textual's palette, without what ends the program when keys come faster than it is drawn."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Returns whether the list has lines to move in, which it has once it is laid out."""
        moves = action == "command_list"
        return not moves or any(one.scrollable_content_region for one in self.query(CommandList))

    def on_screen_suspend(self) -> None:
        """Ends the search where another screen takes its place."""
        self.workers.cancel_node(self)

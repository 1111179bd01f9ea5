"""The command palette: every action of every screen with its key, the most used first.

One registry feeds footer, help and palette: the bindings of the screens and their widgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from typing import Any

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.style import Style

from tuiprobe.tui.control import EngineApp
from tuiprobe.tui.text import DIM, fitted, inert

KEY_WIDTH = 11

ELSEWHERE = (
    ("runs", "screens.runs:RunsScreen", "runs", ""),
    ("models", "screens.models:ModelsScreen", "models", ""),
    ("results", "screens.results:ResultsScreen", "runs", "Enter opens a run; there "),
    ("results", "tabs.section:SectionTab", "runs", "Enter opens a run; at its channels "),
    ("compare", "screens.compare:CompareScreen", "runs", "mark two runs, press c; there "),
    ("pictures", "screens.pictures:PicturesScreen", "runs", "Enter opens a run; behind its p "),
    ("label", "screens.label:LabelScreen", "runs", "Enter opens a run; behind its b "),
    ("live", "screens.live:LiveScreen", "runs", "Enter opens a run that goes on; there "),
    ("setup", "screens.setup:SetupScreen", "models", "Enter sets up a run; there "),
)
"""Screens by name and class, with the list that leads there and how."""


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


@cache
def _keys_elsewhere() -> list[tuple[str, str, str, Binding]]:
    """Returns the bindings of all screens, which are loaded for it, with `ELSEWHERE` without class.

    Keys that only lead back are left out.
    """
    keys = []
    for name, path, place, how in ELSEWHERE:
        module, _, kind = path.partition(":")
        screen = getattr(import_module(f"tuiprobe.tui.{module}"), kind)
        for binding in Binding.make_bindings(screen.BINDINGS):
            if binding.tooltip and "escape" not in binding.key:
                keys.append((name, place, how, binding))
    return keys


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
        self._here = [
            self._command(binding, partial(act, binding.action, default_namespace=node))
            for binding, node in working_keys(screen)
        ]
        themes = partial(act, "app.change_theme")
        self._here.append(Command("all themes: Choose one of all themes", "", themes))

    def _command(self, binding: Binding, run: Callable[[], Any], place: str = "") -> Command:
        """Returns a binding as a command; those of other screens do not know the settings' keys."""
        chosen = self._app.settings.keymap.get(binding.id or "") if place else None
        text = f"{binding.description}: {binding.tooltip}"
        key = chosen or self.app.get_key_display(binding)
        return Command(text, key, run, place, binding.show)

    async def _commands(self) -> list[Command]:
        """Returns all commands, the most used first.

        What is loaded in a thread is not undone where a key of the next search ends this one, as
        `startup` would be.
        """
        commands, words = [*self._here], {of.text.partition(":")[0] for of in self._here}
        for name, place, how, binding in await asyncio.to_thread(_keys_elsewhere):
            if binding.description not in words:
                words.add(binding.description)
                of = self._command(binding, str, name)
                hint = f"{how}{of.key}: {binding.tooltip}"
                commands.append(replace(of, run=partial(self._lead, place, hint)))
        used = self._app.settings.used
        return sorted(commands, key=lambda of: (-used.get(of.text, 0), not of.shown))

    async def _lead(self, place: str, hint: str) -> None:
        """Goes to one of the main places, and says which keys go on there."""
        await self._app.run_action(f"app.go('{place}')")
        self._app.notify(hint, timeout=8, markup=False)

    def _chosen(self, command: Command) -> Callable[[], Any]:
        def run() -> Any:
            used = self._app.settings.used
            used[command.text] = used.get(command.text, 0) + 1
            self._app.write_settings()
            return command.run()

        return run

    async def discover(self) -> Hits:
        """Yields all commands."""
        for of in await self._commands():
            yield DiscoveryHit(of.line(inert(of.text)), self._chosen(of), of.text)

    async def search(self, query: str) -> Hits:
        """Yields the commands that match, the best first: by name, then by use, then by letters.

        Args:
            query: Letters in the order in which a command has them.
        """
        matcher, used = self.matcher(query), self._app.settings.used
        for of in await self._commands():
            score = matcher.match(of.text)
            if score > 0:
                named = of.text.lower().startswith(query.lower())
                score *= (1 + named) * (2.0 - 1.0 / (1 + used.get(of.text, 0)))
                yield Hit(score, of.line(matcher.highlight(of.text)), self._chosen(of), of.text)

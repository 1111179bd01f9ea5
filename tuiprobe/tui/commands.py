"""The command palette: every key that works now, by its name and by what it does.

One registry feeds footer, help and palette: the bindings of the screens and their widgets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any, NamedTuple

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.screen import Screen


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


_USED: Counter[str] = Counter()
"""How often each action was chosen in the palette since the program started."""


class Command(NamedTuple):
    """A line of the palette: name and meaning, the key, and what it runs."""

    text: str
    key: str
    run: partial[Coroutine[Any, Any, bool]]


class ScreenCommands(Provider):
    """The keys of the screen below the palette, and what has no key."""

    async def discover(self) -> Hits:
        """Yields all of them."""
        for command in self._commands():
            yield DiscoveryHit(command.text, command.run, help=command.key)

    async def search(self, query: str) -> Hits:
        """Yields those whose name or meaning resembles the query."""
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(command.text)
            if score > 0:
                highlighted = matcher.highlight(command.text)
                yield Hit(score, highlighted, command.run, text=command.text, help=command.key)

    def _commands(self) -> Iterator[Command]:
        keys = sorted(working_keys(self.screen), key=lambda pair: -_USED[pair[0].action])
        for binding, node in keys:
            run = partial(self._run, binding.action, node)
            text = f"{binding.description}: {binding.tooltip}"
            yield Command(text, self.app.get_key_display(binding), run)
        run = partial(self._run, "app.change_theme", None)
        yield Command("all themes: Choose one of all themes", "no key", run)

    async def _run(self, action: str, node: DOMNode | None) -> bool:
        _USED[action] += 1
        return await self.app.run_action(action, default_namespace=node)

"""The command palette: every key that works now, by its description.

One registry feeds footer, help and palette: the bindings of the screens and their widgets.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any

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


class ScreenCommands(Provider):
    """The keys of the screen below the palette."""

    async def discover(self) -> Hits:
        """Yields all of them."""
        for text, help_text, run in self._entries():
            yield DiscoveryHit(text, run, help=help_text)

    async def search(self, query: str) -> Hits:
        """Yields those whose description resembles the query."""
        matcher = self.matcher(query)
        for text, help_text, run in self._entries():
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, matcher.highlight(text), run, text=text, help=help_text)

    def _entries(self) -> Iterator[tuple[str, str, partial[Coroutine[Any, Any, bool]]]]:
        for binding, node in working_keys(self.screen):
            key = self.app.get_key_display(binding)
            run = partial(self.app.run_action, binding.action, default_namespace=node)
            yield binding.tooltip, f"{binding.description} · {key}", run

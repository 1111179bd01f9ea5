"""The command palette: every key that works now, by its name and by what it does.

One registry feeds footer, help and palette: the bindings of the screens and their widgets.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from textual.binding import Binding
from textual.command import SimpleCommand, SimpleProvider
from textual.dom import DOMNode
from textual.screen import Screen
from textual.style import Style


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


class ScreenCommands(SimpleProvider):
    """The keys of the screen below the palette, and what has no key.

    Args:
        screen: The screen.
        match_style: How letters that match are drawn.
    """

    def __init__(self, screen: Screen[Any], match_style: Style | None = None) -> None:
        app = screen.app
        commands = [
            SimpleCommand(
                f"{binding.description}: {binding.tooltip}",
                partial(app.run_action, binding.action, default_namespace=node),
                app.get_key_display(binding),
            )
            for binding, node in working_keys(screen)
        ]
        themes = partial(app.run_action, "app.change_theme")
        commands.append(SimpleCommand("all themes: Choose one of all themes", themes, "no key"))
        super().__init__(screen, [*commands])
        self(screen, match_style)

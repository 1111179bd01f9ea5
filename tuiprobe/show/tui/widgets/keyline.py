"""The line at the bottom: the keys that work now, the most important ones first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import ActiveBinding, Binding
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.plaintext import plain
from tuiprobe.show.tui.text import fitted

_ALWAYS = ("help", "app.help")
"""Actions that are shown however narrow the line is."""


class FooterKey(NamedTuple):
    """A key in the line: how it is shown, what it does in a word, and what a click presses."""

    label: str
    word: str
    key: str

    @property
    def width(self) -> int:
        """Cells that it takes."""
        return cell_len(self.label) + cell_len(self.word) + 3


def by_importance(active: Iterable[ActiveBinding], screen: Screen[Any]) -> list[ActiveBinding]:
    """Returns the bindings that a line of keys shows, one an action, the most important first.

    The actions that the screen calls important come first (`IMPORTANT`), then those of the widget
    with the focus, then those of the screen in the order in which its class lists them, then what
    every screen has.
    """
    important = list(getattr(screen, "IMPORTANT", ()))
    actions = [binding.action for binding in Binding.make_bindings(type(screen).BINDINGS)]

    def rank(key: ActiveBinding) -> tuple[int, int]:
        action = key.binding.action
        if action in important:
            return (0, important.index(action))
        if key.node is screen:
            return (2, actions.index(action) if action in actions else len(actions))
        return (3, 0) if key.node is screen.app else (1, 0)

    by_action: dict[str, ActiveBinding] = {}
    for key in active:
        if key.binding.show and key.enabled and key.binding.description:
            by_action.setdefault(key.binding.action, key)
    return sorted(by_action.values(), key=rank)


def fitting(keys: Sequence[FooterKey], always: Sequence[FooterKey], width: int) -> list[FooterKey]:
    """Returns the keys that fit: `always` at the end, before them as many of the others as fit.

    >>> a, b, c = FooterKey("a", "add", "a"), FooterKey("b", "by", "b"), FooterKey("?", "help", "?")
    >>> [key.word for key in fitting([a, b], [c], 16)], [key.word for key in fitting([], [c], 1)]
    (['add', 'help'], ['help'])
    """
    room = width - sum(key.width for key in always)
    shown = []
    for key in keys:
        if key.width <= room:
            shown.append(key)
            room -= key.width
    return [*shown, *always]


class KeyLine(Widget):
    """The keys that work now, in one line; a click presses one."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key", "keys--word"}
    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; background: $panel; }
    KeyLine > .keys--key { color: $accent; background: $panel; text-style: bold; }
    KeyLine > .keys--word { color: $foreground; background: $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._drawn: list[FooterKey] = []

    def on_mount(self) -> None:
        """Follows the focus, and what the screen says of its keys."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Screen[Any]) -> None:
        if self.is_attached and self.keys != self._drawn:
            self.refresh()

    @property
    def keys(self) -> list[FooterKey]:
        """The keys that are shown, from left to right."""
        others: list[FooterKey] = []
        always: list[FooterKey] = []
        for active in by_importance(self.screen.active_bindings.values(), self.screen):
            binding = active.binding
            label = plain(self.app.get_key_display(binding))
            key = FooterKey(label, plain(binding.description), binding.key)
            (always if binding.action in _ALWAYS else others).append(key)
        return fitting(others, always, self.size.width)

    def render_line(self, y: int) -> Strip:
        """Returns the line."""
        key_style = self.get_component_rich_style("keys--key")
        word_style = self.get_component_rich_style("keys--word")
        segments, left = [], self.size.width
        self._drawn = self.keys
        for key in self._drawn:
            for text, style in ((f" {key.label} ", key_style), (f"{key.word} ", word_style)):
                text = fitted(text, min(cell_len(text), left))
                segments.append(Segment(text, style))
                left -= cell_len(text)
        segments.append(Segment(" " * left, word_style))
        return Strip(segments, self.size.width)

    def on_click(self, event: events.Click) -> None:
        """Presses the key under the pointer."""
        edge = 0
        for key in self._drawn:
            edge += key.width
            if event.x < edge:
                self.app.simulate_key(key.key)
                return

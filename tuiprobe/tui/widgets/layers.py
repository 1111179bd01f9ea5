"""The measured layers as a heat strip: darker means more kurtosis; one is selected."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from tuiprobe.numbers import number
from tuiprobe.plaintext import plain
from tuiprobe.tui.text import fitted

SHADES = "·░▒▓█"


def heat(kurtosis: float | None, largest: float) -> str:
    """Returns the shade of a layer: the root of its excess over 3 against the largest one's.

    >>> heat(3.0, 71.0), heat(71.0, 71.0), heat(None, 71.0)
    ('░', '█', '·')
    """
    if kurtosis is None:
        return SHADES[0]
    part = math.sqrt(max(kurtosis - 3, 0.0) / max(largest - 3, 1e-9))
    return SHADES[1 + min(round(part * 3), 3)]


def strip_line(values: Sequence[float | None], selected: int, width: int) -> str:
    """Returns the layers as shades, the selected one in brackets; a window of them if too many.

    >>> strip_line([3.0, 20.0, 71.0], 1, 20)
    ' ░[▓]█              '
    """
    largest = max((value for value in values if value is not None), default=3.0)
    room = max((width - 2) // 2, 1)
    start = max(0, min(selected - room // 2, len(values) - room))
    layers = range(start, min(start + room, len(values)))
    gaps = ["[" if i == selected else "]" if i == selected + 1 else " " for i in layers]
    last = "]" if selected == start + len(layers) - 1 else ""
    shades = "".join(g + heat(values[i], largest) for g, i in zip(gaps, layers, strict=True))
    return fitted(shades + last, width)


class LayerStrip(Static):
    """Layers in the order of the network: shades, then the selected layer's name and kurtosis."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "LayerStrip { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._names: list[str] = []
        self._values: list[float | None] = []
        self._selected = 0

    def show(self, names: list[str], values: list[float | None], selected: int) -> None:
        """Shows other figures in place."""
        self._names, self._values, self._selected = names, values, selected
        self.on_resize()

    def explained(self) -> tuple[str, ...]:
        """Returns the terms of the strip."""
        return ("tap", "kurtosis")

    def on_resize(self) -> None:
        """Draws for the width there is."""
        if not self._names:
            return
        room = min(2 * len(self._names) + 2, max(self.size.width // 2, 4))
        value = self._values[self._selected]
        kurtosis = "" if value is None else f" · kurtosis {number(value)}"
        place = f"layer {self._selected + 1} of {len(self._names)}"
        words = f"{plain(self._names[self._selected])}{kurtosis} · {place}"
        shades = strip_line(self._values, self._selected, room)
        self.update(Content.assemble((shades, "$accent"), (words, "$foreground 70%")))

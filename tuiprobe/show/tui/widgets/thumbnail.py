"""Small pictures in a plain terminal: half blocks with two pixels per cell, or shades."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.strip import Strip
from textual.widget import Widget

from tuiprobe.files import DamagedFileError, Entry

if TYPE_CHECKING:
    from PIL.Image import Image

_SHADES = " .:-=+*#%@"


def read_picture(file: Entry, width: int, height: int) -> Image | None:
    """Returns a JPEG scaled into `width` x `height` pixels, RGB, or None if it is none."""
    from tuiprobe.datasets.decode import decode_image
    from tuiprobe.errors import UnreadableImageError

    try:
        image = decode_image(BytesIO(file.read_bytes()), formats=("JPEG",))
    except (DamagedFileError, UnreadableImageError):
        return None
    return scaled(image, width, height)


def scaled(image: Image, width: int, height: int) -> Image:
    """Returns an RGB picture scaled into `width` x `height` pixels."""
    from PIL.Image import Resampling

    return image.resize((width, height), Resampling.BILINEAR)


def picture_strips(image: Image, app: App[Any], style: Style) -> list[Strip]:
    """Returns the lines of a picture as a terminal can show it, two pixels a cell.

    Half blocks have the colour of the upper pixel before that of the lower one; without colours
    a character stands for the mean of both.

    Args:
        image: The picture, RGB, with an even height.
        app: Says whether there are colours.
        style: Of characters that stand for shades.
    """
    width, height = image.size
    if app.no_color:
        light = image.convert("L").reduce((1, 2)).tobytes()
        text = "".join(_SHADES[value * len(_SHADES) // 256] for value in light)
        starts = range(0, len(text), width)
        return [Strip([Segment(text[start : start + width], style)]) for start in starts]
    data = image.tobytes()
    colours = [Color.from_rgb(*data[i : i + 3]) for i in range(0, len(data), 3)]
    return [
        Strip(
            Segment("▀", Style(color=colours[i], bgcolor=colours[i + width]))
            for i in range(y * width, (y + 1) * width)
        )
        for y in range(0, height, 2)
    ]


class PictureView(Widget):
    """Shows a picture in its own shape, as large as fits; nothing before there is one.

    Args:
        id: Id of the widget.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "WholePicture { width: 1fr; height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._image: Image | None = None
        self._strips: list[Strip] = []

    def show_image(self, image: Image | None) -> None:
        """Shows another picture, RGB; None for nothing."""
        self._image = image
        self.on_resize()

    def on_resize(self) -> None:
        """Scales the picture to the new size."""
        width, height = self.size
        self._strips = []
        if self._image is not None and width and height:
            across, down = self._image.size
            scale = min(width / across, 2 * height / down)  # a cell is two pixels high
            columns = max(round(across * scale), 1)
            image = scaled(self._image, columns, 2 * max(round(down * scale / 2), 1))
            lines = picture_strips(image, self.app, self.rich_style)
            margin = Strip.blank((width - columns) // 2, self.rich_style)
            self._strips = [
                Strip.join([margin, line]).adjust_cell_length(width, self.rich_style)
                for line in lines
            ]
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Returns one line of the picture."""
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

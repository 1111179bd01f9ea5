"""Small pictures in a plain terminal: half blocks with two pixels per cell, or ASCII shades."""

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

Rows = tuple[tuple[tuple[int, int, int], ...], ...]
"""Pixels of a picture: rows of RGB triples."""


def read_pixels(file: Entry, width: int, height: int) -> Rows | None:
    """Returns a JPEG scaled into `width` x `height` pixels, or None if it is none."""
    from tuiprobe.datasets.base import UnreadableImageError
    from tuiprobe.datasets.decode import decode_image

    try:
        image = decode_image(BytesIO(file.read_bytes()), formats=("JPEG",))
    except (DamagedFileError, UnreadableImageError):
        return None
    return scaled(image, width, height)


def scaled(image: Image, width: int, height: int) -> Rows:
    """Returns an RGB picture scaled into `width` x `height` pixels."""
    from PIL.Image import Resampling

    data = image.resize((width, height), Resampling.BILINEAR).tobytes()
    pixels = [(data[i], data[i + 1], data[i + 2]) for i in range(0, len(data), 3)]
    return tuple(tuple(pixels[y * width : (y + 1) * width]) for y in range(height))


def half_blocks(pixels: Rows) -> list[list[Segment]]:
    """Returns lines of half blocks: the upper pixel is the foreground, the lower the background.

    >>> line = half_blocks((((255, 0, 0),), ((0, 0, 255),)))[0]
    >>> line[0].text, line[0].style.color.triplet.hex, line[0].style.bgcolor.triplet.hex
    ('▀', '#ff0000', '#0000ff')
    """
    return [
        [
            Segment("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
            for upper, lower in zip(top, bottom, strict=True)
        ]
        for top, bottom in zip(pixels[::2], pixels[1::2], strict=False)
    ]


def shades(pixels: Rows) -> list[str]:
    """Returns lines of ASCII shades, the mean of two pixels a cell.

    >>> shades((((0, 0, 0), (255, 255, 255)), ((0, 0, 0), (255, 255, 255))))
    [' @']
    """
    return [
        "".join(_shade(u, d) for u, d in zip(top, bottom, strict=True))
        for top, bottom in zip(pixels[::2], pixels[1::2], strict=False)
    ]


def _shade(upper: tuple[int, int, int], lower: tuple[int, int, int]) -> str:
    light = sum(0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2] for p in (upper, lower)) / 2
    return _SHADES[min(int(light / 256 * len(_SHADES)), len(_SHADES) - 1)]


def picture_strips(pixels: Rows, app: App[Any], style: Style) -> list[Strip]:
    """Returns the lines of a picture as a terminal can show it.

    Args:
        pixels: The picture.
        app: Says whether there are colours and characters beyond ASCII.
        style: Of characters that stand for shades.
    """
    if getattr(app, "ascii", False) or app.no_color:
        return [Strip([Segment(line, style)]) for line in shades(pixels)]
    return [Strip(line) for line in half_blocks(pixels)]


class Thumbnail(Widget):
    """Shows one JPEG of a run directory, or an empty frame if there is no picture.

    The picture is read when the path or the size changes, never while drawing.

    Args:
        file: The picture.
        id: Id of the widget.
        classes: CSS classes.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "Thumbnail { width: 16; height: 8; }"

    def __init__(
        self, file: Entry | None = None, *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._file = file
        self._strips: list[Strip] = []
        self._missing = False

    @property
    def file(self) -> Entry | None:
        """The picture that is shown."""
        return self._file

    def show(self, file: Entry | None) -> None:
        """Shows another picture in place; one that was not there yet is looked for again."""
        if file != self._file or self._missing:
            self._file = file
            self._draw()

    def on_resize(self) -> None:
        """Scales the picture to the new size."""
        self._draw()

    def _draw(self) -> None:
        width, height = self.size
        if width < 1 or height < 1:
            return
        pixels = None
        if self._file is not None:
            pixels = read_pixels(self._file, width, 2 * height)
        self._missing = pixels is None and self._file is not None
        if pixels is None:
            blank = Strip([Segment("·" * width, self.rich_style)])
            self._strips = [blank] * height if self._file is not None else []
        else:
            self._strips = self._drawn(pixels)
        self.refresh()

    def _drawn(self, pixels: Rows) -> list[Strip]:
        return picture_strips(pixels, self.app, self.rich_style)

    def render_line(self, y: int) -> Strip:
        """Returns one line of the picture."""
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)


class WholePicture(Thumbnail):
    """Shows a picture in its own shape, as large as fits; nothing before there is one."""

    DEFAULT_CSS = "WholePicture { width: 1fr; height: 1fr; }"
    _image: Image | None = None

    def show_image(self, image: Image) -> None:
        """Shows another picture, RGB."""
        self._image = image
        self._draw()

    def _draw(self) -> None:
        width, height = self.size
        self._strips = []
        if self._image is not None and width and height:
            across, down = self._image.size
            scale = min(width / across, 2 * height / down)  # a cell is two pixels high
            columns = max(round(across * scale), 1)
            lines = self._drawn(scaled(self._image, columns, 2 * max(round(down * scale / 2), 1)))
            margin = Strip.blank((width - columns) // 2, self.rich_style)
            self._strips = [
                Strip.join([margin, line]).adjust_cell_length(width, self.rich_style)
                for line in lines
            ]
        self.refresh()

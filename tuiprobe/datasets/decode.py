"""Bytes to an RGB image: one rule for every data source.

The conversions follow what open_clip and timm evaluate with (``convert("RGB")``), except where that
call silently damages the picture: 16-bit images are scaled instead of clipped, and EXIF
orientation is honoured.
"""

from __future__ import annotations

from functools import cache
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from tuiprobe.datasets.base import UnreadableImageError

MAX_PIXELS = 178_956_970
"""Largest image that is decoded: Pillow's own decompression-bomb limit, about 179 megapixels."""

# Formats that start another program (Ghostscript) or that Pillow only identifies.
_NOT_PICTURES = {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF", "FPX", "MIC"}


@cache
def readable_formats() -> tuple[str, ...]:
    """Returns the names of the Pillow formats that may be opened."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NOT_PICTURES))


@cache
def readable_extensions() -> frozenset[str]:
    """Returns the lower-case file name extensions, with the dot, that count as images.

    >>> ".jpg" in readable_extensions(), ".txt" in readable_extensions()
    (True, False)
    """
    formats = set(readable_formats())
    return frozenset(ext for ext, name in Image.registered_extensions().items() if name in formats)


def decode_image(file: IO[bytes]) -> Image.Image:
    """Decodes the first frame of an image file, upright, to RGB.

    Args:
        file: Binary file object.

    Returns:
        A loaded image of mode ``RGB``.

    Raises:
        UnreadableImageError: With the cause, for anything that is not a whole, sane image.
    """
    previous = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None  # our own check below reports the size; Pillow's warns first
        with Image.open(file, formats=readable_formats()) as image:
            _refuse_huge(image.size)
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except UnreadableImageError:
        raise
    except Exception as error:
        # Pillow's plugins raise whatever their parser trips over (struct.error, SyntaxError,
        # zlib.error, ...): a damaged file must never end the run.
        raise UnreadableImageError(_cause(error)) from error
    finally:
        Image.MAX_IMAGE_PIXELS = previous


def _refuse_huge(size: tuple[int, int]) -> None:
    pixels = size[0] * size[1]
    if pixels > MAX_PIXELS:
        raise UnreadableImageError(
            f"{size[0]} x {size[1]} = {pixels / 1e6:.0f} megapixels, above the limit of "
            f"{MAX_PIXELS / 1e6:.0f}"
        )
    if pixels == 0:
        raise UnreadableImageError("an image without pixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return _from_integers(np.asarray(image))
    if image.mode == "I":
        return _from_integers(np.asarray(image))
    if image.mode == "F":
        return _from_floats(np.asarray(image))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB warns and treats the colour key as paint
    return image.convert("RGB")


def _from_integers(values: np.ndarray) -> Image.Image:
    if values.min() < 0 or values.max() > 65535:
        raise UnreadableImageError("a 32-bit integer image has no agreed range of brightness")
    return Image.fromarray((values // 257).astype(np.uint8)).convert("RGB")


def _from_floats(values: np.ndarray) -> Image.Image:
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise UnreadableImageError("a float image outside [0, 1] has no agreed range of brightness")
    return Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")


def _cause(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image in any format Pillow reads"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

"""Decodes bytes to an RGB image, by the same rules for every data source.

The conversions follow the evaluation of open_clip and timm (`convert("RGB")`), except where that
call silently damages the image: 16-bit images are scaled instead of clipped, 32-bit ones, whose
range is unknown, are refused, and EXIF orientation is applied.
"""

from __future__ import annotations

import io
import warnings
from functools import cache
from typing import IO

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from tuiprobe.errors import UnreadableImageError
from tuiprobe.limits import DECODED_IMAGE_BYTES

# Pillow stores RGB in 4 bytes per pixel, and no mode needs more; a conversion holds two images.
_RGB_BYTES, _CONVERTED_BYTES = 4, 8
_CODEC_BYTES = {"JPEG2000": 16}  # decodes to 32-bit integers first

# Formats that start another program (Ghostscript), that Pillow only identifies, or that it
# unpacks without a limit (FITS).
_NOT_PICTURES = {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF", "FPX", "MIC", "FITS"}

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Operation that makes an image upright, by EXIF orientation."""
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_STEP, _STEP_OF_12_BITS = 257, 16
"""Values of 16 and of 12 bits that become one of 8: 65535 // 257 and 4095 // 16 are 255."""

_DEEP_AS_32_BITS = ("PNG", "PPM")
"""Formats of at most 16 bits a channel that Pillow, or an older Pillow, opens with 32."""

_ROWS_AT_ONCE = 256


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


def decode_image(file: IO[bytes], formats: tuple[str, ...] | None = None) -> Image.Image:
    """Decodes the first frame of an image file, upright, to RGB.

    Args:
        file: Binary file object.
        formats: Pillow's names of the formats that it may have; None for all that are readable.

    Returns:
        A loaded image of mode `RGB`.

    Raises:
        UnreadableImageError: If the file is not a complete, valid image; states the cause.
    """
    previous = Image.MAX_IMAGE_PIXELS
    try:
        # The check of Pillow also covers an image inside an icon that is larger than the icon
        # claims. It warns above its limit and refuses above twice the limit.
        Image.MAX_IMAGE_PIXELS = DECODED_IMAGE_BYTES // _RGB_BYTES // 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decoded(file, formats or readable_formats())
    except UnreadableImageError:
        raise
    except Exception as error:
        # Pillow's plugins raise many kinds of error (struct.error, SyntaxError, zlib.error, ...),
        # and a damaged file must never end the run.
        raise UnreadableImageError(_cause(error)) from error
    finally:
        Image.MAX_IMAGE_PIXELS = previous


def _decoded(file: IO[bytes], formats: tuple[str, ...]) -> Image.Image:
    with Image.open(file, formats=formats) as image:
        _refuse_huge(image.size, image)
        if isinstance(image, TiffImageFile) and _TILE_WIDTH in image.tag_v2:
            _refuse_huge((image.tag_v2[_TILE_WIDTH], image.tag_v2[_TILE_LENGTH]), image)
        # Values whose white is not known: any guess would measure some sets as black.
        if image.mode == "F" or (image.mode == "I" and image.format not in _DEEP_AS_32_BITS):
            kind = "float" if image.mode == "F" else "32-bit or signed integer"
            raise UnreadableImageError(
                f"a {kind} image has no agreed range of brightness; scale its values to 0 to 255 "
                "or 0 to 65,535 and save it with 8 or 16 bits"
            )
        step = _STEP_OF_12_BITS if "I;12" in _raw_modes(image) else _STEP
        image.load()
        inverted = isinstance(image, TiffImageFile) and (
            image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        )
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        return _to_rgb(image if turn is None else image.transpose(turn), step, inverted)


def rgb(image: Image.Image) -> Image.Image:
    """Returns an opened image as RGB, by the same rules; one that is RGB is not copied."""
    return _to_rgb(image, _STEP, inverted=False)


def has_deep_values(data: bytes) -> bool:
    """Returns whether an image file stores more than 8 bits a channel; not if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=readable_formats()) as image:
                deep = any(";16" in mode or ";12" in mode for mode in _raw_modes(image))
                return deep or image.mode.startswith("I")
    except Exception:  # as in `decode_image`, which states the cause
        return False


def _raw_modes(image: Image.Image) -> tuple[str, ...]:
    """Returns the modes in which the pixels lie in the file; only before they are loaded."""
    modes: list[str] = []
    for _, _, _, arguments in getattr(image, "tile", ()):
        several = (arguments,) if isinstance(arguments, str) else tuple(arguments or ())
        modes += [argument for argument in several if isinstance(argument, str)]
        if image.format == "PPM" and any(isinstance(n, int) and n > 255 for n in several):
            modes.append("I;16")
    return tuple(modes)


def _refuse_huge(size: tuple[int, int], image: Image.Image) -> None:
    pixels = size[0] * size[1]
    each = _RGB_BYTES if image.mode == "RGB" else _CONVERTED_BYTES
    needed = pixels * (each + _CODEC_BYTES.get(image.format or "", 0))
    if needed > DECODED_IMAGE_BYTES:
        raise UnreadableImageError(
            f"{size[0]} x {size[1]} = {pixels / 1e6:.0f} megapixels take {needed / 2**20:,.0f} MiB "
            f"of memory, above the limit of {DECODED_IMAGE_BYTES / 2**20:.0f}"
        )
    if pixels <= 0:
        raise UnreadableImageError("an image without pixels")


def _to_rgb(image: Image.Image, step: int, inverted: bool) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        return _scaled(image, step, inverted)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # direct RGB warns and keeps the colour key
    return image.convert("RGB")


def _scaled(image: Image.Image, step: int, inverted: bool) -> Image.Image:
    """Converts a one-band image of integers a few rows at a time, to avoid a second full copy."""
    import numpy as np  # screens show pictures without it, which saves 13 MB

    result = Image.new("RGB", image.size)
    for top in range(0, image.height, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, image.height)
        values = np.asarray(image.crop((0, top, image.width, bottom)))
        rows = (values // step).astype(np.uint8)
        rows = 255 - rows if inverted else rows
        result.paste(Image.fromarray(rows).convert("RGB"), (0, top))
    return result


def _cause(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        limit = DECODED_IMAGE_BYTES / _RGB_BYTES / 1e6
        return f"more than {limit:.0f} megapixels, above the limit of what is decoded"
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image in any format Pillow reads"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

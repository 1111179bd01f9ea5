from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.content import read_file
from tuiprobe.datasets.decode import decode_image, readable_extensions

PICTURE = data.chelsea()[:100, :150]


def encoded(image: Image.Image, format: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "GIF", "JPEG", "TGA"])
def test_every_common_format_decodes_to_the_picture(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    image = decode_image(encoded(Image.fromarray(PICTURE), format, **options))
    assert image.mode == "RGB"
    difference = np.abs(np.asarray(image, dtype=int) - PICTURE).mean()
    assert difference < {"GIF": 12, "JPEG": 5}.get(format, 1e-9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int) -> None:
    upright = Image.fromarray(PICTURE)
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encoded(image, "PNG", exif=exif))
    assert np.array_equal(np.asarray(decoded), PICTURE)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    decoded = np.asarray(decode_image(encoded(Image.fromarray(values), "PNG")))
    assert np.array_equal(decoded[..., 0], np.arange(256).reshape(16, 16))


def test_cmyk_palette_alpha_bilevel_and_animation_decode() -> None:
    rgb = Image.fromarray(PICTURE)
    palette = rgb.quantize(16)
    palette.info["transparency"] = 0
    frames = [rgb.quantize(8), rgb.rotate(90).quantize(8)]
    files = {
        "cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "palette": encoded(palette, "PNG", transparency=0),
        "alpha": encoded(rgb.convert("RGBA"), "PNG"),
        "grey and alpha": encoded(rgb.convert("LA"), "PNG"),
        "bilevel": encoded(rgb.convert("1"), "PNG"),
        "float": encoded(Image.fromarray(PICTURE[..., 0].astype(np.float32) / 255), "TIFF"),
        "animation": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
    }
    for name, file in files.items():
        image = decode_image(file)
        assert (image.mode, image.size) == ("RGB", rgb.size), name
    first = np.asarray(decode_image(encoded(frames[0], "GIF")))
    files["animation"].seek(0)
    assert np.array_equal(np.asarray(decode_image(files["animation"])), first)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not an image"),
        (b"this is text, whatever its name says", "not an image"),
        (encoded(Image.fromarray(PICTURE), "JPEG").getvalue()[:900], "truncated"),
        (encoded(Image.fromarray(PICTURE), "PNG").getvalue()[:2000], "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
    ids=["zero bytes", "text", "half a jpeg", "half a png", "postscript"],
)
def test_damage_is_told_apart_from_a_picture(content: bytes, cause: str) -> None:
    with pytest.raises(UnreadableImageError, match=cause):
        decode_image(io.BytesIO(content))


def test_a_huge_image_is_refused_before_it_is_decoded() -> None:
    file = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(UnreadableImageError, match="400 megapixels"):
        decode_image(file)


def test_values_without_a_range_are_refused() -> None:
    wild = Image.fromarray(np.full((4, 4), 1e6, dtype=np.float32))
    with pytest.raises(UnreadableImageError, match="float image"):
        decode_image(encoded(wild, "TIFF"))


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_never_escapes_as_another_error(seed: int) -> None:
    draws = np.random.default_rng(seed)
    format = ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"][seed % 6]
    content = bytearray(encoded(Image.fromarray(PICTURE), format).getvalue())
    for place in draws.integers(0, len(content), 30):
        content[place] = draws.integers(0, 256)
    with contextlib.suppress(UnreadableImageError):
        assert decode_image(io.BytesIO(bytes(content))).mode == "RGB"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="gone"):
        read_file(tmp_path / "gone.png")


def test_postscript_is_no_image_extension() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif"} <= readable_extensions()
    assert not {".eps", ".ps", ".txt", ".pdf"} & readable_extensions()

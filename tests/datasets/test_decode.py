from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.content import read_file
from tuiprobe.datasets.decode import decode_image, has_deep_values, readable_extensions

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


RAMP = np.arange(256).reshape(16, 16)


def tiff(values: np.ndarray, bits: int, kind: int = 1, photometric: int = 1) -> io.BytesIO:
    """Returns a TIFF of one band, of these bytes, bits a value and kind of value."""
    order = b"MM" if values.dtype.byteorder == ">" else b"II"
    mark = ">" if order == b"MM" else "<"
    body = values.tobytes()
    entries = [
        (256, 4, 16), (257, 4, 16), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 4, 16), (279, 4, len(body)), (339, 3, kind),
    ]  # fmt: skip
    head = struct.pack(f"{mark}2sHI", order, 42, 8 + len(body))
    listed = b"".join(
        struct.pack(
            f"{mark}HHI{'HH' if type_ == 3 else 'I'}", tag, type_, 1, value, *[0][: type_ == 3]
        )
        for tag, type_, value in entries
    )
    return io.BytesIO(head + body + struct.pack(f"{mark}H", len(entries)) + listed + bytes(4))


def twelve_bits() -> np.ndarray:
    """Returns the ramp with 12 bits a value, two values in three bytes."""
    first, second = (RAMP.reshape(-1) * 4095 // 255).reshape(-1, 2).T
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8)


SIXTEEN = (RAMP * 257).astype(np.uint16)
DEEP = {
    "png": lambda: encoded(Image.fromarray(SIXTEEN), "PNG"),
    "tiff": lambda: encoded(Image.fromarray(SIXTEEN), "TIFF"),
    "little-endian tiff": lambda: tiff(SIXTEEN.astype("<u2"), 16),
    "big-endian tiff": lambda: tiff(SIXTEEN.astype(">u2"), 16),
    "tiff whose white is zero": lambda: tiff((65535 - SIXTEEN).astype("<u2"), 16, photometric=0),
    "12 bits": lambda: tiff(twelve_bits(), 12),
    "pgm": lambda: io.BytesIO(b"P5 16 16 65535 " + SIXTEEN.astype(">u2").tobytes()),
    "pgm of 12 bits": lambda: io.BytesIO(
        b"P5 16 16 4080 " + (RAMP * 16).astype(">u2").tobytes()
    ),
    "colour pgm": lambda: io.BytesIO(
        b"P6 16 16 65535 " + np.repeat(SIXTEEN[..., None], 3, 2).astype(">u2").tobytes()
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DEEP)
def test_more_than_8_bits_are_scaled_by_their_depth(kind: str) -> None:
    decoded = np.asarray(decode_image(DEEP[kind]())).astype(int)
    assert np.abs(decoded - RAMP[..., None]).max() <= (1 if "12" in kind else 0)
    assert has_deep_values(DEEP[kind]().getvalue())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_8_bits_are_not_deep(mode: str) -> None:
    for format in ("PNG", "TIFF"):
        assert not has_deep_values(
            encoded(Image.fromarray(PICTURE).convert(mode), format).getvalue()
        )
    assert not has_deep_values(b"no image")


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (lambda: encoded(Image.fromarray(RAMP.astype(np.int32)), "TIFF"), "32-bit or signed"),
        (lambda: tiff(RAMP.astype("<i4"), 32, 2), "32-bit or signed"),
        (lambda: tiff(RAMP.astype("<u4"), 32, 1), "32-bit or signed"),
        (lambda: tiff(RAMP.astype(">i2"), 16, 2), "32-bit or signed"),
        (lambda: encoded(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), "float"),
        (lambda: encoded(Image.fromarray((RAMP / 255).astype(np.float32)), "TIFF"), "float"),
        (lambda: tiff((RAMP / 255).astype(">f4"), 32, 3), "float"),
        (lambda: io.BytesIO(b"Pf 16 16 -1.0 " + (RAMP / 255).astype("<f4").tobytes()), "float"),
    ],
)
def test_values_without_a_range_are_refused_with_the_remedy(
    file: Callable[[], io.BytesIO], kind: str
) -> None:
    with pytest.raises(UnreadableImageError, match=f"a {kind}.* no agreed range.*8 or 16 bits"):
        decode_image(file())


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
    with pytest.raises(UnreadableImageError, match="100 megapixels take 763 MiB"):
        decode_image(encoded(Image.new("1", (10_000, 10_000)), "PNG"))
    file = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    with pytest.raises(UnreadableImageError, match="more than 134 megapixels"):
        decode_image(file)


def strips(mode: str, width: int, height: int, tags: dict[int, int] | None = None) -> bytes:
    """Returns a TIFF of zeros of which all strips lie in one place of the file."""
    depth, photometric, format_ = {"F": (32, 1, 3), "L": (8, 1, 1), "I;16": (16, 1, 1)}[mode]
    row = width * depth // 8
    packed = zlib.compress(bytes(row * 16), 9)
    count = -(-height // 16)
    long, short = 4, 3
    wanted = [
        (256, long, [width]), (257, long, [height]), (258, short, [depth]), (259, short, [8]),
        (262, short, [photometric]), (273, long, [8] * count), (277, short, [1]),
        (278, long, [16]), (279, long, [len(packed)] * count), (339, short, [format_]),
        *((tag, long, [value]) for tag, value in (tags or {}).items()),
    ]  # fmt: skip
    body = bytearray(packed + b"\0" * (len(packed) % 2))
    entries = b""
    for tag, kind, values in sorted(wanted):
        data = struct.pack(f"<{len(values)}{'I' if kind == long else 'H'}", *values)
        if len(data) > 4:
            body, data = body + data, struct.pack("<I", 8 + len(body))
        entries += struct.pack("<HHI", tag, kind, len(values)) + data.ljust(4, b"\0")
    head = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    return head + body + struct.pack("<H", len(wanted)) + entries + bytes(4)


def shared_tags(count: int, each: int) -> bytes:
    """Returns a TIFF of which many tags take their value from the same bytes."""
    entries = b"".join(struct.pack("<HHII", 1000 + i, 1, each, 8) for i in range(count))
    head = struct.pack("<2sHI", b"II", 42, 8 + each)
    return head + bytes(each) + struct.pack("<H", count) + entries + bytes(4)


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux alone")

BOMBS = {
    "float": lambda: strips("F", 13_300, 13_300),
    "16 bits": lambda: strips("I;16", 13_300, 13_300),
    "tile": lambda: strips("L", 16, 16, {322: 30_000, 323: 30_000}),
    "tags": lambda: shared_tags(4000, 200_000),
    "exif": lambda: encoded(
        Image.new("RGB", (4, 4)), "PNG", exif=b"Exif\0\0" + shared_tags(4000, 200_000)
    ).getvalue(),
    "icon": lambda: icon(encoded(Image.new("1", (30_000, 30_000)), "PNG").getvalue()),
}


def icon(png: bytes) -> bytes:
    """Returns an icon that says it holds a picture of 16 x 16."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(png), 22) + png


@LINUX
@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.slow
def test_small_files_cannot_take_gigabytes(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[bomb]())
    assert path.stat().st_size < 1.2e6
    done = subprocess.run(
        [sys.executable, "-c", WITHIN_A_GIGABYTE, path],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "limit" in done.stdout or bomb in ("tags", "exif"), done.stdout  # Pillow skips such tags


WITHIN_A_GIGABYTE = """
import resource, sys
from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.decode import decode_image
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
try:
    print(decode_image(open(sys.argv[1], "rb")))
except UnreadableImageError as error:
    print(error)
"""


@LINUX
def test_what_the_limit_allows_stays_within_it(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    path.write_bytes(strips("I;16", 4000, 4000))
    bounded = WITHIN_A_GIGABYTE.replace("2**30", "(350 + 150) * 2**20")  # 122 MiB, and the program
    done = subprocess.run(
        [sys.executable, "-c", bounded, path],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert "RGB" in done.stdout, done.stdout + done.stderr


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

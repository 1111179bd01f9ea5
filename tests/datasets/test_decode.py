import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.decode import decode_image, has_deep_values, readable_extensions
from tuiprobe.datasets.sample import read_file

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


TURNS = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90",
         "TRANSVERSE", "ROTATE_270")  # fmt: skip


def test_exif_orientation_is_honoured() -> None:
    for orientation, turn in enumerate(("", *TURNS), 1):
        image, exif = Image.fromarray(PICTURE), Image.Exif()
        image = image.transpose(Image.Transpose[turn]) if turn else image
        exif[0x0112] = orientation
        decoded = decode_image(encoded(image, "PNG", exif=exif))
        assert np.array_equal(np.asarray(decoded), PICTURE)


RAMP = np.arange(256).reshape(16, 16)


LONG, SHORT = 4, 3


def tiff(values: np.ndarray, bits: int, kind: int = 1, photometric: int = 1) -> io.BytesIO:
    """Returns a TIFF of one band, of these bytes, bits a value and kind of value."""
    body = values.tobytes()
    tags = [
        (256, LONG, [16]), (257, LONG, [16]), (258, SHORT, [bits]), (259, SHORT, [1]),
        (262, SHORT, [photometric]), (273, LONG, [8]), (277, SHORT, [1]), (278, LONG, [16]),
        (279, LONG, [len(body)]), (339, SHORT, [kind]),
    ]  # fmt: skip
    return io.BytesIO(tiff_of(body, tags, ">" if values.dtype.byteorder == ">" else "<"))


def tiff_of(body: bytes, tags: list[tuple[int, int, list[int]]], order: str = "<") -> bytes:
    """Returns a TIFF whose data begin at byte 8, with tags of any kind and values."""
    body += b"\0" * (len(body) % 2)
    entries = b""
    for tag, kind, values in sorted(tags):
        data = struct.pack(f"{order}{len(values)}{'I' if kind == LONG else 'H'}", *values)
        if len(data) > 4:
            body, data = body + data, struct.pack(f"{order}I", 8 + len(body))
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + data.ljust(4, b"\0")
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


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
def test_values_without_a_range_are_refused_with_the_remedy(file, kind):
    with pytest.raises(UnreadableImageError, match=f"a {kind}.* no agreed range.*8 or 16 bits"):
        decode_image(file())


def test_cmyk_palette_alpha_bilevel_and_animation_decode() -> None:
    rgb = Image.fromarray(PICTURE)
    palette = rgb.quantize(16)
    palette.info["transparency"] = 0
    frames = [rgb.quantize(8), rgb.rotate(90).quantize(8)]
    files = [
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encoded(rgb.convert("CMYK"), "JPEG"),
        encoded(palette, "PNG", transparency=0),
    ]
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        files += [encoded(rgb.convert(mode), format) for format in ("PNG", "TIFF")]
    for file in files:
        image = decode_image(file)
        assert (image.mode, image.size) == ("RGB", rgb.size)
        assert not has_deep_values(file.getvalue())
    first = np.asarray(decode_image(encoded(frames[0], "GIF")))
    assert np.array_equal(np.asarray(decode_image(files[0])), first)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (lambda: b"", "not an image"),
        (lambda: b"this is text, whatever its name says", "not an image"),
        (lambda: encoded(Image.fromarray(PICTURE), "JPEG").getvalue()[:900], "truncated"),
        (lambda: encoded(Image.fromarray(PICTURE), "PNG").getvalue()[:2000], "truncated"),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (lambda: encoded(Image.new("1", (10_000,) * 2), "PNG").getvalue(), "s take 763 MiB"),
        (lambda: encoded(Image.new("1", (16_500,) * 2), "PNG").getvalue(), "than 134 megapixels"),
    ],
    ids=["zero bytes", "text", "half a jpeg", "half a png", "postscript", "huge", "huger"],
)
def test_damage_and_huge_images_are_told_apart_from_a_picture(content, cause):
    with pytest.raises(UnreadableImageError, match=cause):
        decode_image(io.BytesIO(content()))


def strips(mode: str, width: int, height: int, more: dict[int, int] | None = None) -> bytes:
    """Returns a TIFF of zeros of which all strips lie in one place of the file."""
    depth, format_ = {"F": (32, 3), "L": (8, 1), "I;16": (16, 1)}[mode]
    packed = zlib.compress(bytes(width * depth // 8 * 16), 9)
    count = -(-height // 16)
    tags = [
        (256, LONG, [width]), (257, LONG, [height]), (258, SHORT, [depth]), (259, SHORT, [8]),
        (262, SHORT, [1]), (273, LONG, [8] * count), (277, SHORT, [1]), (278, LONG, [16]),
        (279, LONG, [len(packed)] * count), (339, SHORT, [format_]),
        *((tag, LONG, [value]) for tag, value in (more or {}).items()),
    ]  # fmt: skip
    return tiff_of(packed, tags)


def shared_tags(count: int, each: int) -> bytes:
    """Returns a TIFF of which many tags take their value from the same bytes."""
    entries = b"".join(struct.pack("<HHII", 1000 + i, 1, each, 8) for i in range(count))
    head = struct.pack("<2sHI", b"II", 42, 8 + each)
    return head + bytes(each) + struct.pack("<H", count) + entries + bytes(4)


def icon(png: bytes) -> bytes:
    """Returns an icon that says it holds a picture of 16 x 16."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(png), 22) + png


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


WITHIN = """
import resource, sys
from tuiprobe.datasets import UnreadableImageError
from tuiprobe.datasets.decode import decode_image
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
for path in sys.argv[2:]:
    try:
        print(decode_image(open(path, "rb")))
    except UnreadableImageError as error:
        print(error)
"""


def decoded_within(memory: int, folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Returns how a process of limited memory decodes each file."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    paths = [folder / name for name in files]
    words = [sys.executable, "-c", WITHIN, str(memory), *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(files, done.stdout.splitlines(), strict=True))


@LINUX
@pytest.mark.slow
def test_small_files_cannot_take_gigabytes(tmp_path: Path) -> None:
    files = {name: make() for name, make in BOMBS.items()}
    assert max(map(len, files.values())) < 1.2e6
    for name, answer in decoded_within(2**30, tmp_path, files).items():
        assert "limit" in answer or name in ("tags", "exif"), answer  # Pillow skips such tags
    within = decoded_within(
        (350 + 150) * 2**20, tmp_path, {"large.tif": strips("I;16", 4000, 4000)}
    )  # 122 MiB, and the program
    assert "RGB" in within["large.tif"]


def test_a_missing_file_says_so_and_postscript_is_no_image_extension(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="gone"):
        read_file(tmp_path / "gone.png")
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif"} <= readable_extensions()
    assert not {".eps", ".ps", ".txt", ".pdf"} & readable_extensions()

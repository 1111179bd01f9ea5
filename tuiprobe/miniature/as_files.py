"""Writes the miniature as ordinary files, so that the readers of real data can be tried on it.

`DIR/imagefolder/<set>/<class>/<number>.png` and `DIR/webdataset/<set>-<shard>.tar` (png, cls, txt).
Everything is written beside DIR first and renamed at the end.
"""

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tuiprobe.errors import UsageError
from tuiprobe.miniature import world
from tuiprobe.miniature.captions import TEMPLATES

LAYOUTS = ("imagefolder", "webdataset")
DEFAULT_SETS = ("val", *world.SHIFTS)
_SHARD = 1000


def export(
    directory: Path | str,
    *,
    sets: Sequence[str] = DEFAULT_SETS,
    layouts: Sequence[str] = LAYOUTS,
    images: int | None = None,
    progress: Callable[[str, int], None] = lambda part, images: None,
) -> Path:
    """Writes sets as files and returns the directory.

    Args:
        directory: Output directory; must not exist, or be empty.
        sets: Sets to write.
        layouts: Some of `LAYOUTS`.
        images: Most images per set, evenly spread over it; all by default.
        progress: Called with the name of each part that is written, and its images.

    Raises:
        UsageError: If a set or layout is unknown, or the directory is not empty or not writable.
    """
    target = Path(directory)
    for name in sets:
        world.size(name)
    for layout in layouts:
        if layout not in LAYOUTS:
            raise UsageError(f"Unknown layout {layout!r}; there are {', '.join(LAYOUTS)}.")
    if images is not None and images < 1:
        raise UsageError(f"Cannot export {images} images a set; give 1 or more.")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} is not a new or empty directory; name another one.")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        for layout, write in (("imagefolder", _folders), ("webdataset", _shards)):
            if layout in layouts:
                for name in sets:
                    numbers = _numbers_of(name, images)
                    write(part / layout, name, numbers)
                    progress(f"{layout} {name}", len(numbers))
                (part / layout / "classes.txt").write_text(_lines(world.CLASS_NAMES))
                (part / layout / "templates.txt").write_text(_lines(TEMPLATES))
        # Replaces an empty directory; fails if it was filled in the meantime.
        part.replace(target)
    except OSError as error:
        raise UsageError(f"Cannot export to {target}: {error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _numbers_of(name: str, images: int | None) -> list[int]:
    """Returns the image numbers of a set, or `images` of them evenly spread."""
    total = world.size(name)
    count = total if images is None else min(images, total)
    return [i * total // count for i in range(count)]


def _lines(items: Sequence[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def _png(name: str, index: int) -> bytes:
    """Returns an image as PNG; decoding gives exactly the pixels of `world.render`."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(world.render(name, index)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _folders(root: Path, name: str, numbers: list[int]) -> None:
    for index in numbers:
        path = root / name / world.path(name, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(name, index))


def _shards(root: Path, name: str, numbers: list[int]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(numbers), _SHARD):
        with tarfile.open(root / f"{name}-{start // _SHARD:06d}.tar", "w") as tar:
            for index in numbers[start : start + _SHARD]:
                _add(tar, f"{index:05d}.png", _png(name, index))
                _add(tar, f"{index:05d}.cls", str(world.label(name, index)).encode())
                _add(tar, f"{index:05d}.txt", world.caption(name, index).encode())


def _add(tar: tarfile.TarFile, member: str, content: bytes) -> None:
    info = tarfile.TarInfo(member)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))

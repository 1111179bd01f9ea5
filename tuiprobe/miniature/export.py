"""Writes the miniature as ordinary files, so that the readers of real data can be tried on it.

`DIR/imagefolder/<set>/<class>/<number>.png`, `DIR/webdataset/<set>-<shard>.tar` (png, cls, txt) and
`DIR/broden/` in Broden's layout. Everything is written beside DIR first and renamed at the end.
"""

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tuiprobe.errors import UsageError
from tuiprobe.miniature import world
from tuiprobe.miniature.broden import write_broden
from tuiprobe.miniature.captions import TEMPLATES

LAYOUTS = ("imagefolder", "webdataset", "broden")
DEFAULT_SETS = ("val", *world.SHIFTS)
_SHARD = 1000
Progress = Callable[[str, int, int], None]


def export(
    directory: Path | str,
    *,
    sets: Sequence[str] = DEFAULT_SETS,
    layouts: Sequence[str] = LAYOUTS,
    images: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Writes sets as files and return the directory.

    Args:
        directory: Output directory; must not exist, or be empty.
        sets: Sets for the folder and tar layouts. Broden always holds the set `concepts`.
        layouts: Some of `LAYOUTS`.
        images: Most images per set, evenly spread over it; all by default.
        progress: Called with the name of a part, images done and all its images.

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
    _must_be_free(target)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        _write(part, sets, layouts, images, progress or (lambda *_: None))
        # Replaces an empty directory; fails if it was filled in the meantime.
        part.replace(target)
    except OSError as error:
        raise UsageError(f"Cannot export to {target}: {error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _must_be_free(target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        if any(target.iterdir()):
            raise UsageError(f"{target} is not empty; name a new directory to export to.")
    elif target.exists() or target.is_symlink():
        raise UsageError(f"{target} is not a directory; name a new directory to export to.")


def _write(
    root: Path,
    sets: Sequence[str],
    layouts: Sequence[str],
    images: int | None,
    progress: Progress,
) -> None:
    for layout, write in (("imagefolder", _folders), ("webdataset", _shards)):
        if layout in layouts:
            for name in sets:
                numbers = numbers_of(name, images)
                write(root / layout, name, numbers, _ticker(f"{layout} {name}", numbers, progress))
            (root / layout / "classes.txt").write_text(_lines(world.CLASS_NAMES))
            (root / layout / "templates.txt").write_text(_lines(TEMPLATES))
    if "broden" in layouts:
        numbers = numbers_of("concepts", images)
        write_broden(root / "broden", numbers, _ticker("broden", numbers, progress))


def numbers_of(name: str, images: int | None) -> list[int]:
    """Returns the image numbers of a set, or `images` of them evenly spread."""
    total = world.size(name)
    count = total if images is None else min(images, total)
    return [i * total // count for i in range(count)]


def _ticker(part: str, numbers: list[int], progress: Progress) -> Callable[[int], None]:
    return lambda done: progress(part, done, len(numbers))


def _lines(items: Sequence[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def png(name: str, index: int) -> bytes:
    """Returns an image as PNG; decoding gives exactly the pixels of `world.render`."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(world.render(name, index)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _folders(root: Path, name: str, numbers: list[int], tick: Callable[[int], None]) -> None:
    for done, index in enumerate(numbers, start=1):
        path = root / name / world.path(name, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(name, index))
        tick(done)


def _shards(root: Path, name: str, numbers: list[int], tick: Callable[[int], None]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(numbers), _SHARD):
        with tarfile.open(root / f"{name}-{start // _SHARD:06d}.tar", "w") as tar:
            for done, index in enumerate(numbers[start : start + _SHARD], start=start + 1):
                _add(tar, f"{index:05d}.png", png(name, index))
                _add(tar, f"{index:05d}.cls", str(world.label(name, index)).encode())
                _add(tar, f"{index:05d}.txt", world.caption(name, index).encode())
                tick(done)


def _add(tar: tarfile.TarFile, member: str, content: bytes) -> None:
    info = tarfile.TarInfo(member)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))

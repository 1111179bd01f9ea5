"""Images in folders: one folder per class (ImageNet's layout), or one flat folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tuiprobe.datasets.base import Sample, Stamp
from tuiprobe.datasets.content import Content, read_file, stamp_file
from tuiprobe.datasets.decode import readable_extensions
from tuiprobe.datasets.registry import DataSource
from tuiprobe.errors import DataError
from tuiprobe.plaintext import encodable

if TYPE_CHECKING:
    from PIL.Image import Image

_RUN = frozenset(("key", "spec.json"))
"""Files by which a run directory is known."""


class ImageFolder:
    """Every image below a directory.

    The first folder of a path is the class. If all folder names are whole numbers, labels
    follow numeric order ("1, 2, 10", not "1, 10, 2"), as ImageNet-V2 is laid out. Images directly
    in the root make the whole set unlabelled. Names that start with a dot are skipped, and so are
    run directories below the root, whose small images are none of the set. Links are followed; a
    folder that links back to one of its parents is visited once.

    Args:
        root: Directory to read.

    Raises:
        DataError: If `root` is not a readable directory or holds no image.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().absolute()
        if not self.root.is_dir():
            kind = "is not a directory" if self.root.exists() else "does not exist"
            raise DataError(f"imagefolder: {self.root} {kind}; give a folder of images")
        self.ignored: Counter[str] = Counter()
        self._paths = sorted(self._walk(), key=os.fsencode)
        if not self._paths:
            raise DataError(f"imagefolder: no image below {self.root}{self._what_was_there()}")

    @property
    def source(self) -> str:
        """The name of this data set on the command line."""
        return f"imagefolder:{self.root}"

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.root.name or "root"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class folder names by label; empty if the set is flat or mixed."""
        if any("/" not in path for path in self._paths):
            return ()
        names = {path.split("/", 1)[0] for path in self._paths}
        if all(name.isascii() and name.isdecimal() for name in names):
            return tuple(sorted(names, key=lambda name: (int(name), name)))
        return tuple(sorted(names, key=os.fsencode))

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in byte order of their relative paths."""
        labels = {name: label for label, name in enumerate(self.classes)}
        return tuple(
            Sample(id, path, labels.get(path.split("/", 1)[0]) if "/" in path else None)
            for id, path in enumerate(self._paths)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on how the folder was read."""
        notes = []
        flat = sum("/" not in path for path in self._paths)
        if 0 < flat < len(self._paths):
            notes.append(f"labels are not used: {flat} images lie beside the class folders")
        if self.ignored:
            notes.append(f"files left out, no image extension: {_listed(self.ignored)}")
        return tuple(notes)

    def stamp(self, sample: Sample) -> Stamp:
        """Returns size and times of a sample's file."""
        return stamp_file(f"{self.root}/{sample.path}")

    def read(self, sample: Sample) -> Content:
        """Reads the file of a sample."""
        return read_file(f"{self.root}/{sample.path}")

    def open(self, sample: Sample) -> Image:
        """Decodes one sample; see `tuiprobe.datasets.decode.decode_image`."""
        return self.read(sample).image()

    def _walk(self) -> Iterator[str]:
        seen: set[tuple[int, int]] = set()
        for folder, folders, files in os.walk(self.root, followlinks=True, onerror=_unreadable):
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            if len(seen) > 1 and _RUN.issubset(files):
                folders.clear()
                continue
            folders[:] = [name for name in sorted(folders) if not name.startswith(".")]
            for name in files:
                if name.startswith("."):
                    continue
                extension = os.path.splitext(name)[1].lower()  # noqa: PTH122  (surrogates, speed)
                if extension in readable_extensions():
                    yield Path(folder, name).relative_to(self.root).as_posix()
                else:
                    self.ignored[extension or "none"] += 1

    def _what_was_there(self) -> str:
        if not self.ignored:
            return " (it is empty)"
        return f" (only files with other extensions: {_listed(self.ignored)})"


def _unreadable(error: OSError) -> None:
    raise DataError(f"imagefolder: cannot list {error.filename}: {error.strerror}") from error


def _listed(counts: Counter[str]) -> str:
    shown = ", ".join(f"{count} {encodable(name)}" for name, count in counts.most_common(5))
    return shown + (", …" if len(counts) > 5 else "")


SOURCE = DataSource(
    forms=("imagefolder:DIR",), open=lambda root, _: ImageFolder(root), is_path=True
)

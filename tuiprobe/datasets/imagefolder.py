"""Images in folders: one folder per class (ImageNet's layout), or one flat folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tuiprobe.datasets.content import ImageFiles
from tuiprobe.datasets.decode import readable_extensions
from tuiprobe.datasets.label_numbers import in_class_order
from tuiprobe.datasets.registry import DataSource, meant_source
from tuiprobe.datasets.sample import Sample
from tuiprobe.errors import DataError
from tuiprobe.files import similar_folder
from tuiprobe.plaintext import encodable

_RUN = frozenset(("key", "spec.json"))
"""Files by which a run directory is known."""


class ImageFolder(ImageFiles):
    """Every image below a directory.

    The first folder of a path is the class. If all folder names are whole numbers, labels
    follow numeric order ("1, 2, 10", not "1, 10, 2"), as ImageNet-V2 is laid out. Images directly
    in the root make the whole set unlabelled. Names that start with a dot are skipped, and so are
    run directories below the root, whose thumbnails are no images of the set. Links are followed; a
    folder that links back to one of its parents is visited once.

    Args:
        root: Directory to read.

    Raises:
        DataError: If `root` is not a readable directory or holds no image.
    """

    class_folders = True

    def __init__(self, root: str | Path) -> None:
        self.folder = Path(root).expanduser().absolute()
        if not self.folder.is_dir():
            kind = "is not a directory" if self.folder.exists() else "does not exist"
            near = meant_source(str(root)) or similar_folder(self.folder)
            remedy = "give a folder of images" if near is None else f"did you mean {near}?"
            raise DataError(f"imagefolder: {self.folder} {kind}; {remedy}")
        self.ignored: Counter[str] = Counter()
        self._paths = sorted(self._walk(), key=os.fsencode)
        if not self._paths:
            content = "it is empty"
            if self.ignored:
                content = f"only files with other extensions: {_listed(self.ignored)}"
            raise DataError(f"imagefolder: no image below {self.folder} ({content})")

    @property
    def source(self) -> str:
        """The name of this data set on the command line."""
        return f"imagefolder:{self.folder}"

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name or "root"

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class folder names by label; empty if the set is flat or mixed."""
        if any("/" not in path for path in self._paths):
            return ()
        return in_class_order(path.split("/", 1)[0] for path in self._paths)

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
        flat = [path for path in self._paths if "/" not in path]
        if 0 < len(flat) < len(self._paths):
            more = f" and {len(flat) - 1:,} more lie" if len(flat) > 1 else " lies"
            notes.append(
                f"labels are not used: {encodable(flat[0])}{more} beside the class folders"
            )
        if self.ignored:
            notes.append(f"files left out, no image extension: {_listed(self.ignored)}")
        return tuple(notes)

    def _walk(self) -> Iterator[str]:
        seen: set[tuple[int, int]] = set()
        for folder, folders, files in os.walk(self.folder, followlinks=True, onerror=_unreadable):
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
                    yield Path(folder, name).relative_to(self.folder).as_posix()
                else:
                    self.ignored[extension or "none"] += 1


def _unreadable(error: OSError) -> None:
    raise DataError(f"imagefolder: cannot list {error.filename}: {error.strerror}") from error


def _listed(counts: Counter[str]) -> str:
    most = ", ".join(f"{count} {encodable(name)}" for name, count in counts.most_common(5))
    return most + (", …" if len(counts) > 5 else "")


SOURCE = DataSource(
    forms=("imagefolder:DIR",), open=lambda root, _: ImageFolder(root), is_path=True
)

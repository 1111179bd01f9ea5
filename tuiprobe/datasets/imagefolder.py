"""Images in folders, on a disk or at a URL: one folder per class (ImageNet's layout), or flat."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from tuiprobe.datasets.dataset import Dataset
from tuiprobe.datasets.decode import readable_extensions
from tuiprobe.datasets.input_tables import (
    SeveralPartsError,
    parts_note,
    several_parts,
    tested_parts,
)
from tuiprobe.datasets.labels import by_class, deeper_folders
from tuiprobe.datasets.list_files import labelled
from tuiprobe.datasets.registry import DataSource, meant_source
from tuiprobe.datasets.sample import Content, ImageFiles, Sample, Stamp, samples_of
from tuiprobe.datasets.shard_files import files_below, is_url, read_image
from tuiprobe.errors import DataError
from tuiprobe.files import similar_folder
from tuiprobe.plaintext import encodable, joined

METADATA = "metadata.csv"
"""Table of files and labels in a folder, as Hugging Face lays it out."""

_RUN = frozenset(("key", "spec.json"))
"""Files by which a run directory is known."""


class ImageFolder(ImageFiles):
    """Every image below a directory.

    The first folder of a path is the class, or the second one where the first is train, val or
    test. If all folder names are whole numbers, labels follow numeric order ("1, 2, 10", not
    "1, 10, 2"), as ImageNet-V2 is laid out. Images directly in the root make the whole set
    unlabelled. Names that start with a dot are skipped, and so are run directories below the root,
    whose thumbnails are no images of the set. Links are followed; a folder that links back to one
    of its parents is visited once.

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
        self.source = f"imagefolder:{self.folder}"
        self._list_images(self._walk(), self.folder)

    def _list_images(self, files: Iterable[str], root: Path | str) -> None:
        """Keeps the paths of images; counts other files."""
        self.remarks: list[str] = []
        self.ignored: Counter[str] = Counter()
        self._paths: list[str] = []
        for path in files:
            extension = os.path.splitext(path)[1].lower()  # noqa: PTH122  (surrogates, speed)
            if extension in readable_extensions():
                self._paths.append(path)
            else:
                self.ignored[extension or "none"] += 1
        self._paths.sort(key=os.fsencode)
        if not self._paths:
            content = "it is empty"
            if self.ignored:
                content = f"only files with other extensions: {_counted_names(self.ignored)}"
            raise DataError(f"imagefolder: no image below {root} ({content})")

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name or "root"

    @property
    def as_numbered(self) -> list[str]:
        """The paths in the order in which torchvision numbers them: class by class."""
        return sorted(self._paths, key=lambda path: (path.split("/", 1)[0], *os.path.split(path)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class folder names by label; empty if the set is flat or mixed."""
        return self._labelling[0]

    @cached_property
    def _labelling(self) -> tuple[tuple[str, ...], list[int] | None]:
        if not self._first_folders:
            return (), None
        if self.several_parts is None:
            return by_class(self._first_folders)
        if self.tested is None or any(path.count("/") < 2 for path in self._paths):
            raise self.several_parts
        return by_class([path.split("/", 2)[1] for path in self._paths])

    @cached_property
    def _first_folders(self) -> list[str]:
        """The first folder of each image; none if an image lies in the root."""
        folders = [path.partition("/") for path in self._paths]
        return [folder for folder, slash, _ in folders] if all(s for _, s, _ in folders) else []

    @cached_property
    def several_parts(self) -> SeveralPartsError | None:
        """The error that the first folders are parts of the data (training, test)."""
        remedy = "give one of these folders as data"
        return several_parts(self.source, "of folders", self._first_folders, remedy)

    @cached_property
    def tested(self) -> list[bool] | None:
        """Which images a head is tested on, where the first folders are parts of the data."""
        return None if self.several_parts is None else tested_parts(self._first_folders)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in byte order of their relative paths."""
        return samples_of(self._paths, self._labelling[1])

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on how the folder was read."""
        notes = [*self.remarks, *parts_note(self.name, self.tested)]
        flat = [path for path in self._paths if "/" not in path]
        if 0 < len(flat) < len(self._paths):
            more = f" and {len(flat) - 1:,} more lie" if len(flat) > 1 else " lies"
            notes.append(
                f"labels are not used: {encodable(flat[0])}{more} beside the class folders"
            )
        below = deeper_folders(self) if len(self.classes) == 1 else []
        if len(below) > 1:
            notes.append(
                f"all images lie below {encodable(self.classes[0])}, which is their one class; if "
                f"{joined(list(map(encodable, below)), 3)} are the classes, give that folder"
            )
        if self.ignored:
            notes.append(f"files left out, no image extension: {_counted_names(self.ignored)}")
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
            yield from (
                Path(folder, name).relative_to(self.folder).as_posix()
                for name in files
                if not name.startswith(".")
            )


def _unreadable(error: OSError) -> None:
    raise DataError(f"imagefolder: cannot list {error.filename}: {error.strerror}") from error


def _counted_names(counts: Counter[str]) -> str:
    most = ", ".join(f"{count} {encodable(name)}" for name, count in counts.most_common(5))
    return most + (", …" if len(counts) > 5 else "")


class RemoteFolder(ImageFolder):
    """Every image below a URL of fsspec, for example `s3://bucket/val`.

    Args:
        url: The folder, of one of the schemes that tars are read from.

    Raises:
        DataError: If it cannot be listed or holds no image.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.source = f"imagefolder:{self.url}"
        if self.url.endswith(".tar"):
            raise DataError(f"{self.url} is no folder; did you mean webdataset:{self.url}?")
        self._files = files_below(self.url)
        self._list_images((path for path in self._files if "/." not in f"/{path}"), self.url)

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rpartition("/")[2]

    def stamp(self, sample: Sample) -> Stamp:
        """Returns size and stamp of a file when the folder was listed."""
        return Stamp(*self._files[sample.path])

    def read(self, sample: Sample) -> Content:
        """Reads the file of a sample.

        Raises:
            UnreadableImageError: If it cannot be read.
        """
        stamp = self.stamp(sample)
        return Content(read_image(f"{self.url}/{sample.path}", 0, stamp.size or 0)[0], stamp)


def open_folder(root: str, base: Path | None = None) -> Dataset:
    """Opens a folder or a URL; labels are those of its `metadata.csv`, if that has any.

    Raises:
        DataError: If it cannot be listed or holds no image.
    """
    if "://" in root and is_url(root):
        return RemoteFolder(root)
    images = ImageFolder(root)
    table = images.folder / METADATA
    if table.is_file():
        try:
            relabelled = labelled(images, table)
            if len(images.classes) < 2:  # else the labels say whose place they take
                images.remarks.append(f"labels are those of {METADATA}")
            return relabelled
        except SeveralPartsError:
            raise
        except DataError as error:
            images.remarks.append(f"labels are not those of {METADATA}: {error}")
    return images


SOURCE = DataSource(forms=("imagefolder:DIR",), open=open_folder, is_path=True)

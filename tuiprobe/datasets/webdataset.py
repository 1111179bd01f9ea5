"""Images in tar shards (WebDataset's layout), read in@source by any number of processes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from tuiprobe.datasets.labels import are_numbers, by_class, integer_labels
from tuiprobe.datasets.registry import DataSource
from tuiprobe.datasets.sample import Content, Sample, Stamp, samples_of
from tuiprobe.datasets.shard_files import expand, is_url, read_image
from tuiprobe.datasets.tars import TarMember, index_of
from tuiprobe.errors import DataError
from tuiprobe.files import read_regular
from tuiprobe.limits import CLASSES
from tuiprobe.plaintext import text_of

IMAGENET = 1000
"""Classes of ImageNet, whose numbers stand for all of them."""

NAME_FILES = ("classnames.txt", "classes.txt")
"""File of class names, one per line, in the folder of the shards or its parent."""


class WebDataset:
    """Every image in a set of tar shards.

    The class of an image is the `.cls` member of the same key, a number or a name. If no image
    has one, it is the first folder whose name differs between images. The path of a sample is
    `<shard>/<member>`.

    Args:
        pattern: Shards; see `tuiprobe.datasets.shard_files.expand`.

    Raises:
        DataError: If a shard cannot be read, none holds an image, or labels and names disagree.
    """

    def __init__(self, pattern: str) -> None:
        sources = expand(pattern)
        self.source = f"webdataset:{pattern if is_url(pattern) else Path(pattern).absolute()}"
        self._left_out: Counter[str] = Counter()
        self._unended = 0
        self._stamps: dict[str, str] = {}
        self._images: list[tuple[str, str, TarMember]] = []  # path, shard and member
        parts = [source.rstrip("/").split("/") for source in sources]
        shared = _shared([part[:-1] for part in parts])
        for source, part in zip(sources, parts, strict=True):
            index = index_of(source)
            self._stamps[source] = index.stamp
            self._left_out += index.left_out
            self._unended += not index.ended
            shard = "/".join(part[shared:])
            self._images += [(f"{shard}/{m.name}", source, m) for m in index.members]
        if not self._images:
            content = f"only {_counted_names(self._left_out)}" if self._left_out else "empty"
            raise DataError(f"webdataset: no image in {pattern} ({content})")
        self.as_numbered = [path for path, _, _ in self._images]
        self._images.sort(key=lambda image: os.fsencode(image[0]))
        self.classes, self._labels = self._read_labels(sources[0])

    @property
    def name(self) -> str:
        """The common prefix of the shards' names, else the name of their folder."""
        sources = {source for _, source, _ in self._images}
        first, last = PurePosixPath(min(sources)), PurePosixPath(max(sources))
        begin = first.name.removesuffix(".tar")[: _shared([first.name, last.name])]
        return begin.rstrip("0123456789-_.") or first.parent.name or "shards"

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in byte order of their paths."""
        return samples_of((path for path, _, _ in self._images), self._labels)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on how the shards were read."""
        notes = []
        missing = sum(member.label is None for _, _, member in self._images)
        if 0 < missing < len(self._images):
            notes.append(f"labels are not used: {missing} images have no class")
        odd = {n: c for n, c in self._left_out.items() if n not in ("folders", "other files")}
        if odd:
            notes.append(f"members left out: {_counted_names(odd)}")
        if self._unended:
            notes.append(f"{self._unended} shards lack tar's end mark: they may be cut short")
        return tuple(notes)

    def stamp(self, sample: Sample) -> Stamp:
        """Returns the size of a member, and size and times of its shard when it was indexed."""
        _, source, member = self._images[sample.id]
        return Stamp(member.size, f"{self._stamps[source]} at {member.offset}")

    def read(self, sample: Sample) -> Content:
        """Reads one member.

        Raises:
            UnreadableImageError: If it cannot be read.
        """
        _, source, member = self._images[sample.id]
        data, shard = read_image(source, member.offset, member.size)
        return Content(
            data, Stamp(member.size, f"{shard or self._stamps[source]} at {member.offset}")
        )

    def _read_labels(self, source: str) -> tuple[tuple[str, ...], list[int] | None]:
        texts = [member.label for _, _, member in self._images]
        self.class_folders = all(text is None for text in texts)
        if self.class_folders:
            texts = list(_folders([member.name for _, _, member in self._images]))
        known = [text for text in texts if text is not None]
        if len(known) < len(texts):
            return (), None
        try:
            decimal = all(text.isascii() and text.isdecimal() for text in known)
            if (decimal or not self.class_folders) and are_numbers(known):
                return self._numbered(integer_labels(known), _class_names_near(source))
        except ValueError as error:
            raise DataError(
                f"{self.source}: {error}; the class of an image is a whole number from 0, or a name"
            ) from error
        return by_class(known)

    def _numbered(
        self, numbers: list[int], names: tuple[str, tuple[str, ...]] | None
    ) -> tuple[tuple[str, ...], list[int] | None]:
        """Returns classes and labels of numbered classes, which a file may name."""
        low, high = min(numbers), max(numbers)
        if low < 0:
            raise DataError(f"webdataset: a class numbered {low}; classes count from 0")
        if high >= CLASSES:
            raise DataError(f"webdataset: a class numbered {high:,} is no class")
        if names is not None:
            path, classes = names
            if len(classes) <= high:
                shift = "; labels count from 0: subtract 1 from each" if low else ""
                raise DataError(
                    f"{path} names {len(classes)} classes, but the shards go up to {high}{shift}"
                )
            return classes, numbers
        if high + 1 == IMAGENET:  # a sample of its images may lack a class
            return tuple(map(str, range(IMAGENET))), numbers
        return by_class([*map(str, numbers)])


def _class_names_near(source: str) -> tuple[str, tuple[str, ...]] | None:
    if is_url(source):
        return None
    shard = Path(source)
    for folder in (shard.parent, shard.parent.parent):
        for name in NAME_FILES:
            path = folder / name
            if path.is_file():
                try:
                    lines = text_of(read_regular(path)).splitlines()
                except ValueError as error:
                    raise DataError(f"{path} cannot be read as class names: {error}") from error
                return str(path), tuple(line.strip() for line in lines if line.strip())
    return None


def _folders(names: list[str]) -> list[str | None]:
    """Returns each name's first folder below the common ones.

    >>> _folders(["r/n01/a.jpg", "r/n02/b.jpg"])
    ['n01', 'n02']
    >>> _folders(["all/a.jpg", "all/b.jpg"])
    [None, None]
    """
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    shared = _shared(folders)
    return [parts[shared] if len(parts) > shared else None for parts in folders]


def _shared(several: Sequence[Sequence[str]]) -> int:
    """Returns how many leading items all sequences share.

    >>> _shared(["val-0", "val-1"]), _shared([("a", "b"), ("a",)])
    (4, 1)
    """
    count = 0
    for items in zip(*several, strict=False):
        if len(set(items)) > 1:
            break
        count += 1
    return count


def _counted_names(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


SOURCE = DataSource(
    forms=("webdataset:SHARDS",), open=lambda pattern, _: WebDataset(pattern), is_path=True
)

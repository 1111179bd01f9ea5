"""The most that a file from somebody else may become: the one table of limits.

The size of a file says little: few bytes can stand for many pixels, values or entries. A reader
compares what a file claims with its row here before it takes memory, and refuses more in one
sentence. What a file holds without being packed takes as much memory as it has bytes and needs no
row. `docs/reliability.md` says what the limits defend against.

How much memory this process may still take is read from Linux and from the limits of its container.
A container, a batch job or a systemd unit is a control group with a limit, which
`/proc/meminfo` does not show. Both versions of control groups are read where Linux mounts them, at
every level from the group of the process up to the one that is mounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

IMAGE_BYTES = 256 * 2**20
"""An encoded image, which is read at once."""

DECODED_IMAGE_BYTES = 512 * 2**20
"""A decoded image: 134 megapixels of RGB, or 67 of a mode that is converted."""

TEXT_BYTES = 256 * 2**20
"""A text, a table or a JSON file, which is read at once."""

JSON_VALUES = 4_000_000
"""Values of a JSON text. In memory each takes up to 120 bytes, however short it is written."""

REPORT_BYTES = 64 * 2**20
"""`results.json` of a run or a report: parsed, then validated as a whole."""

LARGEST_WEIGHT = 1e15
"""Largest magnitude in a head; logits of larger ones leave the range of float32."""

STATUS_BYTES, STATUSES_BYTES = 8 * 2**20, 32 * 2**20
"""The status of one rank, several times that of all layers of a large encoder; and of all ranks."""

STATUS_ARRAY_BYTES, STATUSES_ARRAY_BYTES = 64 * 2**20, 512 * 2**20
"""The arrays that belong to the status of one rank, and of all ranks."""

STATUS_VALUES = 200_000
"""Values of a status."""

STATUS_CHANNELS, PICTURED_CHANNELS = 2**20, 4096
"""Channels of a layer in a status, and those of a set with images at their ends."""

WORLD = 2**16
"""Ranks of a run."""

SPEC_BYTES = 2**16
"""`spec.json`, so that no text in it is longer than a report takes."""

BASELINE_BYTES = 4 * 2**20
"""A CSV of baseline models."""

SUITE_BYTES = 2**16
"""A suite; the time of TOML's parser grows with the square of a key's length."""

MODELS_BYTES = 2**18
"""A list of models, some thousands; the time of the parser grows with the square of a line."""

TABLE_CELLS, TABLE_ROWS = 20_000_000, 500_000
"""Cells and rows of a CSV or Parquet table; rows without a word take memory too."""

TABLE_COLUMNS = 100_000
"""Columns of a table: a table of probabilities has one per class."""

NAME_LENGTH = 1024
"""Characters of the name of a class, a row or a tensor."""

CLASSES = 1_000_000
"""Classes of a data set or a head: a label claims as many names as its number."""

BUILT_CLASSES = 100_000
"""Classes of a classifier that is built to fit a file, whatever width the file has."""

HEAD_BYTES = 2**32
"""The arrays of a head in a file of NumPy, which may be compressed."""

CHANNELS = 65_536
"""Width of stored vectors; the widest known encoders have 8,192 channels."""

TAPS = 10_000
"""Layers of a run."""

SAMPLES = 2_000_000
"""Images of a run, a line each in `samples.jsonl`."""

SHARDS = 2**20
"""Shards of a run that are looked at, whatever number its plan claims."""

DIMENSIONS = 32
"""Dimensions of a stored array."""

ARRAY_HEADER_BYTES = 8 * 2**20
"""Names and shapes in a safetensors file; room for 100,000 tensors."""

ARCHIVE_LIST_BYTES = 8 * 2**20
"""The list of a zip archive's entries; room for 80,000."""

ARCHIVE_SPARE_BYTES = 64 * 2**20
"""Bytes beyond its size that a zip archive may unpack to; TorchScript compresses its code."""

PICKLE_BYTES = 64 * 2**20
"""The pickle of a checkpoint, whose tensors lie outside it."""

PICKLE_VALUES = 1_000_000
"""Instructions of a checkpoint's pickles, and attributes on all ways through its modules."""

WRAPPERS = 16
"""Dictionaries around the weights of a checkpoint."""

TAR_HEADER_BYTES = 2**17
"""The headers of a member of a tar file: its name, its attributes, and the map if it is sparse."""

PATTERN_PATHS = 100_000
"""Paths that the braces of a pattern stand for."""

PATTERN_CHARACTERS = 50_000_000
"""Characters of all these paths together."""

PATTERN_SEARCHES = 3
"""`**` of a pattern: the ways through a deep folder are that power of its depth."""

PATTERN_PARTS = 256
"""Parts of a pattern, each a level of recursion of `Path.glob`, and characters of a part, of which
a regular expression is made; names of files have fewer."""

_LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
_USED = ("memory.current", "memory.usage_in_bytes")
"""Bytes in use, with the pages of files that the kernel can drop."""

_DROPPABLE = ("inactive_file", "active_file", "slab_reclaimable")
"""Pages of files, as lines of `memory.stat`; version 1 has totals with the groups below."""


def available_memory(root: Path = Path("/")) -> int | None:
    """Returns how many bytes can be allocated without swapping.

    Args:
        root: Where `proc` is, and the mounted control groups.
    """
    left = []
    with suppress(OSError, ValueError, KeyError):
        left.append(_numbers((root / "proc/meminfo").read_text())["MemAvailable:"] * 1024)
    with suppress(OSError):
        for group in _groups(root, (root / "proc/self/cgroup").read_text()):
            with suppress(OSError, ValueError):
                left += _left(group)
    return min(left, default=None)


def _groups(root: Path, text: str) -> Iterator[Path]:
    """Yields the folders of this process's groups that may limit memory, and of those above.

    A container that sees no path to its group sees it as the mounted one.
    """
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, of_process = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        mounted = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        inner = PurePosixPath(of_process.lstrip("/"))
        yield mounted
        if ".." not in inner.parts:
            yield from (mounted / group for group in (inner, *inner.parents))


def _left(group: Path) -> list[int]:
    """Returns the room left below each limit of one group."""
    names = (*_LIMITS, *_USED, "memory.stat")
    texts = {name: (group / name).read_text().strip() for name in names if (group / name).exists()}
    pages = _numbers(texts.get("memory.stat", ""))
    droppable = sum(pages.get(f"total_{name}", pages.get(name, 0)) for name in _DROPPABLE)
    used = max(sum(int(texts[name]) for name in _USED if name in texts) - droppable, 0)
    limits = (texts[name] for name in _LIMITS if texts.get(name, "max") != "max")
    return [max(int(limit) - used, 0) for limit in limits]


def _numbers(text: str) -> dict[str, int]:
    """Returns the first number of each line by the word before it."""
    pairs = (line.split()[:2] for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}

"""Suites: an in-distribution set, its shifts and a concept set, from a file or by folder names."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tuiprobe.catalog.accuracies import SHIFTS
from tuiprobe.catalog.class_names import (
    imagenet_labels,
    imagenet_names,
    match_classes,
    prompt_names,
)
from tuiprobe.datasets.dataset import Dataset, Suite, safe_name
from tuiprobe.datasets.load import imagenet_maps, load_dataset
from tuiprobe.datasets.registry import (
    SOURCES,
    DataSource,
    below,
    concept_forms,
    source_named,
    suite_kinds,
)
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import read_regular
from tuiprobe.limits import SUITE_BYTES
from tuiprobe.plaintext import text_of

ID_NAME = "imagenet"
KEYS = ("name", "id", "shifts", "concepts")

_IMAGENET_CLASSES = 1000

ROOT_VARIABLE = "TUIPROBE_DATA"

USUAL = {
    "imagenet": (
        "imagenet/val", "imagenet-1k/val", "imagenet1k/val", "imagenet_1k/val",
        "ilsvrc2012/val", "imagenet/ilsvrc2012/val", "imagenet-val", "imagenet_val",
        "ilsvrc/data/cls-loc/val", "imagenet/validation", "val",
    ),
    "imagenet_v2": (
        "imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency",
        "imagenetv2/imagenetv2-matched-frequency-format-val", "imagenetv2", "imagenet-v2",
        "imagenet_v2",
    ),
    "imagenet_r": ("imagenet-r", "imagenet_r", "imagenetr"),
    "imagenet_sketch": ("imagenet-sketch", "imagenet-sketch/sketch", "imagenet_sketch", "sketch"),
    "objectnet": ("objectnet-1.0", "objectnet", "objectnet/objectnet-1.0"),
    "imagenet_a": ("imagenet-a", "imagenet_a", "imageneta"),
    "concepts": ("broden1_224", "broden1_227", "broden1_384", "broden", "broden/broden1_224"),
}  # fmt: skip
"""Folders below the root, in lower case; the first that fits is used."""

_WNID = re.compile(r"n\d{8}")


def read_suite(path: Path) -> Suite:
    """Reads a suite file (docs/data.md); its relative paths start at its folder.

    Raises:
        DataError: If the file is not TOML, has a wrong key or a source that cannot be used or runs
            code, or a shift's classes differ from the in-distribution set; names file and key.
    """
    try:
        content = tomllib.loads(text_of(read_regular(path, SUITE_BYTES)))
    except OSError as error:
        raise DataError(f"cannot read the suite {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not TOML: {error}") from error
    for key in content:
        if key not in KEYS:
            raise DataError(f"{path}: {key}: no such key; there are {', '.join(KEYS)}")
    if "id" not in content:
        raise DataError(f"{path}: id: missing; name the in-distribution set, such as a folder")
    name = _text(f"{path}: name", content.get("name", path.stem))
    shifts = content.get("shifts", {})
    if not isinstance(shifts, dict):
        raise DataError(f"{path}: shifts: not a table; write [shifts] and one line a shift")
    base = path.absolute().parent
    sets = {}
    dataset = _load(f"{path}: id", content["id"], base)
    sets[ID_NAME if _is_imagenet(dataset) else safe_name(dataset.name)] = dataset
    for key, source in shifts.items():
        where, shift = f"{path}: shifts.{key}", safe_name(canonical(key))
        if shift in sets:
            raise DataError(f"{where}: there is a set {shift!r} already")
        opened = _load(where, source, base)
        if double := next((n for n, known in sets.items() if known.source == opened.source), ""):
            raise DataError(f"{where}: it has the images of {double!r}; name others")
        _check_classes(where, dataset, opened)
        sets[shift] = opened
    concepts = content.get("concepts")
    if concepts is not None:
        concepts = _concepts(f"{path}: concepts", concepts, base)
    return _suite(safe_name(name), f"suite:{path.absolute()}", sets, concepts)


def auto_suite(environment: Mapping[str, str] = os.environ) -> Suite:
    """Finds ImageNet, its shifts and Broden by their usual folder names.

    Raises:
        DataError: If `TUIPROBE_DATA` is not set or holds no ImageNet, or a set in it is unusable.
    """
    root = environment.get(ROOT_VARIABLE)
    if not root:
        raise DataError(f"--suite auto: set {ROOT_VARIABLE} to the folder that holds the data sets")
    folder = Path(root).expanduser().absolute()
    sources = discover(folder)
    sets: dict[str, Dataset] = {}
    for name in (ID_NAME, *SHIFTS):
        if name in sources:
            key = f"--suite auto: {name}"
            sets[name] = _load(key, sources[name], None)
            _check_classes(f"{key} ({sources[name]})", sets[ID_NAME], sets[name])
    missing = ", ".join(name for name in SHIFTS if name not in sources)
    notes = (f"not found below {folder}: {missing}",) if missing else ()
    return _suite(ID_NAME, "suite:auto", sets, sources.get("concepts"), notes)


def discover(root: Path) -> dict[str, str]:
    """Returns the sources of the usual folders below `root`, by name as in `USUAL`; ignores case.

    Raises:
        DataError: If the folder does not exist or holds no ImageNet.
    """
    if not root.is_dir():
        raise DataError(f"{ROOT_VARIABLE}: {root} is not a folder")
    sources = {}
    for name, patterns in USUAL.items():
        folder = next((p for p in _candidates(root, patterns) if _fits(name, p)), None)
        if folder is not None:
            kind = {"concepts": "broden", "objectnet": "objectnet"}.get(name, "imagefolder")
            sources[name] = f"{kind}:{folder}"
    if "imagenet" not in sources:
        raise DataError(
            f"{ROOT_VARIABLE}: no ImageNet validation set (folders named n01440764, …) below "
            f"{root}; name its folder {', '.join(USUAL['imagenet'][:2])}, …, or pass --data"
        )
    return sources


def _candidates(root: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        paths = [root]
        for part in pattern.split("/"):
            paths = [c for path in paths for c in _folders(path) if c.name.lower() == part]
        yield from paths


def _folders(parent: Path) -> list[Path]:
    return sorted(child for child in parent.iterdir() if child.is_dir())


def _fits(name: str, folder: Path) -> bool:
    """Returns whether a folder has the layout that its name suggests."""
    if name == "concepts":
        return (folder / "index.csv").is_file()
    if name == "objectnet":
        return (folder / "images").is_dir()
    names = [child.name for child in _folders(folder)]
    if name == "imagenet_v2":
        return any(map(str.isdecimal, names))
    return any(map(_WNID.fullmatch, names))


def canonical(key: str) -> str:
    """Returns the canonical name of a published set, from any common spelling.

    >>> [canonical(key) for key in ("imagenetv2", "ImageNet-R", "imagenet_sketch", "mine")]
    ['imagenet_v2', 'imagenet_r', 'imagenet_sketch', 'mine']
    """
    plain = key.lower().replace("-", "_").replace("imagenetv2", "imagenet_v2")
    return plain if plain in SHIFTS else key


def _suite(
    name: str,
    source: str,
    sets: dict[str, Dataset],
    concepts: str | None,
    notes: tuple[str, ...] = (),
) -> Suite:
    published = {}
    if _is_imagenet(next(iter(sets.values()))):
        published = {key: key for key in sets if key in (ID_NAME, *SHIFTS)}
    return Suite(
        name=name,
        source=source,
        sets=sets,
        published=published,
        imagenet=imagenet_maps(sets),
        concepts=concepts,
        notes=notes,
    )


def _is_imagenet(dataset: Dataset) -> bool:
    labels = imagenet_labels(dataset.classes)
    return labels is not None and len(labels) == _IMAGENET_CLASSES


def _check_classes(where: str, first: Dataset, shift: Dataset) -> None:
    """Refuses a labelled shift whose classes cannot be mapped to those of the first set."""
    if not shift.classes or not first.classes or getattr(shift, "imagenet", None) is not None:
        return
    of_imagenet = imagenet_labels(first.classes) is not None
    if of_imagenet and imagenet_labels(shift.classes) is not None:
        return
    names = imagenet_names() if of_imagenet else prompt_names(first.classes)
    matched = match_classes(shift.classes, names)
    if matched.indices is None:
        known = "ImageNet" if of_imagenet else first.source
        raise DataError(f"{where}: {matched.problems(known)}")


def _load(where: str, value: Any, base: Path | None) -> Dataset:
    source = _text(where, value)
    try:
        named = source_named(source, base)
        if named.partition(":")[0] not in suite_kinds():  # other kinds may run foreign code
            missing = "" if ":" in source else f"; there is no folder {(base or Path()) / source}"
            raise DataError(
                f"{source!r}: a suite names folders, and sources of the kinds "
                f"{', '.join(suite_kinds())} only{missing}"
            )
        return load_dataset(named, base)
    except (DataError, UsageError) as error:
        raise DataError(f"{where}: {error}") from error


def _concepts(where: str, value: Any, base: Path) -> str:
    source = _text(where, value)
    kind, _, rest = source.partition(":")
    builtin = SOURCES.builtin(kind)  # a file must not run another package's code
    if builtin is None or not builtin.concepts or not (rest or source in builtin.concept_forms):
        raise DataError(
            f"{where}: {source!r} is no concept set; write one of: {', '.join(concept_forms())}"
        )
    return f"{kind}:{below(base, rest)}" if builtin.is_path else source


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: {value!r} is not a text")
    return value


SOURCE = DataSource(
    forms=("suite:FILE.toml", "suite:auto"),
    suite=lambda rest: auto_suite() if rest == "auto" else read_suite(Path(rest)),
)

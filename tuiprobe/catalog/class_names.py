"""Which rows of a head the classes of a data set are, by their names or ImageNet's.

`imagenet.tsv` and `imagenet_templates.txt` are generated from timm and open_clip
(`python -m tuiprobe.models.generate_lists`), and a test compares them with those installed. At the
end: what the images of ImageNet, its shifts and the miniature show.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import read_regular
from tuiprobe.plaintext import plain, similar_names, text_of

_MOST_LISTED = 5
_SIMILAR = 0.8
"""How similar a name must be to be suggested, as `difflib` counts."""


def read_lines(path: Path, label: str) -> tuple[str, ...]:
    """Returns the non-empty lines of a UTF-8 text file.

    Args:
        path: A file with one entry per line.
        label: Description of the lines, for messages.

    Raises:
        UsageError: If it cannot be read, or has no line of this number.
    """
    try:
        text = text_of(read_regular(path))
    except OSError as error:
        raise UsageError(f"cannot read {label} from {path}: {error.strerror}") from error
    except (ValueError, DataError) as error:
        raise UsageError(f"cannot read {label} from {path}: {error}") from error
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not lines:
        raise UsageError(f"{path} holds no {label}; write one per line")
    return lines


def written_classes(classes: str | Path) -> tuple[str, ...]:
    """Returns class names as they are written: the lines of a file, or names between commas.

    Raises:
        UsageError: If it is neither.
    """
    text = str(classes)
    if "," in text and not os.path.exists(text):  # noqa: PTH110, Path raises on long names
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        if names:
            return names
    return read_lines(Path(classes), "class names")


def joined_classes(names: Sequence[str]) -> str:
    """Returns a list of class names as `--classes` takes them.

    Raises:
        UsageError: If something is no name, a name has a comma, or the names have no order.

    >>> written_classes(joined_classes(["fire truck"]))
    ('fire truck',)
    """
    refuse_unordered(names)
    for name in names:
        if not isinstance(name, str) or not name.strip() or "," in name:
            raise UsageError(
                f"classes: {plain(repr(name)[:80])} is no name, or contains a comma; write "
                "names with commas to a file, one per line"
            )
    return ",".join(names) + ","


def refuse_unordered(names: object) -> None:
    """Refuses class names that Python holds in no order, as in a set.

    Raises:
        UsageError: If they are those.
    """
    if isinstance(names, Set | Mapping) or not hasattr(names, "__getitem__"):
        raise UsageError(
            f"classes= is a {type(names).__name__}, which has no order: give a list with the name "
            "of each output, in their order"
        )


def read_classes(classes: str | Path) -> tuple[str, ...]:
    """Returns class names of `--classes` in label order; synset ids become ImageNet's names.

    Raises:
        UsageError: If they cannot be read, or an id is none of ImageNet's.
    """
    return tuple(map(spelled_out, written_classes(classes)))


def spelled_out(name: str) -> str:
    """Returns ImageNet's name for a synset id, and any other name as it is.

    Raises:
        UsageError: If an id is none of ImageNet's.

    >>> spelled_out("n01440764"), spelled_out("fire truck")
    ('tench', 'fire truck')
    """
    if SYNSET.match(name) is None:
        return name
    labels = possible_labels(name)
    if not labels:
        raise UsageError(
            f"--classes: {plain(name[:80])!r} is not one of ImageNet's 1,000 synset ids; write "
            "a name"
        )
    return _prompt_name(min(labels))


def _prompt_name(label: int) -> str:
    """Returns the name for prompts; where two classes share it, WordNet's (missile, projectile)."""
    _, names, descriptions = imagenet_columns()
    shared = names.count(names[label]) > 1
    return descriptions[label].partition(",")[0] if shared else names[label]


@dataclass(frozen=True)
class ClassMatches:
    """The rows that each class of a data set may be.

    Attributes:
        classes: Class names of the data set, by label.
        rows: Class names of the rows of a head.
        candidates: For each class, the rows that it may be: exactly one if it is known.
    """

    classes: tuple[str, ...]
    rows: tuple[str, ...]
    candidates: tuple[tuple[int, ...], ...]

    @property
    def known(self) -> tuple[int | None, ...]:
        """The row of each class that has exactly one."""
        return tuple(rows[0] if len(rows) == 1 else None for rows in self.candidates)

    @property
    def indices(self) -> tuple[int, ...] | None:
        """The row of each class, if no two classes share one."""
        indices = tuple(index for index in self.known if index is not None)
        one_to_one = len(indices) == len(self.classes) == len(set(indices))
        return indices if one_to_one else None

    def problems(self, of: str = "the head") -> str:
        """Lists the classes that have no row, several rows, or the row of another class.

        Args:
            of: What the rows are classes of.
        """
        problems = list(self._problems(of))
        more = len(problems) - _MOST_LISTED
        rest = [f"and {more:,} more"] if more > 0 else []
        return "; ".join([*problems[:_MOST_LISTED], *rest])

    def _problems(self, of: str) -> Iterator[str]:
        owner: dict[int, str] = {}
        suggested = 0
        for name, rows in zip(self.classes, self.candidates, strict=True):
            quoted = repr(plain(name[:80]))
            if not rows:
                suggested += 1
                near = self._near(name) if suggested <= _MOST_LISTED else []
                hint = f" ({' or '.join(near)}?)" if near else ""
                yield f"{quoted} is not a class of {of}{hint}"
            elif len(rows) > 1:
                ids = imagenet_wnids()
                meant = [f"{ids[i]} ({_prompt_name(i)})" for i in sorted(possible_labels(name))]
                hint = f": name it {' or '.join(meant)}" if len(meant) > 1 else ""
                yield f"{quoted} is {len(rows)} classes of {of}{hint}"
            elif rows[0] in owner:
                yield f"{owner[rows[0]]} and {quoted} are the same class; join them"
            else:
                owner[rows[0]] = quoted

    def _near(self, name: str) -> list[str]:
        words: Iterable[str] = self.rows
        if of_imagenet(self.rows):
            columns = (*imagenet_columns()[1], *imagenet_columns()[2])
            words = (word.strip() for names in columns for word in names.split(","))
        by_folded = {folded_name(word): word for word in words}
        near = similar_names(folded_name(name), by_folded, most=2, cutoff=_SIMILAR)
        return [plain(by_folded[word][:80]) for word in near]


def match_classes(classes: Sequence[str], rows: Sequence[str]) -> ClassMatches:
    """Matches the classes of a data set to the rows of a head by name.

    Case and separators do not count. Classes of ImageNet are known by synset id and by every name
    that ImageNet gives them, whichever of them the data and the head use.

    >>> match_classes(["Dog", "cat"], ["cat", "dog"]).indices
    (1, 0)
    >>> match_classes(["n01440764", "great_white_shark"], ["white shark", "tench"]).indices
    (1, 0)
    >>> print(match_classes(["dgo", "cat"], ["cat", "dog"]).problems())
    'dgo' is not a class of the head
    """
    named, folded, labelled = (defaultdict[object, list[int]](list) for _ in range(3))
    imagenet = of_imagenet(rows)
    meanings = [*map(possible_labels, rows)]
    if imagenet:
        meanings = [frozenset((label,)) for label in range(len(rows))]
    for index, row in enumerate(rows):
        named[row].append(index)
        folded[folded_name(row)].append(index)
        for label in meanings[index]:
            labelled[label].append(index)

    def by_name(name: str) -> list[int]:
        exact = named.get(name) or named.get(name.replace("_", " "))
        return exact or folded.get(folded_name(name), [])

    def by_meaning(name: str) -> list[int]:
        meaning = possible_labels(name)
        indices = sorted({index for label in meaning for index in labelled.get(label, ())})
        return [index for index in indices if meanings[index] == meaning] or indices

    # In ImageNet "cardigan" is a dog too, so that an equal name alone does not tell.
    steps = (by_meaning, by_name) if imagenet else (by_name, by_meaning)
    candidates = tuple(tuple(steps[0](name) or steps[1](name)) for name in classes)
    return ClassMatches(tuple(classes), tuple(rows), candidates)


def refuse_other_names(
    given: Sequence[str], names: Sequence[str], option: str, source: str
) -> None:
    """Refuses names of the rows of a head that contradict those that come with its weights.

    Args:
        given: The user's names, in the order of the rows.
        names: The other ones.
        option: What the user gives them by.
        source: Where the other ones are.

    Raises:
        UsageError: If one is another name; has both.
    """
    for row, candidates in enumerate(match_classes(given, names).candidates):
        if row not in candidates:
            raise UsageError(
                f"name {row + 1} of {option} is {plain(given[row][:80])!r}, and {source} says "
                f"{plain(names[row][:80])!r}: leave out {option}, or correct the names there"
            )


def of_imagenet(rows: Sequence[str]) -> bool:
    """Returns whether the rows of a head are ImageNet's 1,000 classes in their order."""
    return imagenet_labels(rows) == tuple(range(len(imagenet_wnids())))


def index_of_each(classes: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """Returns, for each class of a data set, its index in a user's list of names.

    Matches by name or ImageNet class, by the number of numbered folders (a string sort gives 0, 1,
    10, 2), or else by the order of the labels.

    Args:
        classes: Class names of the data set, by label.
        names: The user's list of names.

    Raises:
        UsageError: If the list does not fit the classes.

    >>> index_of_each(["0", "1", "10", "2"], [f"class {i}" for i in range(11)])
    (0, 1, 10, 2)
    >>> index_of_each(["cat", "dog"], ["dog", "cat"]), index_of_each(["a", "b"], ["x", "y"])
    ((1, 0), (0, 1))
    """
    matched = match_classes(classes, names)
    if matched.indices is not None:
        return matched.indices
    order = _in_order(classes, names)
    if order is not None and all(
        index in (None, at) for index, at in zip(matched.known, order, strict=True)
    ):
        unique = all(len(rows) <= 1 for rows in matched.candidates)
        if unique or imagenet_labels(classes) is not None:
            return order
    several = f"--classes holds {len(names):,} class names for {len(classes):,} classes of the data"
    if not any(matched.candidates):
        raise UsageError(f"{several}; give one per class, in the order of the folders")
    raise UsageError(f"{several}: {matched.problems('--classes')}")


def _in_order(classes: Sequence[str], names: Sequence[str]) -> tuple[int, ...] | None:
    """Returns the index of each class by its label alone, if the numbers fit."""
    labels = imagenet_labels(classes)
    if labels is not None and len(names) == len(imagenet_wnids()):
        return labels
    if all(name.isdigit() for name in classes):
        values = [int(name) for name in classes]
        first = 1 if min(values) >= 1 and max(values) == len(names) else 0
        if max(values) - first < len(names):
            return tuple(value - first for value in values)
    return tuple(range(len(names))) if len(names) == len(classes) else None


FILE = Path(__file__).with_name("imagenet.tsv")
"""One class a line, in the order of the labels: WordNet id, open_clip's name, WordNet's names."""

TEMPLATES_FILE = Path(__file__).with_name("imagenet_templates.txt")

SYNSET = re.compile(r"(n\d{8})(?!\d)", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s_\-'\u2019]+")

_FEWEST_NAMES = 0.9
"""Share of 1,000 names that must be ImageNet's in order; sources spell some differently."""


@lru_cache(maxsize=1)
def imagenet_columns() -> tuple[tuple[str, ...], ...]:
    """Returns the columns of `FILE`, each in the order of ImageNet's labels."""
    rows = [line.split("\t") for line in FILE.read_text("utf-8").splitlines()]
    return tuple(zip(*rows, strict=True))


def imagenet_wnids() -> tuple[str, ...]:
    """Returns the 1,000 WordNet ids of ImageNet-1k, in the order of its labels."""
    return imagenet_columns()[0]


def imagenet_names() -> tuple[str, ...]:
    """Returns open_clip's 1,000 class names of ImageNet-1k, made for prompts."""
    return imagenet_columns()[1]


def imagenet_templates() -> tuple[str, ...]:
    """Returns the 80 prompt templates that OpenAI used for ImageNet, with `{}` for the name."""
    return tuple(TEMPLATES_FILE.read_text("utf-8").splitlines())


def imagenet_labels(classes: Sequence[str]) -> tuple[int, ...] | None:
    """Returns the ImageNet-1k label of each class of a data set.

    Accepts WordNet ids, a subset of them (ImageNet-A and -R), and the numbered folders of
    ImageNet-V2 in any order (a string sort gives 0, 1, 10, 100, 101). Also accepts 1,000 names in
    label order ("tench", or "tench, Tinca tinca"), as tar shards and Hugging Face sets have them.

    >>> imagenet_labels(["n01443537", "n01440764"])
    (1, 0)
    >>> imagenet_labels([str(i) for i in range(1000)])[10]
    10
    >>> imagenet_labels(["cat", "dog"]) is None
    True
    """
    index = {wnid: label for label, wnid in enumerate(imagenet_wnids())}
    if classes and all(name in index for name in classes):
        return tuple(index[name] for name in classes)
    if sorted(classes) == sorted(str(i) for i in range(1000)):
        return tuple(int(name) for name in classes)
    if len(classes) == len(index):
        hits = sum(label in possible_labels(name) for label, name in enumerate(classes))
        return tuple(range(len(classes))) if hits >= _FEWEST_NAMES * len(classes) else None
    return None


def folded_name(name: str) -> str:
    """Returns a name without case and separators.

    >>> folded_name("Great_white-Shark") == folded_name("great white shark")
    True
    """
    return _SEPARATORS.sub("", name).casefold() or name


@lru_cache(maxsize=1)
def _known() -> Mapping[str, frozenset[int]]:
    """Returns the labels that each id and name of ImageNet may mean, by folded name.

    A name that comes first in a class goes before the same name among the synonyms of another.
    """
    first, later = defaultdict(set), defaultdict(set)
    for label, (wnid, name, words) in enumerate(zip(*imagenet_columns(), strict=True)):
        leading, *synonyms = words.split(",")
        for word in (wnid, name, leading):
            first[folded_name(word.strip())].add(label)
        for word in synonyms:
            later[folded_name(word.strip())].add(label)
    return {name: frozenset(labels) for name, labels in {**later, **first}.items()}


def possible_labels(name: str) -> frozenset[int]:
    """Returns the labels of ImageNet that a name may mean.

    >>> possible_labels("Great_White_Shark") == possible_labels("n01484850") == {2}
    True
    >>> sorted(possible_labels("crane"))
    [134, 517]
    """
    synset = SYNSET.match(name)
    if synset is not None:
        return _known().get(synset[1].lower(), frozenset())
    folded = _known().get(folded_name(name))
    return folded or _known().get(folded_name(name.partition(",")[0].strip()), frozenset())


def prompt_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Returns names for prompts: ImageNet's for ImageNet folders, else the folder names.

    >>> prompt_names(["n01440764", "n01443537"])
    ('tench', 'goldfish')
    >>> prompt_names(["fire_truck"])
    ('fire truck',)
    """
    labels = imagenet_labels(classes)
    if labels is None:
        return tuple(name.replace("_", " ") for name in classes)
    names = imagenet_names()
    return tuple(names[label] for label in labels)


_PUBLISHED: Final[Mapping[str, str]] = {
    "imagenet": "ImageNet's validation images",
    "imagenet_v2": "photos of ImageNet's classes, collected again",
    "imagenet_r": "renditions such as cartoons and paintings",
    "imagenet_sketch": "drawings in black and white",
    "imagenet_a": "photos that a ResNet-50 got wrong",
    "objectnet": "things at home from unusual views",
}
"""By the names that a suite with ImageNet gives its sets."""

_MINIATURE: Final[Mapping[str, str]] = {
    "val": "like the training images",
    "v2": "a little harder",
    "r": "cartoons, paintings and silhouettes, like ImageNet-R",
    "sketch": "outlines on paper",
    "a": "small, hidden and cluttered, like ImageNet-A",
    "objectnet": "turned, in unusual scenes",
    "street": "a mixture of the shifts, in place of your pictures",
}


def set_contents(name: str, source: str, of_imagenet: bool = False) -> str:
    """Describes the content of a set; by its source where nothing else is known.

    Args:
        name: Name of the set in a report.
        source: As the user typed it.
        of_imagenet: Whether the set is of a suite with ImageNet.

    >>> set_contents("sketch", "miniature:sketch"), set_contents("a", "imagefolder:a")
    ('outlines on paper', 'from imagefolder:a')
    """
    kind, _, of = source.partition(":")
    known = _MINIATURE.get(of) if kind == "miniature" else None
    if known is None and of_imagenet:
        known = _PUBLISHED.get(name)
    return known or f"from {source}"

"""Which rows of a head the classes of a data set are, by their own names or ImageNet's."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tuiprobe.catalog.imagenet import (
    SYNSET,
    folded_name,
    imagenet_columns,
    imagenet_labels,
    imagenet_wnids,
    possible_labels,
)
from tuiprobe.errors import DataError, UsageError
from tuiprobe.files import read_regular
from tuiprobe.plaintext import plain, text_of

_MOST_LISTED = 5
_SIMILAR = 0.8
"""How similar a name must be to be suggested, as `difflib` counts."""


def read_lines(path: Path, label: str) -> tuple[str, ...]:
    """Returns the non-empty lines of a UTF-8 text file.

    Args:
        path: A file with one entry per line.
        label: Description of the lines, for messages.

    Raises:
        UsageError: If it cannot be read, or has no such line.
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
    """Refuses class names that Python holds in no order, such as a set.

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
        """The row of each class; None where there is none or several."""
        return tuple(rows[0] if len(rows) == 1 else None for rows in self.candidates)

    @property
    def indices(self) -> tuple[int, ...] | None:
        """The row of each class, if every class has one of its own."""
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
        near = get_close_matches(folded_name(name), by_folded, n=2, cutoff=_SIMILAR)
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
    """Refuses names of the rows of a head that contradict those beside its weights.

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
    """Returns the index of each class by its label alone; None if the numbers do not fit."""
    labels = imagenet_labels(classes)
    if labels is not None and len(names) == len(imagenet_wnids()):
        return labels
    if all(name.isdigit() for name in classes):
        values = [int(name) for name in classes]
        first = 1 if min(values) >= 1 and max(values) == len(names) else 0
        if max(values) - first < len(names):
            return tuple(value - first for value in values)
    return tuple(range(len(names))) if len(names) == len(classes) else None

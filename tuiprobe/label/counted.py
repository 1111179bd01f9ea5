"""The labels of a file that count for some candidates: one for each of their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuiprobe.errors import UsageError
from tuiprobe.label.answers import NOBODY
from tuiprobe.label.candidates import Matched
from tuiprobe.label.files import NONE_OF_THESE, UNSURE, How, LabelFiles, LabelLine, LabelPlan
from tuiprobe.plaintext import plain


@dataclass(frozen=True)
class CountedLabel:
    """A label of a picture that candidates answer.

    Attributes:
        place: Place of the picture in the pool.
        label: Number of a class, or `NOBODY`.
        line: Its line in the file of labels.
    """

    place: int
    label: int
    line: LabelLine

    def how(self, plan: LabelPlan) -> How:
        """Returns how a plan came by it: `outside` if that plan did not draw it."""
        return self.line.how if self.line.plan == plan.id else "outside"


def counted_labels(
    lines: Iterable[LabelLine], matched: Matched, files: LabelFiles
) -> list[CountedLabel]:
    """Returns the labels of the candidates' pictures, one for each, in their order.

    Raises:
        UsageError: If a label is of a class that no candidate may answer, or one picture has two.
    """
    places, numbers = matched.places, label_numbers(matched)
    own = [line for line in lines if line.digest in places]
    refuse_conflicts(files.csv.path, own)
    rows: dict[int, CountedLabel] = {}
    for line in own:
        if line.label not in numbers:
            raise UsageError(
                f"{files.csv} labels {plain(line.image)} as {plain(line.label)!r}, which is no "
                f"class of these runs; they answer {some_classes(matched.classes)}"
            )
        place = places[line.digest]
        rows.setdefault(place, CountedLabel(place, numbers[line.label], line))
    return list(rows.values())


def label_numbers(matched: Matched) -> dict[str, int]:
    """Returns what each label stands for: the number of a class, or `NOBODY`."""
    numbers = {plain(name): n for n, name in enumerate(matched.classes)}
    return numbers | {NONE_OF_THESE: NOBODY, UNSURE: NOBODY}


def some_classes(classes: Sequence[str]) -> str:
    """Returns the first classes, for a message."""
    return ", ".join(map(plain, classes[:8])) + (" …" if len(classes) > 8 else "")


def refuse_conflicts(path: Path, lines: Iterable[LabelLine]) -> None:
    """Refuses two labels of one picture.

    Raises:
        UsageError: If there are two; names them.
    """
    first: dict[str, tuple[int, LabelLine]] = {}
    for number, line in enumerate(lines, 2):
        before, other = first.setdefault(line.digest, (number, line))
        if other.label != line.label:
            raise UsageError(
                f"{path} labels one picture twice: line {before} says that {plain(other.image)} is "
                f"{plain(other.label)}, line {number} that {plain(line.image)} is "
                f"{plain(line.label)}; delete one of the lines"
            )

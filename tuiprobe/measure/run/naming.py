"""Names of runs: the shortest that distinguish them, by the options in which they differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from tuiprobe.files import unless_damaged
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.plaintext import plain
from tuiprobe.spec import ANSWERS, run_options

_LONGEST: Final = 40
"""Characters of one value in a name."""

_BY_CONTENT = re.compile(r"-[0-9a-f]{8}$")
"""Ends the name of a directory that the program named by its key."""

_TIMES: Final = ("%m-%d", "%m-%d %H:%M", "%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S")


class NamedRun(NamedTuple):
    """What the name of a run is made of.

    Attributes:
        model: Its model.
        directory: Its directory.
        spec: What was asked, of any names and values.
    """

    model: str
    directory: RunDir
    spec: Mapping[str, Any]

    @classmethod
    def read(cls, model: str, directory: RunDir) -> NamedRun:
        """Reads what was asked of a run; nothing where that cannot be read."""
        return cls(model, directory, _spec(directory.path, directory.spec_file.changed()))


@lru_cache(maxsize=10_000)
def _spec(path: Path, changed: int) -> Mapping[str, Any]:
    return unless_damaged(RunDir(path).spec_json) or {}


def distinct_names(runs: Sequence[NamedRun]) -> list[str]:
    """Returns a name of each run that no other one has.

    It is the model. Equal ones are followed by the first of these in which they differ: head,
    checkpoint, classes, data, target, any other option, the directory unless the program named it,
    the time, the path; and as long as some are equal by the next one. A run that is given twice
    has a number. Where nothing but directories differ, these are the names.
    """
    names: list[str] = []
    words: list[list[_Word]] = [[] for _ in runs]
    models = _models(runs)
    for indices in _equal(models, range(len(runs))):
        _tell_apart(runs, words, indices, _aspects())
    for model, of in zip(models, words, strict=True):
        name = f"{model} ({', '.join(word.text for word in of)})" if of else model
        if len(of) == 1 and of[0].is_directory:
            name = of[0].text
        numbered = (f"{name} ({number})" for number in count(2))
        names.append(name if name not in names else next(n for n in numbered if n not in names))
    return names


def names_of_runs(runs: Sequence[NamedRun]) -> list[str]:
    """Returns names for a list of runs: directories that users named, and `distinct_names`."""
    return [
        name if _BY_CONTENT.search(run.directory.path.name) else run.directory.path.name
        for run, name in zip(runs, distinct_names(runs), strict=True)
    ]


class _Word(NamedTuple):
    """What follows a model in a name.

    Attributes:
        text: The word or words.
        is_directory: Whether it is the directory, which names a run without its model.
    """

    text: str
    is_directory: bool


_Aspect = Callable[[Sequence[NamedRun]], list[str]]
"""Describes one aspect of runs in words: two runs that differ in it have different words."""


def _equal(texts: Sequence[str], indices: Iterable[int]) -> list[list[int]]:
    """Returns the indices of two or more equal texts."""
    equal: dict[str, list[int]] = {}
    for text, index in zip(texts, indices, strict=True):
        equal.setdefault(text, []).append(index)
    return [group for group in equal.values() if len(group) > 1]


def _tell_apart(
    runs: Sequence[NamedRun],
    words: Sequence[list[_Word]],
    indices: Sequence[int],
    aspects: Sequence[_Aspect],
) -> None:
    """Adds the first word in which the runs of some indices differ; then again to equal ones."""
    for number, aspect in enumerate(aspects):
        texts = aspect([runs[index] for index in indices])
        if len({*texts}) > 1:
            for text, index in zip(texts, indices, strict=True):
                words[index].append(_Word(text, aspect in (_directories, _paths)))
            for group in _equal(texts, indices):
                _tell_apart(runs, words, group, aspects[number + 1 :])
            return


@cache
def _aspects() -> tuple[_Aspect, ...]:
    known = {
        option.name
        for option in run_options()
        if option.option.changes in ("measurement", "answers") and not option.option.stands_for
    }
    first = ("head", "checkpoint", "classes", "data", "target")
    others = sorted(known - {*first, "model"})
    options = (partial(_option, name) for name in (*first, *others))
    return (*options, _directories, _times, _paths)


def _option(name: str, runs: Sequence[NamedRun]) -> list[str]:
    """Returns the values of an option in words."""
    values = [run.spec.get(name) for run in runs]
    texts = _shortest([_text(value) for value in values])
    return [_words(name, text) for text in texts]


def _words(name: str, text: str) -> str:
    if not text:
        words = {"checkpoint": "published weights", "target": "no target", "sample": "sample all"}
        return words.get(name, f"default {name.replace('_', ' ')}")
    cut = plain(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
    forms = {"checkpoint": "{}", "data": "on {}"}
    return forms.get(name, f"{name.replace('_', ' ')} {{}}").format(cut)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value).removeprefix("imagefolder:").strip(",")


def _directories(runs: Sequence[NamedRun]) -> list[str]:
    """Returns the directories by the names that users gave them; equal ones for others."""
    shortest = _shortest([str(run.directory.path.resolve()) for run in runs])
    by_content = any(_BY_CONTENT.search(part) for name in shortest for part in name.split("/"))
    return [""] * len(runs) if by_content else [plain(name) for name in shortest]


def _times(runs: Sequence[NamedRun]) -> list[str]:
    """Returns when results were written, as briefly as they differ."""
    files = [(run.directory.results_file, run.directory.key_file) for run in runs]
    times = [next((t for f in pair if (t := f.modified()) is not None), 0) for pair in files]
    dates = [datetime.fromtimestamp(time / 1e9) for time in times]
    written = [[f"{date:{form}}" for date in dates] for form in _TIMES]
    return max(written, key=lambda texts: len({*texts}))


def _paths(runs: Sequence[NamedRun]) -> list[str]:
    return [plain(name) for name in _shortest([str(run.directory.path.resolve()) for run in runs])]


def _models(runs: Sequence[NamedRun]) -> list[str]:
    """Returns models by name, tables of answers by the end of their path."""
    asked = [str(run.spec.get("model", "")) for run in runs]
    models = [
        of if of.startswith(ANSWERS) else run.model for of, run in zip(asked, runs, strict=True)
    ]
    tables = [model for model in models if model.startswith(ANSWERS)]
    ends = map(plain, _shortest([table.removeprefix(ANSWERS) for table in tables]))
    short = dict(zip(tables, ends, strict=True))
    return [f"{ANSWERS}{short[model]}" if model in short else model for model in models]


def _shortest(texts: Sequence[str]) -> list[str]:
    """Returns paths by as few of their last parts as distinguish them.

    >>> _shortest(["/data/a/photos/", "/data/b/photos"]), _shortest(["lists/x.txt", ""])
    (['a/photos', 'b/photos'], ['x.txt', ''])
    """
    parts = [[part for part in text.split("/") if part != "."] for text in texts]
    parts = [part[:-1] if len(part) > 1 and not part[-1] else part for part in parts]
    complete = ["/".join(part) for part in parts]
    for last in range(1, max(map(len, parts), default=0)):
        ends = ["/".join(part[-last:]) for part in parts]
        if len({*ends}) == len({*complete}):
            return ends
    return complete

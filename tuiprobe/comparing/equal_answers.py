"""Runs whose answers are all equal, as those of a model that did not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

import numpy as np

from tuiprobe.comparing.runs import Run
from tuiprobe.comparing.same_pictures import MeasuredSet
from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import listed
from tuiprobe.results.doubt import Doubt
from tuiprobe.run.head_file import class_name, read_head

_NAMED = 4
"""Models that a note names."""


def equal_answers(runs: Sequence[Run]) -> Iterator[Doubt]:
    """Yields a doubt on the runs that give equal answers on all pictures that they share."""
    answers = [_answers(run) for run in runs]
    noted: set[int] = set()
    for first, run in enumerate(runs):
        equal = [
            other
            for other in range(first + 1, len(runs))
            if {first, other}.isdisjoint(noted)
            and _shared(run, runs[other], answers[first], answers[other])
        ]
        if equal:
            noted |= {first, *equal}
            names = [runs[place].report.model.name for place in (first, *equal)]
            count = _shared(run, runs[equal[0]], answers[first], answers[equal[0]])
            text = f"all answers equal, on {count:,} pictures: {listed(names, _NAMED)}"
            yield Doubt(id="equal-answers", sentence=text, figures={"pictures": count})


def _answers(run: Run) -> Mapping[str, str]:
    """Returns a digest of the class that is answered on each picture, by set."""
    try:
        names = read_head(run.directory).classes
    except TuiprobeError:
        return {}
    digests = {}
    for data, values in run.images.items():
        if values.answers is not None:
            rows = values.answers.classes.tolist()
            by_row = {row: class_name(names, row) for row in rows}
            found, places = np.unique(values.answers.answer, return_inverse=True)
            texts = [by_row.get(row, "") for row in found.tolist()]
            order = sorted(range(len(texts)), key=texts.__getitem__)
            rank = np.argsort(order)
            content = "\0".join(sorted(texts)).encode("utf-8", "backslashreplace")
            digests[data] = sha256(content + rank[places].astype("<i4").tobytes()).hexdigest()
    return digests


def _shared(one: Run, other: Run, first: Mapping[str, str], second: Mapping[str, str]) -> int:
    """Returns the pictures that two runs share where all answers on them are equal, else 0."""
    shared = [
        name
        for name in first
        if name in second
        and MeasuredSet(one, name).differs_from(MeasuredSet(other, name)) is None
        and len(one.images[name].ids) == len(other.images[name].ids)
    ]
    equal = all(first[name] == second[name] for name in shared)
    return sum(len(one.images[name].ids) for name in shared) if equal else 0

"""A sentence that has no figure gives the reason at its end: "Accuracy on val: not run: …"."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.probes.test_steps import Computed, probe_of, results, run  # noqa: F401
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Estimate, NotRun
from tuiprobe.results.section import Bullets, Heading, Prose, Section, Text

MISSING = NotRun(reason="planted").model_dump()


def figures_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the place of each figure; of a list only the first two entries are looked into."""
    if isinstance(value, dict) and value.keys() == Estimate.model_fields.keys():
        yield path
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else list(enumerate(value))[:2]
        for key, item in items:
            yield from figures_in(item, (*path, key))


def sentences(section: Section) -> Iterator[Text]:
    yield from (section.headline, *(section.card or ()))
    for piece in section.content:
        if isinstance(piece, Prose | Heading | Bullets):
            yield from piece.items if isinstance(piece, Bullets) else (piece.text,)


@pytest.mark.parametrize("id", ["targets", "calibration", "robustness"])
def test_a_missing_figure_ends_its_sentence(id: str, run: RunReader, results: Computed) -> None:  # noqa: F811
    probe, subject = probe_of(id), Subject(run.plan.model, run.id_and_shifts)
    tree = results[id].model_dump(mode="json")
    for *path, last in figures_in(tree):
        changed = deepcopy(tree)
        parent = changed
        for key in path:
            parent = parent[key]
        parent[last] = MISSING
        section = probe.describe(probe.Result.model_validate(changed), subject)
        for text in sentences(section):
            for before, piece, after in zip(("", *text), text, (*text[1:], "."), strict=False):
                if isinstance(piece, NotRun):
                    assert str(before).endswith(": ") or piece is text[0], (*path, last, text)
                    assert str(after).startswith("."), (*path, last, text)

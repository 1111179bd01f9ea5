"""`tuiprobe agreement`: accuracy on unlabelled images from how five or more models agree."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuiprobe.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuiprobe.probes.reader import RunReader
    from tuiprobe.probes.targets.agreement import Answers, SetAgreement


def agreement(
    runs: Annotated[list[Path], typer.Argument(help="Five or more runs over the same images.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate accuracy without labels from the agreement of models of one kind of training."""
    from tuiprobe.probes.reader import RunReader
    from tuiprobe.probes.targets.agreement import agreement as on_the_line
    from tuiprobe.probes.targets.agreement import why_unfit
    from tuiprobe.run.directory import RunDir

    read = [RunReader(RunDir(path)) for path in runs]
    models = [one.plan.model for one in read]
    if reason := why_unfit(
        [one.training for one in models], [one.weights.digest for one in models]
    ):
        raise UsageError(f"agreement on the line: {reason}")
    names = [name for name in read[0].plan.sets if name.name in read[0].measured.sets]
    first, *others = [one.name for one in names if one.name != read[0].plan.concept_set]
    own = _answers(read, runs, first)
    found = [
        on_the_line([one.name for one in models], own, _answers(read, runs, name))
        for name in others
        if _in_all(read, name)
    ]
    if not found:
        raise UsageError(f"the runs have no other set than {first} in common")
    if as_json:
        sets = [one.model_dump(mode="json") for one in found]
        print(json.dumps({"schema_version": 1, "first": first, "sets": sets}, indent=1))
    else:
        print("\n".join(_markdown(first, found)))
    if all(one.refused for one in found):
        print("refused for every set: agreement is not on a line", file=sys.stderr)
        raise typer.Exit(DataError.exit_code)


def _in_all(read: Sequence[RunReader], name: str) -> bool:
    return all(name in one.measured.sets for one in read)


def _answers(read: Sequence[RunReader], paths: Sequence[Path], name: str) -> Answers:
    """Returns what every run answers on the images of a set that all have in common.

    Raises:
        UsageError: If a run lacks a head, the set, or has other images or classes.
    """
    import numpy as np

    from tuiprobe.probes.confidence import Logits
    from tuiprobe.probes.targets.agreement import Answers
    from tuiprobe.run.per_image import list_digest

    lists, classes, said, ids = set(), set(), [], []
    for path, run in zip(paths, read, strict=True):
        if isinstance(run.head, str):
            raise UsageError(f"{path} has no head: {run.head}")
        found = [one for one in (*run.head_sets, *run.target_sets) if one.name == name]
        if not found:
            raise UsageError(f"{path} has no set {name}")
        samples = run.samples[name]
        contents = run.measured.sets[name].contents or ""
        source = next(one.source for one in run.sets if one.name == name)
        lists.add(list_digest([samples[i] for i in sorted(samples)], contents, source))
        logits = Logits(run.head, found[0])
        classes.add((np.unique(logits.classes).tobytes(), run.plan.sets[0].classes))
        said.append(logits.confidences())
        ids.append(run.features(name)["ids"])
    if len(lists) > 1:
        raise UsageError(f"the runs measured {len(lists)} different samples of {name}, not one")
    if len(classes) > 1:
        raise UsageError(f"the heads answer with {len(classes)} different lists of classes")
    kept = ids[0]
    for one in ids[1:]:
        kept = np.intersect1d(kept, one)
    if kept.size < 2:
        raise UsageError(f"{name}: {kept.size} images are usable in every run")
    orders = [np.argsort(one)[np.searchsorted(np.sort(one), kept)] for one in ids]
    answer = np.stack([one.answer[at] for one, at in zip(said, orders, strict=True)])
    right = [one.right for one in said]
    labelled = [one[at] for one, at in zip(right, orders, strict=True) if one is not None]
    return Answers(name, answer, np.stack(labelled) if len(labelled) == len(said) else None)


def _markdown(first: str, found: Sequence[SetAgreement]) -> list[str]:
    from tuiprobe.report.numbers import figure, number
    from tuiprobe.report.text import escaped, table
    from tuiprobe.results import given

    lines = ["# Agreement on the line", ""]
    for one in found:
        lines += [
            f"## {escaped(one.data)}",
            "",
            f"{one.pairs} pairs of models on {one.images:,} images; line in probits: slope "
            f"{number(one.slope or 0)}, intercept {number(one.intercept or 0)}, R^2 "
            f"{number(one.r2 or 0)}.",
            "",
        ]
        if one.refused:
            lines += [f"Refused: {one.refused}.", ""]
            continue
        header = ["model", f"measured on {escaped(first)}", "ALine-S", "ALine-D", "measured"]
        rows = [
            [
                escaped(each.model),
                *(escaped(figure(f)) for f in (each.first, each.aline_s, each.aline_d)),
                escaped(figure(each.measured)) if given(each.measured) else "-",
            ]
            for each in one.models
        ]
        lines += table(header, rows)
    return lines

"""What Compare shows, read in a process without Textual."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tuiprobe.choose.comparing.decide import decide
from tuiprobe.choose.comparing.decision import DecidedModel, Decision
from tuiprobe.choose.comparing.decision_section import decided_curves
from tuiprobe.choose.comparing.differences import Comparison, Difference, compare_runs
from tuiprobe.choose.comparing.forest import PairedRow, paired_chart, paired_rows
from tuiprobe.choose.comparing.label_evidence import label_evidence
from tuiprobe.choose.comparing.runs import Run, read_runs
from tuiprobe.choose.comparing.same_pictures import shared_pictures
from tuiprobe.choose.labelling.report_part import labels_state
from tuiprobe.errors import TuiprobeError
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.manifest import MANIFEST
from tuiprobe.measure.run.pictures import Pictures, differing
from tuiprobe.plaintext import holds_all
from tuiprobe.results import Figure, NotRun, is_known
from tuiprobe.results.section import Chart


@dataclass(frozen=True)
class DifferenceRow:
    """The model that leads beside another one on a set.

    Attributes:
        name: The set, or what else the difference is over.
        other: The other model.
        difference: The accuracy of the first one minus that of the other.
        data: The set whose pictures are behind it.
        differ: Pictures that the two answer differently; None where that is not known.
    """

    name: str
    other: DecidedModel
    difference: Figure
    data: str
    differ: int | None


@dataclass(frozen=True)
class Compared:
    """What the screen shows.

    Attributes:
        decision: Which model to take.
        comparisons: Its first model as `second`, with each of the others as `first`.
        rows: A row a set and model.
        note: At which level their ranges hold.
        curves: How right heads fitted to so many labels are; None for fewer than two models.
        specs: What was asked of the runs, as titles warn of it.
    """

    decision: Decision
    comparisons: tuple[Comparison, ...]
    rows: tuple[DifferenceRow, ...]
    note: str
    curves: Chart | None
    specs: tuple[dict[str, object], ...]

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Compared:
        """Reads runs and decides between them.

        Raises:
            TuiprobeError: If one of them cannot be read.
        """
        runs = map(RunDir, paths)
        states = ((labels_state(run), run.results_file.changed(), run.at(MANIFEST).changed())
                  for run in runs)  # fmt: skip
        return _compared(tuple(paths), tuple(states))

    def figures(self, query: str) -> list[tuple[str, Difference]]:
        """Returns all figures with all words, the headline figures first.

        Args:
            query: The words.
        """
        rows = [
            (comparison.models[0], row)
            for comparison in self.comparisons
            for row in comparison.differences
            if is_known(row.first) or is_known(row.second)
        ]
        words = query.split()
        rows = [
            (model, row)
            for model, row in rows
            if holds_all(
                f"{'*' if row.differs else ''} {row.name} {row.id} {row.data} {row.place} {model}",
                words,
            )
        ]
        rows.sort(key=lambda of: 1000 if of[1].headline is None else of[1].headline)
        return sorted(rows, key=lambda of: not is_known(of[1].difference))


@lru_cache(maxsize=8)
def _compared(paths: tuple[Path, ...], states: tuple[tuple[object, ...], ...]) -> Compared:
    """Compares runs; `states` changes whenever these or their labels do."""
    runs = read_runs(paths)
    decision, labels = decide(runs), label_evidence(runs)
    first, *others = (row.place for row in decision.models)
    comparisons = tuple(compare_runs(runs, n, first, labels) for n in others)
    paired = paired_rows(decision, comparisons)
    chart = paired_chart(paired, decision)
    return Compared(
        decision,
        comparisons,
        tuple(_difference_rows(decision, paired, runs)),
        "" if chart is None else chart.note,
        decided_curves(decision, runs),
        tuple({**run.report.spec, "weights": run.report.model.weights.kind} for run in runs),
    )


def read_decision(paths: Sequence[Path]) -> Decision:
    """Reads runs and decides between them; errors as for `Compared.read`."""
    return decide(read_runs(paths))


def _difference_rows(
    decision: Decision, paired: Sequence[PairedRow], runs: Sequence[Run]
) -> list[DifferenceRow]:
    """Returns the paired differences, then the target, each with the pictures that differ."""
    by_name = {row.model: row for row in decision.models}
    first, *others = by_name
    pictures: dict[str, dict[str, list[Pictures]]] = {}
    for other in others:
        with suppress(TuiprobeError):  # the decision and the figures need none of it
            both = [runs[by_name[name].place] for name in (first, other)]
            pictures[other] = shared_pictures(both)
    sets = {name for shared in pictures.values() for name in shared}
    over = {"labels": decision.target, "pictures": decision.question}.get(
        decision.evidence, (*decision.shifts, "")[0]
    )
    wanted: list[tuple[str, str, Figure, str]] = [
        (row.name, row.model, row.difference, row.name if row.name in sets else over)
        for row in paired
    ]
    shown = {data for *_, data in wanted}
    missing: Figure = NotRun(reason="no labels, so nothing says which answer is right")
    if decision.target and decision.target not in shown:
        wanted += [(decision.target, other, missing, decision.target) for other in others]

    def differ(name: str, other: str, data: str) -> int | None:
        if name not in sets and decision.evidence == "shifts":
            return None  # a mean over several sets
        both = pictures.get(other, {}).get(data)
        return None if both is None else len(differing(both))

    return [
        DifferenceRow(name, by_name[model], figure, data, differ(name, model, data))
        for name, model, figure, data in wanted
    ]

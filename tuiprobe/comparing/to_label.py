"""What labels would tell: the target that could be labelled, and the command that does it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tuiprobe.comparing.label_evidence import LabelEvidence
from tuiprobe.comparing.orders import VERDICTS, ModelOrder
from tuiprobe.comparing.runs import Run
from tuiprobe.errors import TuiprobeError
from tuiprobe.plaintext import plain
from tuiprobe.results import NotRun, SetSummary
from tuiprobe.results.accuracy import best_accuracy
from tuiprobe.run.directory import RunDir

if TYPE_CHECKING:
    from tuiprobe.labelling.matching import Matched

MOST_TO_LABEL: Final = 12
"""Models that a command to label names."""


def target_set(
    runs: Sequence[Run], target: str | None, labels: LabelEvidence | NotRun | None
) -> SetSummary | None:
    """Returns the target of a name, the labelled one, or the first that all with targets have."""
    sets = [[data for data in run.report.data if data.target] for run in runs]
    first, *others = [targets for targets in sets if targets] or [[]]
    if isinstance(labels, LabelEvidence):
        target = labels.status.target
    if target is not None:
        return next((data for data in first if data.name == target), None)
    names = [{data.name for data in targets} for targets in others]
    return next((data for data in first if all(data.name in other for other in names)), None)


def label_fields(
    runs: Sequence[Run],
    order: ModelOrder,
    target: SetSummary | None,
    labels: LabelEvidence | NotRun | None,
) -> dict[str, Any]:
    """Returns the fields about labels of the target: how many, and what more of them would take.

    A labelling that began goes on with all its runs. Before that, labels are worth most for the
    models that may still be the best, or else for the first models of the order.
    """
    fields: dict[str, Any] = {}
    if target is not None:
        fields = {"target": target.name, "pictures": target.measured}
    if isinstance(labels, LabelEvidence):
        status = labels.status
        fields |= {"pictures": status.pictures, "labels": status.labelled}
        if status.verdict in VERDICTS:
            return fields
        fields["more"], worth = status.more, [runs[n] for n in labels.candidate_of]
    else:
        unbeaten = ("undecided", "as good", "take")
        still = [n for n in order.order if order.standings.get(n) in unbeaten]
        several = (of for of in (still, order.order) if len(of) > 1)
        some = sorted(next(several, [*range(len(runs))])[:MOST_TO_LABEL])
        name = None if target is None else target.name
        worth = [runs[n] for n in some if _answers_on_target(runs[n], name)]
    paths = dict.fromkeys(
        str(run.directory.path)
        for run in worth
        if not run.report.partial and run.report.model.weights.kind != "unknown"
    )
    if len(paths) < 2:
        return fields
    matched, fields["obstacle"] = _matched(paths, target)
    if matched is not None and (matched.answers == matched.answers[0]).all():
        return fields  # no label orders them
    if not fields["obstacle"] and (matched is not None or target is not None):
        words = ["tuiprobe", "label", *paths]
        targets = [{data.name for data in run.report.data if data.target} for run in worth]
        if target is not None and len(set.intersection(*targets)) > 1:
            words += ["--target", target.name]
        begun = isinstance(labels, LabelEvidence)
        if matched is not None and not begun and (folder := _labelled_folder(matched)):
            fields["answers_from"] = folder
            words += ["--answers-from", folder]
        fields["command"] = plain(shlex.join(words))
    return fields


def _answers_on_target(run: Run, target: str | None) -> bool:
    """Returns whether a run answers on a target set, or on any where None is named."""
    names = [data.name for data in run.report.data if data.target and target in (None, data.name)]
    return any(
        (name in run.images and run.images[name].answers is not None)
        or not isinstance(best_accuracy(run.report, name), NotRun)
        for name in names
    )


def _matched(paths: Iterable[str], target: SetSummary | None) -> tuple[Matched | None, str]:
    """Returns runs that can be labelled together, and what is different where they cannot."""
    from tuiprobe.labelling.candidates import read_candidate  # scipy, which few decisions need
    from tuiprobe.labelling.matching import DifferentPoolsError, match

    name = None if target is None else target.name
    try:
        return match([read_candidate(RunDir(Path(path)), name) for path in paths]), ""
    except DifferentPoolsError as error:
        return None, plain(str(error))
    except TuiprobeError:
        return None, ""


def _labelled_folder(matched: Matched) -> str:
    """Returns the folder of the pictures if its subfolders are classes of the runs; else empty."""
    folders = {path.partition("/")[0] for path in matched.paths if "/" in path}
    source = matched.source_run.source
    folder = source.removeprefix("imagefolder:")
    if len(folders) < 2 or any("/" not in path for path in matched.paths):
        return ""
    known = matched.classes_named(folders).values()
    return folder if set(known) <= set(matched.classes) and Path(folder).is_dir() else ""

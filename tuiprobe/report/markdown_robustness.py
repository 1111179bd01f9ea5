"""The parts of report.md about shifts: accuracies and effective robustness."""

from tuiprobe.probes.robustness.result import Accuracy, EffectiveRobustness, Robustness
from tuiprobe.report.text import code, escaped, figure, table
from tuiprobe.results import NotRun, given

AXES = {
    "imagenet": "full validation set",
    "val": "full `val`",
    "own classes": "validation images of the shift's own classes",
}

NOTE = (
    "Effective robustness is shift accuracy less what the baseline expects at this in-distribution "
    "accuracy, `sigmoid(a logit(x) + b)`. The precision interval says how well the figure is "
    "known; only a model outside the wider prediction interval is above the baseline."
)


def robustness_sections(robustness: Robustness) -> list[str]:
    """Accuracy of every set, then effective robustness by every baseline."""
    return _accuracies(robustness) + _effective(robustness)


def _accuracies(robustness: Robustness) -> list[str]:
    rows = [_accuracy(one, code(one.data)) for one in robustness.accuracies]
    rows += [
        [f"{code(one.data)}, by its own class names", f"not run: {escaped(one.accuracy.reason)}",
         "", "", "", ""]
        if isinstance(one.accuracy, NotRun)
        else _accuracy(one.accuracy, f"{code(one.data)}, by its own class names")
        for one in robustness.own_names
    ]  # fmt: skip
    header = ["data", "top-1", "top-5", "n", "classes",
              f"{code(robustness.data)} on the same classes"]  # fmt: skip
    lines = ["## Accuracy", "", *table(header, rows)]
    return [*lines, f"Mean top-1 of the shifts: {figure(robustness.mean_shift)}.", ""]


def _accuracy(one: Accuracy, name: str) -> list[str]:
    own = figure(one.id_own_classes) if given(one.id_own_classes) else "-"
    return [name, figure(one.top1), figure(one.top5), str(one.images), str(one.classes), own]


def _effective(robustness: Robustness) -> list[str]:
    lines = ["## Effective robustness", ""]
    if isinstance(robustness.effective, NotRun):
        return [*lines, f"Not run, because {escaped(robustness.effective.reason)}.", ""]
    header = ["target", "x axis", "models", "effective robustness [precision]", "[prediction]",
              "above the baseline", "share of models below"]  # fmt: skip
    lines += [NOTE, ""]
    for name in dict.fromkeys(one.baseline for one in robustness.effective):
        entries = [one for one in robustness.effective if one.baseline == name]
        lines += [f"Baseline {code(name)}:", "", *table(header, [_entry(one) for one in entries])]
    reasons = dict.fromkeys(one.reason for one in robustness.not_run)
    lines += [f"- not run, because {escaped(reason)}" for reason in reasons]
    return [*lines, ""] if reasons else lines


def _entry(one: EffectiveRobustness) -> list[str]:
    target = ", ".join(code(shift) for shift in one.target)
    left_out = f" ({one.left_out} left out)" if one.left_out else ""
    return [
        f"mean of {target}" if len(one.target) > 1 else target,
        AXES.get(one.axis, escaped(one.axis)) + (" (**extrapolated**)" if one.extrapolated else ""),
        f"{one.models}{left_out}",
        figure(one.value),
        figure(one.prediction) if given(one.prediction) else "-",
        {True: "yes", False: "no", None: "-"}[one.above],
        figure(one.percentile) if given(one.percentile) or given(one.value) else "-",
    ]

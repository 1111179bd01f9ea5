"""The few lines of a report that go to standard output."""

from tuiprobe.plaintext import plain
from tuiprobe.probes.concepts.result import Concepts
from tuiprobe.probes.outliers.result import Outliers
from tuiprobe.probes.robustness.result import EffectiveRobustness, Robustness
from tuiprobe.report.text import number
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.results.report import Report


def summary(report: Report) -> str:
    """Title, verdict with its reasons, and the headline figures of the final representation."""
    verdict = report.verdict
    lines = [
        report.title,
        f"verdict (rule {verdict.rule}, uncalibrated): {verdict.outcome}",
        *(f"  {reason}" for reason in verdict.reasons),
    ]
    for one in report.outliers:
        if one.final:
            lines += _set(one)
    if report.robustness is not None:
        lines += _accuracies(report.robustness)
    if report.concepts is not None:
        lines += _concepts(report.concepts)
    lines += [f"warning: {warning}" for warning in report.warnings]
    lines += [f"not run: {part.part}, because {part.reason}" for part in report.not_run]
    return "\n".join(plain(line) for line in lines) + "\n"


def _accuracies(robustness: Robustness) -> list[str]:
    lines = [f"accuracy (top-1) on {one.data}: {_said(one.top1)}" for one in robustness.accuracies]
    if len(lines) == 1:
        return lines
    lines.append(f"mean of the shifts: {_said(robustness.mean_shift)}")
    if isinstance(robustness.effective, NotRun):
        return [*lines, f"effective robustness: not run, because {robustness.effective.reason}"]
    return lines + [_effective(one) for one in robustness.headlines()]


def _effective(one: EffectiveRobustness) -> str:
    shifts = "1 shift" if len(one.target) == 1 else f"{len(one.target)} shifts"
    above = {True: ", above the baseline", False: ", within the baseline", None: ""}[one.above]
    return (
        f"effective robustness by {one.baseline} ({shifts}): {_said(one.value)}; "
        f"prediction {_ends(one.prediction)}{above}"
        f"{', extrapolated' if one.extrapolated else ''}"
    )


def _concepts(found: Concepts) -> list[str]:
    lead = found.families[0]
    over = found.excess if given(found.excess) else lead.excess
    unique = number(lead.unique.value) if given(lead.unique) else "no figure"
    return [
        f"concepts on {found.data}: {unique} of {found.tried} in {lead.directions} {lead.family}",
        *([] if over is None else [f"  over random directions {_said(over)}"]),
    ]


def _ends(one: Figure) -> str:
    if not given(one) or one.low is None or one.high is None:
        return "not run"
    return f"[{number(one.low)}, {number(one.high)}]"


def _set(one: Outliers) -> list[str]:
    persistent = (
        f"not run: {one.persistent.reason}"
        if isinstance(one.persistent, NotRun)
        else ", ".join(str(channel.channel) for channel in one.persistent.channels) or "none"
    )
    return [
        f"{one.data}: {one.images} images, {one.channels} channels",
        f"  kurtosis              {_said(one.kurtosis)}; {number(one.basis_reference)} after a "
        "random rotation",
        f"  after centring        {_said(one.centred_kurtosis)}",
        f"  persistence           {_said(one.persistence.value)}",
        f"  persistent channels   {persistent}",
    ]


def _said(one: Figure) -> str:
    if not given(one):
        return f"not run: {one.reason}"
    if one.low is None or one.high is None:
        return f"{number(one.value)} (no interval)"
    return f"{number(one.value)} [{number(one.low)}, {number(one.high)}]"

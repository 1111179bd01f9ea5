"""The parts of report.md that say what was checked first, and whom the figures stand beside."""

from tuiprobe.probes.population.result import Population, Reference
from tuiprobe.report.text import code, escaped, figure, number, table
from tuiprobe.results import given
from tuiprobe.results.report import Report

SHOWN = 20


def preflight_section(report: Report) -> list[str]:
    """What was checked before the first image."""
    if not report.preflight:
        return []
    rows = [
        [
            escaped(check.name),
            code(check.data) if check.data is not None else "encoder",
            {"warn": "**warning**", "fail": "**failed**"}.get(check.status, check.status),
            escaped(check.detail) + (f"; {escaped(check.fix)}" if check.fix else ""),
        ]
        for check in report.preflight
    ]
    return ["## Preflight", "", *table(["check", "of", "", "found"], rows)]


def population_section(report: Report) -> list[str]:
    """The same architecture untrained, and where the figures lie among filed models."""
    found = report.population
    if found is None:
        return []
    return ["## Where it stands", "", *_untrained(report, found), *_filed(report, found)]


def _untrained(report: Report, found: Population) -> list[str]:
    if found.untrained is None:
        said = f"No untrained reference ships for {code(report.model.architecture)}."
        return [said, ""]
    note = (
        "Random weights are no zero: the same architecture before it learnt anything, on other "
        "images, stands beside the figures (persistence without interval)."
    )
    return [note, "", *_references((found.untrained,))]


def _filed(report: Report, found: Population) -> list[str]:
    kind = report.model.representation
    if not found.filed:
        return [
            f"No other model of kind {kind} is filed on this machine; `tuiprobe atlas add RUN` "
            "files one, and the next report places it here.",
            "",
        ]
    count = len(found.filed)
    models = f"{count} filed model{'s' if count > 1 else ''} of kind {kind}"
    lines = [
        f"Among {models}: {found.lower_kurtosis} lower in kurtosis / (C - 1), "
        f"{found.lower_persistence} lower in persistence.",
        "",
        *_references(found.filed[:SHOWN]),
    ]
    rest = count - SHOWN
    return lines + ([f"and {rest} more in `results.json`", ""] if rest > 0 else [])


def _references(references: tuple[Reference, ...]) -> list[str]:
    rows = [
        [
            code(one.model),
            "**untrained**" if one.weights == "untrained" else one.weights,
            code(one.data),
            str(one.n),
            str(one.width),
            figure(one.kurtosis),
            _relative(one),
            figure(one.persistence),
        ]
        for one in references
    ]
    header = ["model", "weights", "data", "n", "C", "kurtosis", "kurtosis / (C - 1)", "P"]
    return table(header, rows)


def _relative(one: Reference) -> str:
    if not given(one.kurtosis) or one.width < 2:
        return "-"
    return number(one.kurtosis.value / (one.width - 1))

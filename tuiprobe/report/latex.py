r"""report.tex: the headline figures as one LaTeX table, to \input into a paper."""

from __future__ import annotations

from tuiprobe.plaintext import plain
from tuiprobe.report.numbers import number
from tuiprobe.results import DataSet, Report, given
from tuiprobe.results.section import NamedFigure

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "'": r"{'}", "-": r"{-}",
}  # fmt: skip


def tex(text: str) -> str:
    r"""Escapes outside text for LaTeX: nothing in it is a command, a ligature or a comment.

    >>> print(tex(r"\input{x}_1%"))
    \textbackslash{}input\{x\}\_1\%
    """
    return "".join(_SPECIAL.get(letter, letter) for letter in plain(text))


def latex(report: Report) -> str:
    """Returns a table of the headline figures: a row a figure, a column a set or place."""
    figures = sorted(
        (one for part in report.parts for one in part.figures if one.headline is not None),
        key=lambda one: one.headline or 0,
    )
    columns = list(dict.fromkeys(one.data for one in figures))
    by_place = {(one.name, one.data): one for one in figures}
    names = list(dict.fromkeys(one.name for one in figures))
    rows = [
        " & ".join([tex(name), *(_figure(by_place.get((name, data))) for data in columns)]) + r" \\"
        for name in names
    ]
    counts = [one.figure.n for one in figures if given(one.figure)]
    n = f"; n up to {max(counts):,}" if counts else ""
    return "\n".join(
        [
            f"% {plain(report.title)}",
            f"% tuiprobe {plain(report.tuiprobe)}, run {plain(report.key[:8])}; 95 % intervals in "
            f"parentheses{n}; full precision in results.json",
            rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
            r"\hline",
            " & ".join(["figure", *(tex(data) for data in columns)]) + r" \\",
            r"\hline",
            *rows,
            r"\hline",
            r"\end{tabular}",
            f"% caption: {tex(report.title)}. {report.model.weights.kind} weights, "
            f"{report.model.width} {report.model.representation} channels.",
            *(f"% {plain(_left_out(one))}" for one in report.data if one.nonfinite),
            "",
        ]
    )


def _figure(one: NamedFigure | None) -> str:
    if one is None or not given(one.figure):
        return "--"
    found = one.figure
    if found.low is None or found.high is None:
        return f"${number(found.value)}$"
    return f"${number(found.value)}$ (${number(found.low)}$ to ${number(found.high)}$)"


def _left_out(one: DataSet) -> str:
    return (
        f"{one.name}: {one.nonfinite} of {one.measured} images are left out, because their "
        "representation is not finite"
    )

r"""report.tex: the headline figures as one LaTeX table, to \input into a paper."""

from __future__ import annotations

from tuiprobe.plaintext import plain
from tuiprobe.probes.outliers.result import Outliers
from tuiprobe.report.text import number
from tuiprobe.results import DataSet, Figure, NotRun, given
from tuiprobe.results.report import Report

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "'": r"{'}", "-": r"{-}",
}  # fmt: skip


def tex(text: str) -> str:
    r"""Foreign text as LaTeX text: nothing in it is a command, a ligature or a comment.

    >>> print(tex(r"\input{x}_1%"))
    \textbackslash{}input\{x\}\_1\%
    """
    return "".join(_SPECIAL.get(letter, letter) for letter in plain(text))


def latex(report: Report) -> str:
    """One row a data set; needs no package but ``textcomp`` where the compiler is old."""
    rows = [_row(one) for one in report.outliers if one.final]
    return "\n".join(
        [
            f"% {_comment(report.title)}",
            f"% tuiprobe {_comment(report.tuiprobe)}, run {_comment(report.key[:8])}; 95 % "
            "intervals in brackets; full precision in results.json",
            r"\begin{tabular}{lrrrrrl}",
            r"\hline",
            r"data & $n$ & kurtosis & rotated & after centring & persistence & persistent "
            r"channels \\",
            r"\hline",
            *rows,
            r"\hline",
            r"\end{tabular}",
            f"% caption: {_caption(report)}",
            *(f"% {_comment(_left_out(one))}" for one in report.data if one.nonfinite),
            "",
        ]
    )


def _row(one: Outliers) -> str:
    n = one.kurtosis.n if given(one.kurtosis) else 0
    cells = [
        tex(one.data),
        str(n),
        _figure(one.kurtosis),
        f"${one.basis_reference:.2f}$",
        _figure(one.centred_kurtosis),
        _figure(one.persistence.value),
        _persistent(one),
    ]
    return " & ".join(cells) + r" \\"


def _figure(one: Figure) -> str:
    if not given(one):
        return "--"
    if one.low is None or one.high is None:
        return f"${number(one.value)}$"
    return f"${number(one.value)}$ [${number(one.low)}$, ${number(one.high)}$]"


def _persistent(one: Outliers) -> str:
    if isinstance(one.persistent, NotRun):
        return "--"
    return ", ".join(str(channel.channel) for channel in one.persistent.channels[:8]) or "none"


def _caption(report: Report) -> str:
    verdict = report.verdict
    what = f"{tex(report.model.name)} ({report.model.weights.kind} weights)"
    return (
        f"{what}: outlier features {verdict.outcome} by rule {verdict.rule}, which is "
        f"uncalibrated. Kurtosis over {report.model.width} {report.model.representation} channels."
    )


def _left_out(one: DataSet) -> str:
    return (
        f"{one.name}: {one.nonfinite} of {one.measured} images are left out, because their "
        "representation is not finite"
    )


def _comment(text: str) -> str:
    """Foreign text behind a ``%``: one line, whatever it holds."""
    return plain(text)

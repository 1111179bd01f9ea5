"""The answer to `tuiprobe runs --correlate` as lines for standard output."""

from collections import Counter

from tuiprobe.compare.indicator_result import Correlations, Indicator
from tuiprobe.plaintext import plain
from tuiprobe.results import Figure, given

NOTE = (
    "Spearman's correlation of ranks within strata of representation kind and backbone; p by "
    "permutation within strata. Pooled figures mislead: they stand beside those of the trivial "
    "predictor, zero-shot or not."
)


def correlation_text(found: Correlations) -> str:
    """Returns signatures, then other predictors, then the strata and the runs left out."""
    lines = ["no run can be correlated"]
    if found.runs:
        lines = [
            f"{len(found.runs)} encoders, effective robustness by {found.baseline} on "
            f"{', '.join(found.target)} (x: {found.axis})",
            NOTE,
            *_group("signature", found.signatures),
            *_group("what one has anyway", found.predictors),
            *_strata(found),
        ]
    if found.left_out:
        lines += ["", "left out", *(f"  {one.run}: {one.reason}" for one in found.left_out)]
    return "\n".join(plain(line) for line in lines) + "\n"


def _group(title: str, rows: tuple[Indicator, ...]) -> list[str]:
    lines = ["", title]
    width = max((len(one.signature) for one in rows), default=0)
    for one in rows:
        p = "" if one.p_value is None else f", p {one.p_value:.3g}"
        lines += [
            f"  {one.signature.ljust(width)}  within: {_said(one.within)}{p}",
            f"  {'':{width}}  pooled: {_said(one.pooled)}, zero-shot or not: "
            f"{_said(one.pooled_trivial)}",
        ]
    return lines


def _strata(found: Correlations) -> list[str]:
    counts = Counter((one.representation, one.backbone) for one in found.runs)
    rows = [f"  {kind}, {backbone}: {n}" for (kind, backbone), n in sorted(counts.items())]
    return ["", "encoders in each stratum", *rows]


def _said(one: Figure) -> str:
    if not given(one):
        return f"not run, because {one.reason}"
    if one.low is None or one.high is None:
        return f"{one.value:+.2f}"
    return f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"

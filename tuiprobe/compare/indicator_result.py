"""Result types of the indicator: does a signature go with effective robustness across models?"""

from typing import Final, Literal

from tuiprobe.results.base import Count, Figure, Frozen, Many, Real

CORRELATIONS_VERSION: Final = 1


class Stratum(Frozen):
    """Rank correlation within one stratum.

    Attributes:
        representation: kind.
        backbone: name.
        models: in the stratum.
        correlation: Spearman's, interval by Fisher's z with Fieller's correction.
    """

    representation: str
    backbone: str
    models: Count
    correlation: Figure


class Indicator(Frozen):
    """One signature against effective robustness.

    Attributes:
        signature: name.
        strata: one by one.
        within: correlation of ranks within strata, over all strata large enough.
        p_value: two-sided, by permutation within strata; None where `within` is not run.
        permutations: drawn.
        pooled: Spearman's over all models; misleading alone.
        pooled_trivial: the same for the predictor "zero-shot or not".
    """

    signature: str
    strata: Many[Stratum]
    within: Figure
    p_value: Real | None
    permutations: Count
    pooled: Figure
    pooled_trivial: Figure


class CorrelatedRun(Frozen):
    """One run among those that are correlated.

    Attributes:
        run: name of its directory.
        model: as its user typed it.
        representation: kind.
        backbone: as the presets name it, else the library's architecture.
        training: `zero-shot`, `captions`, `finetuned`, `supervised`, or `unknown`.
        robustness: effective robustness.
    """

    run: str
    model: str
    representation: str
    backbone: str
    training: str
    robustness: Real


class RunLeftOut(Frozen):
    """A run that is not correlated, and why."""

    run: str
    reason: str


class Correlations(Frozen):
    """The answer to `tuiprobe runs --correlate`.

    Attributes:
        schema_version: of this schema.
        baseline: by which effective robustness was taken; empty where no run has any.
        target: shifts.
        axis: of the baseline.
        runs: one for each encoder.
        left_out: the others.
        signatures: each against effective robustness.
        predictors: what a practitioner has anyway, against effective robustness, in the same way.
    """

    schema_version: Literal[1] = CORRELATIONS_VERSION
    baseline: str
    target: Many[str]
    axis: str
    runs: Many[CorrelatedRun]
    left_out: Many[RunLeftOut]
    signatures: Many[Indicator]
    predictors: Many[Indicator]

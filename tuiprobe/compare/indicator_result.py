"""Result types of the indicator: does a signature correlate with effective robustness?"""

from typing import Final, Literal

from tuiprobe.results.base import Count, Figure, Frozen, Many, Real

CORRELATIONS_VERSION: Final = 1


class Stratum(Frozen):
    """Rank correlation within one stratum.

    Attributes:
        representation: kind.
        backbone: name.
        models: Number of models in the stratum.
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
        strata: One entry per stratum.
        within: Correlation of ranks within strata, over all strata large enough.
        p_value: Two-sided p-value, by permutation within strata; None where `within` is not run.
        permutations: drawn.
        pooled: Spearman's over all models; misleading alone.
        pooled_trivial: The same for the predictor "zero-shot or not".
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
        run: Name of its directory.
        model: The model as the user typed it.
        representation: kind.
        backbone: The presets' name for it, or the library's architecture.
        training: `zero-shot`, `captions`, `finetuned`, `supervised`, or `unknown`.
        robustness: Effective robustness.
    """

    run: str
    model: str
    representation: str
    backbone: str
    training: str
    robustness: Real


class RunLeftOut(Frozen):
    """A run that was left out, and the reason."""

    run: str
    reason: str


class Correlations(Frozen):
    """The answer to `tuiprobe runs --correlate`.

    Attributes:
        schema_version: Version of this schema.
        baseline: Baseline of effective robustness; empty where no run has any.
        target: shifts.
        axis: The x axis of the baseline.
        runs: One run for each encoder.
        left_out: What was left out.
        signatures: Each against effective robustness.
        predictors: Predictors that need no probe, against effective robustness in the same way.
    """

    schema_version: Literal[1] = CORRELATIONS_VERSION
    baseline: str
    target: Many[str]
    axis: str
    runs: Many[CorrelatedRun]
    left_out: Many[RunLeftOut]
    signatures: Many[Indicator]
    predictors: Many[Indicator]

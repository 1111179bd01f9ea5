"""Result types of the indicator: does a signature go with effective robustness across models?"""

from tuiprobe.results.base import Figure, Frozen


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
    models: int
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
    strata: tuple[Stratum, ...]
    within: Figure
    p_value: float | None
    permutations: int
    pooled: Figure
    pooled_trivial: Figure

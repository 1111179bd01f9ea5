"""What a run found: the versioned schema of `results.json`.

Frozen pydantic models that refuse unknown fields, NaN and infinity. `Report` is on top; every
figure is an `Estimate` with n and a 95 % interval, or a `NotRun` with the reason, never a zero
that stands for "unknown". No torch in this package.
"""

from tuiprobe.results.base import Estimate, Figure, Frozen, NotRun, given
from tuiprobe.results.concepts import (
    CategoryCount,
    ConceptPoint,
    Concepts,
    DirectionConcepts,
    DirectionFamily,
    EncodedConcept,
)
from tuiprobe.results.directions import (
    Ablation,
    Basis,
    Direction,
    Directions,
    PruningCurve,
    PruningPoint,
)
from tuiprobe.results.indicator import (
    CorrelatedRun,
    Correlations,
    Indicator,
    RunLeftOut,
    Stratum,
)
from tuiprobe.results.outliers import (
    ChannelImages,
    ChannelShare,
    Criterion,
    CurvePoint,
    Outcome,
    Outliers,
    Persistence,
    PersistentChannel,
    PersistentChannels,
    TopImage,
    Verdict,
)
from tuiprobe.results.report import MAX_REPORT_BYTES, NotRunPart, Report, Timings, title_for
from tuiprobe.results.robustness import (
    Accuracy,
    BaselineNotRun,
    EffectiveRobustness,
    OwnNames,
    Robustness,
)
from tuiprobe.results.subject import (
    DataSet,
    Fingerprint,
    Model,
    Preprocessing,
    Skipped,
    Weights,
)
from tuiprobe.results.targeted import Change, SetAblation, SetNotRun, TargetedAblation, Top1

__all__ = [
    "MAX_REPORT_BYTES",
    "Ablation",
    "Accuracy",
    "BaselineNotRun",
    "Basis",
    "CategoryCount",
    "Change",
    "ChannelImages",
    "ChannelShare",
    "ConceptPoint",
    "Concepts",
    "CorrelatedRun",
    "Correlations",
    "Criterion",
    "CurvePoint",
    "DataSet",
    "Direction",
    "DirectionConcepts",
    "DirectionFamily",
    "Directions",
    "EffectiveRobustness",
    "EncodedConcept",
    "Estimate",
    "Figure",
    "Fingerprint",
    "Frozen",
    "Indicator",
    "Model",
    "NotRun",
    "NotRunPart",
    "Outcome",
    "Outliers",
    "OwnNames",
    "Persistence",
    "PersistentChannel",
    "PersistentChannels",
    "Preprocessing",
    "PruningCurve",
    "PruningPoint",
    "Report",
    "Robustness",
    "RunLeftOut",
    "SetAblation",
    "SetNotRun",
    "Skipped",
    "Stratum",
    "TargetedAblation",
    "Timings",
    "Top1",
    "TopImage",
    "Verdict",
    "Weights",
    "given",
    "title_for",
]

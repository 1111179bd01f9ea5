"""Rule v1: outlier features present, absent, or neither, for zero-shot CLIP encoders.

Thresholds were set on synthetic cases and are uncalibrated. Absence is no sign of fragility.
"""

from tuiprobe.probes.outliers.result import Outcome, Outliers, PersistentChannels, Verdict
from tuiprobe.results import DataSet, Estimate, Figure, Model, given

KURTOSIS = 6.0
PERSISTENT, MOVING = 0.5, 0.3
MIN_IMAGES, MIN_CLASSES = 256, 10
WIDEST = 0.10
MOST_ALIKE = 0.95
ZERO_SHOT = ("zero-shot", "captions")
GRID = ("RN50", "RN101", "ViT-B-32", "ViT-B-16", "ViT-L-14")


def in_grid(architecture: str) -> bool:
    """Returns whether the backbone is one of the paper's five.

    >>> in_grid("ViT-B-16-quickgelu"), in_grid("ViT-H-14"), in_grid("RN50")
    (True, False, True)
    """
    name = architecture.replace("/", "-").lower().removesuffix("-quickgelu")
    return name in {backbone.lower() for backbone in GRID}


def judge(outliers: Outliers, model: Model, data: DataSet) -> Verdict:
    """Applies Rule v1 to the final representation of one set.

    Args:
        outliers: Figures of the final representation.
        model: The encoder they belong to.
        data: The set they were measured on.
    """
    withheld = _withheld(outliers, model, data)
    judged = model.representation == "projected" and model.training in ZERO_SHOT
    grid = in_grid(model.architecture) if judged else None
    if withheld:
        return Verdict(
            outcome="withheld", in_grid=grid, data=outliers.data, reasons=tuple(withheld)
        )
    kurtosis = outliers.kurtosis
    assert isinstance(kurtosis, Estimate)  # checked by _withheld
    assert kurtosis.low is not None
    assert kurtosis.high is not None
    reasons = [f"kurtosis {_said(kurtosis)} against {KURTOSIS:g}"]
    channels: tuple[int, ...] = ()
    persistence = outliers.persistence.value
    low, high = _ends(persistence)
    outcome: Outcome
    if kurtosis.high < KURTOSIS:
        outcome = "absent"
        reasons.append("absence is no evidence of fragility")
    elif kurtosis.low > KURTOSIS and low is not None and low >= PERSISTENT:
        outcome = "present"
        reasons.append(f"persistence {_said(persistence)}, at least {PERSISTENT:g}")
        if isinstance(outliers.persistent, PersistentChannels):
            channels = tuple(one.channel for one in outliers.persistent.channels)
        reasons.append(_nature(outliers.centred_kurtosis))
    elif kurtosis.low > KURTOSIS and high is not None and high < MOVING:
        outcome = "heavy-tailed, not persistent"
        reasons.append(f"persistence {_said(persistence)}, below {MOVING:g}: the tail moves")
    else:
        outcome = "undetermined"
        reasons.append(f"persistence {_said(persistence)}: neither clause of the rule holds")
    if not grid:
        reasons.append("outside the paper's grid of backbones")
    return Verdict(
        outcome=outcome,
        in_grid=grid,
        data=outliers.data,
        channels=channels,
        reasons=tuple(reasons),
    )


def _withheld(outliers: Outliers, model: Model, data: DataSet) -> list[str]:
    reasons = []
    if model.weights.kind == "untrained":
        reasons.append("the network is untrained: its weights are random")
    if model.ablated:
        reasons.append("inner channels were set to zero: this is no longer the model")
    if other := _other_kind(model):
        reasons.append(f"the rule is for zero-shot CLIP encoders; {other}")
    counted = outliers.kurtosis.n if given(outliers.kurtosis) else 0
    if counted < MIN_IMAGES:
        reasons.append(f"{counted} images count; the rule takes {MIN_IMAGES}")
    if outliers.classes is not None:
        if outliers.classes < MIN_CLASSES:
            reasons.append(
                f"the images are of {outliers.classes} classes; the rule takes {MIN_CLASSES}"
            )
    elif given(outliers.mean_cosine) and outliers.mean_cosine.value > MOST_ALIKE:
        reasons.append(
            f"unlabelled images with mean cosine {outliers.mean_cosine.value:.3f}, above "
            f"{MOST_ALIKE}: too alike to judge"
        )
    low, high = _ends(outliers.kurtosis)
    if not given(outliers.kurtosis):
        reasons.append(f"kurtosis could not be given: {outliers.kurtosis.reason}")
    elif low is None or high is None:
        reasons.append("kurtosis has no interval")
    elif (high - low) / 2 > WIDEST * outliers.kurtosis.value:
        reasons.append(
            f"the interval of kurtosis, {_said(outliers.kurtosis)}, is wider than "
            f"+-{WIDEST:.0%}: measure more images"
        )
    return reasons


def _other_kind(model: Model) -> str | None:
    """Returns why the rule does not apply to the encoder; None where it does."""
    if model.training in ("supervised", "finetuned"):
        return f"this one is {model.training}"
    if model.representation != "projected":
        return f"this representation is {model.representation}"
    return None if model.training in ZERO_SHOT else "this one brings no text tower"


def _nature(centred: Figure) -> str:
    low, high = _ends(centred)
    if low is None or high is None:
        return "whether offset or signal could not be told"
    told = f"kurtosis after centring {_said(centred)}"
    if high < KURTOSIS:
        return f"{told}: mostly a constant offset"
    return f"{told}: a signal, not an offset" if low > KURTOSIS else f"{told}: part offset"


def _ends(figure: Figure) -> tuple[float | None, float | None]:
    return (figure.low, figure.high) if given(figure) else (None, None)


def _said(figure: Figure) -> str:
    if not given(figure):
        return f"not run ({figure.reason})"
    if figure.low is None:
        return f"{figure.value:.3g} (no interval)"
    return f"{figure.value:.3g} ({figure.low:.3g} to {figure.high:.3g})"

"""Small reports, told by the probes themselves, for golden files and round trips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuiprobe.inside.concepts.compute import Concepts
from tuiprobe.inside.outliers.result import (
    ChannelImages,
    Heights,
    Offset,
    Outcome,
    OutlierChannel,
    OutlierFinding,
    OutlierResult,
    Outliers,
    Persistence,
)
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.probes import registry
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.report import part
from tuiprobe.results import (
    Estimate,
    Fingerprint,
    Model,
    NotRun,
    Part,
    Preprocessing,
    ProbeResult,
    Report,
    SetSummary,
    Skipped,
    Timings,
    TopImage,
    Weights,
)
from tuiprobe.results.card import title
from tuiprobe.results.section import Chart

NO_RUN = RunDir(Path("/nowhere/run"))
"""Where reports that no run wrote are said to lie."""

NO_CONCEPTS = NotRun(reason="no concept set", remedy="pass --concepts broden:DIR")
PROBES = {item.id: item for item in registry().probes}


def estimate(value: float, half: float, n: int = 500) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=n, method="bootstrap")


def model(**changes: object) -> Model:
    weights = Weights(kind="checkpoint", source="weights.safetensors", digest="ab" * 32)
    preprocessing = Preprocessing(
        size=(224, 224), mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28),
        interpolation="bicubic", source="open_clip config",
    )  # fmt: skip
    plain = Model(
        name="open_clip:RN50-quickgelu", loader="open_clip", architecture="RN50-quickgelu",
        representation="projected", training="zero-shot", width=1024,
        parameters=38_316_896, weights=weights, preprocessing=preprocessing,
    )  # fmt: skip
    return plain.model_copy(update=changes)


def data_sets() -> tuple[SetSummary, ...]:
    skipped = (Skipped(path="dogs/b.png", reason="not an image"),)
    return (
        SetSummary(name="val", source="imagefolder:/data/val", images=502, measured=500, classes=10,
                labelled=True, skipped=skipped),
    )  # fmt: skip


def outliers(**changes: object) -> Outliers:
    """Returns the figures of one tap."""
    persistence = Persistence(
        value=estimate(0.93, 0.02), effective_channels=estimate(2.2, 0.1),
    )  # fmt: skip
    channel = outlier_channel()
    heights = Heights(
        n=500, without=0, skewed=False, highest=channel.height, leading=(channel,),
    )  # fmt: skip
    offset = Offset(
        share=estimate(0.55, 0.01), kurtosis=estimate(210.0, 4.0),
        null_999=Estimate(value=3.58, low=None, high=None, n=500, method="Monte Carlo"),
        predicted=estimate(22.0, 0.5), explained=estimate(0.93, 0.01), half=(133,),
    )  # fmt: skip
    plain = Outliers(
        data="val", tap="final", kind="vector", final=True, channels=1024, images=500,
        degenerate=1, nonfinite=3, rows=500, classes=10, kurtosis=estimate(23.5, 0.4),
        basis_reference=2.994, persistence=persistence, heights=heights,
        outlier_channels=(channel,), offset=offset,
        centred_kurtosis=estimate(3.1, 0.1),
        nearest_cosine=NotRun(reason="looked for in images without labels only"),
        centred_cosine=estimate(-0.001, 0.001),
        finding=OutlierFinding(
            outcome=Outcome.CHANNELS, reasons=("1 channel above a height of 6",)
        ),
        top_images=(ChannelImages(channel=133,
        largest=(TopImage(sample_id=3, path="cats/=1|2.jpg", value=-3.0, position=0),),
        smallest=(TopImage(sample_id=9, path=None, value=-6.0, position=0),)),),
    )  # fmt: skip
    return plain.model_copy(update=changes)


def outlier_channel(**changes: object) -> OutlierChannel:
    """Returns an outlier channel."""
    plain = OutlierChannel(
        channel=133, height=estimate(14.0, 0.2), above=estimate(0.99, 0.005),
        energy=estimate(0.22, 0.01), mean=-4.2, sd=0.3, offset=estimate(0.995, 0.001),
    )  # fmt: skip
    return plain.model_copy(update=changes)


def without_outliers(outcome: Outcome = Outcome.NONE, *reasons: str) -> dict[str, object]:
    """Returns the fields of a tap with another outcome and no outlier channel."""
    return {"outlier_channels": (), "finding": OutlierFinding(outcome=outcome, reasons=reasons)}


def outlier_result(taps: tuple[Outliers, ...] = (), **changes: Any) -> OutlierResult:
    return OutlierResult(taps=taps or (outliers(),), **changes)


def parts(
    results: Mapping[str, ProbeResult | NotRun | None], model: Model, data: tuple[SetSummary, ...]
) -> tuple[Part, ...]:
    """Returns the parts of a report with these results, in its order."""
    concepts = results.get("concepts")
    name = concepts.data if isinstance(concepts, Concepts) else None
    subject = Subject(model, tuple(item for item in data if item.name != name), name)
    pairs = ((probe, results.get(id)) for id, probe in PROBES.items())
    return tuple(part(probe, item, subject) for probe, item in pairs if item is not None)


def report(**changes: Any) -> Report:
    """Returns a report of outlier figures and no concepts.

    Args:
        changes: Fields of the report; or by the id of a probe its result, a reason why there is
            none, or None for a report without it. `outliers` may be figures of taps.
    """
    taps = changes.pop("outliers", ())
    outlier_part = taps if isinstance(taps, ProbeResult | NotRun) else outlier_result(taps)
    results = {"outliers": outlier_part, "concepts": NO_CONCEPTS}
    results |= {id: changes.pop(id) for id in PROBES if id in changes}
    fields: dict[str, Any] = {
        "tuiprobe": "0.2.0", "key": "cd" * 32, "spec": {"model": ["m"], "seed": 0},
        "model": model(), "data": data_sets(),
        "fingerprint": Fingerprint(torch="2.13.0", device="cpu", isa="avx2", threads=2),
        "warnings": ("1 image skipped",),
        "timings": Timings(seconds={"extract": 12.5}, images_per_second=40.0),
    } | changes  # fmt: skip
    if "parts" not in fields:
        fields["parts"] = parts(results, fields["model"], fields["data"])
    if "title" not in fields:
        partial = fields.get("partial", False)
        fields["title"] = title(fields["model"], fields["data"], fields["parts"], partial=partial)
    return Report(**fields)


def retold(whole: Report, **results: ProbeResult | NotRun | None) -> Report:
    """Returns a report with other results of some probes, each told anew."""
    kept = {item.probe: _kept(whole, item) for item in whole.parts}
    renewed = parts({**kept, **results}, whole.model, whole.data)
    return whole.model_copy(update={"parts": renewed})


def _kept(whole: Report, item: Part) -> ProbeResult | NotRun:
    if item.not_run is not None:
        return item.not_run
    result = whole.part(PROBES[item.probe].Result)
    assert result is not None
    return result


def charts(whole: Report) -> list[Chart]:
    """Returns every chart of a report, in order."""
    return [
        item
        for part in whole.parts
        if part.section is not None
        for item in part.section.content
        if isinstance(item, Chart)
    ]

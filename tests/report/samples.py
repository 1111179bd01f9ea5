"""Small reports, told by the probes themselves, for golden files and round trips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuiprobe.answer.report import part, title
from tuiprobe.probes import registry
from tuiprobe.probes.outliers.result import (
    ChannelImages,
    ChannelShare,
    Criterion,
    CurvePoint,
    OutlierResult,
    Outliers,
    Persistence,
    PersistentChannel,
    PersistentChannels,
    Verdict,
)
from tuiprobe.probes.protocol import Subject
from tuiprobe.results import (
    DataSet,
    Estimate,
    Fingerprint,
    Model,
    NotRun,
    Part,
    Preprocessing,
    ProbeResult,
    Report,
    Skipped,
    Timings,
    TopImage,
    Weights,
)

NO_CONCEPTS = NotRun(reason="no concept set", remedy="pass --concepts broden:DIR")
PROBES = {one.id: one for one in registry().probes}


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


def data_sets() -> tuple[DataSet, ...]:
    skipped = (Skipped(path="dogs/b.png", reason="not an image"),)
    return (
        DataSet(name="val", source="imagefolder:/data/val", images=502, measured=500, classes=10,
                labelled=True, skipped=skipped),
    )  # fmt: skip


def outliers(**changes: object) -> Outliers:
    """Returns the figures of one tap."""
    persistence = Persistence(
        value=estimate(0.93, 0.02), null_high=estimate(0.0003, 0.0),
        self_share=estimate(0.5, 0.1), cross_share=estimate(0.45, 0.1),
        effective_channels=estimate(2.2, 0.1),
    )  # fmt: skip
    persistent = PersistentChannels(
        channels=(PersistentChannel(channel=133, fraction=estimate(0.99, 0.005), mean=-4.2),),
        curve=(CurvePoint(fraction=0.5, channels=2), CurvePoint(fraction=0.9, channels=1)),
        rows=500, sampled=False,
    )  # fmt: skip
    plain = Outliers(
        data="val", tap="final", kind="vector", final=True, channels=1024, images=500,
        degenerate=1, nonfinite=3, rows=500, classes=10, kurtosis=estimate(23.5, 0.4),
        basis_reference=2.994, bound=Estimate(value=1022.001, low=None, high=None, n=0,
        method="closed form"), relative_kurtosis=estimate(0.023, 0.001),
        centred_kurtosis=estimate(3.1, 0.1), persistence=persistence, persistent=persistent,
        shares=(ChannelShare(channel=133, share=estimate(0.6, 0.1), leading=estimate(0.9, 0.05),
        mean=-4.2, std=0.3),), rms_kurtosis=estimate(7.0, 0.1), mean_cosine=estimate(0.4, 0.05),
        criteria=(Criterion(name="massive activations", source="Sun et al. 2024",
        rule="magnitude > 100", figure=NotRun(reason="no residual stream here"),
        unit="channels"),),
        top_images=(ChannelImages(channel=133,
        largest=(TopImage(sample_id=3, path="cats/=1|2.jpg", value=-3.0, position=0),),
        smallest=(TopImage(sample_id=9, path=None, value=-6.0, position=0),)),),
    )  # fmt: skip
    return plain.model_copy(update=changes)


def verdict(**changes: object) -> Verdict:
    plain = Verdict(
        outcome="present", in_grid=True, data="val", channels=(133,), reasons=("kappa > 6",)
    )
    return plain.model_copy(update=changes)


def outlier_result(
    taps: tuple[Outliers, ...] = (), verdict_: Verdict | None = None, **changes: Any
) -> OutlierResult:
    return OutlierResult(verdict=verdict_ or verdict(), taps=taps or (outliers(),), **changes)


def parts(
    results: Mapping[str, ProbeResult | NotRun | None], model: Model, data: tuple[DataSet, ...]
) -> tuple[Part, ...]:
    """Returns what a run would keep of these results, in the order of a report."""
    concepts = results.get("concepts")
    name = None if concepts is None or isinstance(concepts, NotRun) else concepts.data  # type: ignore[attr-defined]
    subject = Subject(model, tuple(one for one in data if one.name != name), name)
    told = ((probe, results.get(id)) for id, probe in PROBES.items())
    return tuple(part(probe, one, subject) for probe, one in told if one is not None)


def report(**changes: Any) -> Report:
    """Returns a report of outlier figures and no concepts.

    Args:
        changes: Fields of the report; or by the id of a probe its result, a reason why there is
            none, or None for a report without it. `outliers` may be figures of taps, which then
            stand beside `verdict`.
    """
    taps, said = changes.pop("outliers", ()), changes.pop("verdict", None)
    found = taps if isinstance(taps, ProbeResult | NotRun) else outlier_result(taps, said)
    results = {"outliers": found, "concepts": NO_CONCEPTS}
    results |= {id: changes.pop(id) for id in PROBES if id in changes}
    fields: dict[str, Any] = {
        "tuiprobe": "0.1.0", "key": "cd" * 32, "spec": {"model": ["m"], "seed": 0},
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


def retold(found: Report, **results: ProbeResult | NotRun | None) -> Report:
    """Returns a report with other results of some probes, each told anew."""
    kept = {one.probe: _kept(found, one) for one in found.parts}
    told = parts({**kept, **results}, found.model, found.data)
    return found.model_copy(update={"parts": told})


def _kept(found: Report, one: Part) -> ProbeResult | NotRun:
    if one.not_run is not None:
        return NotRun(reason=one.not_run, remedy=one.remedy)
    result = found.part(PROBES[one.probe].Result)
    assert result is not None
    return result

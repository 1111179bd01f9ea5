"""A small report with every kind of entry, for golden files and round trips."""

from typing import Any

from tuiprobe.probes.outliers.result import (
    ChannelImages,
    ChannelShare,
    Criterion,
    CurvePoint,
    Outliers,
    Persistence,
    PersistentChannel,
    PersistentChannels,
    Verdict,
)
from tuiprobe.results import (
    DataSet,
    Estimate,
    Fingerprint,
    Model,
    NotRun,
    Preprocessing,
    Skipped,
    Weights,
)
from tuiprobe.results.images import TopImage
from tuiprobe.results.report import NotRunPart, Report, Timings, title_for


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


def outliers(**changes: object) -> Outliers:
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


def report(**changes: object) -> Report:
    data = (
        DataSet(name="val", source="imagefolder:/data/val", images=502, measured=500, classes=10,
                labelled=True, skipped=(Skipped(path="dogs/b.png", reason="not an image"),)),
    )  # fmt: skip
    verdict = Verdict(
        outcome="present", in_grid=True, data="val", channels=(133,), reasons=("kappa > 6",)
    )
    fields: dict[str, Any] = {
        "tuiprobe": "0.1.0", "key": "cd" * 32, "spec": {"model": ["m"], "seed": 0},
        "model": model(), "data": data, "verdict": verdict, "outliers": (outliers(),),
        "fingerprint": Fingerprint(torch="2.13.0", device="cpu", isa="avx2", threads=2),
        "not_run": (NotRunPart(part="concepts", reason="no concept set was given"),),
        "warnings": ("1 image skipped",),
        "timings": Timings(seconds={"extract": 12.5}, images_per_second=40.0),
    } | changes  # fmt: skip
    fields.setdefault("title", title_for(fields["model"], fields["data"], fields["verdict"]))
    return Report(**fields)

"""Results that rest on a head, computed by the probes themselves on small planted data."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.show.report.samples import report
from tuiprobe.catalog.effective_robustness import bundled
from tuiprobe.choose.calibration.compute import Calibration, probe_calibration
from tuiprobe.choose.linear.compute import Labelled, Linear, linear_accuracy
from tuiprobe.choose.robustness.compute import Baseline, Baselines, Robustness, probe_robustness
from tuiprobe.choose.targets.compute import Images, Targets, estimate_targets
from tuiprobe.choose.unattended.compute import Ranked, Unattended, unattended
from tuiprobe.inside.ablation.compute import ChannelAblations, Chosen, ablate_channels
from tuiprobe.inside.concepts.compute import Concepts, probe_concepts
from tuiprobe.inside.concepts.concept_set import ConceptSet
from tuiprobe.inside.directions.compute import Directions, probe_directions
from tuiprobe.measure.arrays.head_arrays import SetFeatures, fit_head
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.results import NotRun, Report


def one_hot(classes: int = 8, channels: int = 24, n: int = 200) -> tuple[HeadArrays, SetFeatures]:
    """Exact in float32 on any machine: one-hot images, every fourth of them wrong."""
    labels = np.arange(n) % classes
    answers = np.where(np.arange(n) % 4 == 3, (labels + 1) % classes, labels)
    weight = np.eye(classes, channels, dtype=np.float32) * np.arange(classes, 0, -1)[:, None]
    h = np.eye(channels, dtype=np.float32)[answers] * 8
    return HeadArrays(weight.astype(np.float32), source="toy"), SetFeatures("val", h, labels)


def head_results() -> dict[str, Any]:
    """Returns the result of every probe that asks for a head, by id."""
    return {
        "robustness": robustness(),
        "directions": directions(),
        "ablation": ablation(),
        "concepts": concepts(),
    }


def head_report() -> Report:
    return report(**head_results())


def ablation() -> ChannelAblations:
    head, item = one_hot()
    content = ablate_channels(head, [item], Chosen((3,), "outlier"), 0)
    assert isinstance(content, ChannelAblations)
    return content


def linear() -> Linear:
    """A head fitted to the labels, beside another one in use."""
    head, item = one_hot()
    rng = np.random.default_rng(0)
    noise = rng.normal(size=item.features.shape)
    noisy = replace(item, features=(item.features + noise).astype(np.float32))
    fitted = fit_head(noisy, 8)
    assert not isinstance(fitted, NotRun)
    labelled = Labelled(*fitted, 400, [replace(noisy, name="v2")], other=(head, noisy))
    return linear_accuracy(labelled, 0)


def unattended_answers() -> Unattended:
    """Rules of one set, and a target above them."""
    confidence = np.linspace(0.3, 1, 400)
    right = np.random.default_rng(0).random(400) < confidence
    ranked = Ranked("val", "calibrated", 0.5, confidence, right, left_out=True)
    return unattended([ranked], [Ranked("photos", "calibrated", 0.5, confidence)])


def calibration() -> Calibration:
    head, item = one_hot()
    return probe_calibration(head, [item, replace(item, name="v2")], [str(i) for i in range(8)])


def targets() -> Targets:
    head, item = one_hot()
    shift, photos = replace(item, name="v2"), replace(item, name="photos", labels=None)
    return estimate_targets(head, Images(item, [shift], [photos], [str(i) for i in range(8)]))


def directions() -> Directions:
    head, item = one_hot()
    return probe_directions(head, [item], [3])


def robustness() -> Robustness:
    head, item = one_hot()
    shift = SetFeatures("r", item.features[:100], item.labels[:100])
    line = bundled("standard", ("imagenet_r",))
    other = bundled("standard_and_low", ("objectnet",))
    return probe_robustness(
        head,
        [item, shift],
        {"r": "imagenet_r"},
        Baselines([Baseline(line, ()), Baseline(other, ())]),
    )


def concepts() -> Concepts:
    head, item = one_hot()
    assert item.labels is not None
    presence = np.stack([item.features[:, 0] > 0, item.features[:, 3] > 0, item.labels < 4], axis=1)
    content = probe_concepts(
        head,
        ConceptSet(
            name="toy", features=np.tile(item.features, (4, 1)), presence=np.tile(presence, (4, 1)),
            names=("red|", "dog", "half"), categories=("color", "object"),
            category_of=np.array([0, 1, 1]), annotated=np.ones((800, 2), dtype=bool),
            train=np.arange(800) < 400, ids=np.arange(800), paths=["x.png"] * 800,
            digest="images and labels",
        ),
    )  # fmt: skip
    assert isinstance(content, Concepts)
    return content

"""Planted truths with the verdict that each must get."""

import numpy as np
import pytest

from tests.probes import planted
from tests.probes.planted import final
from tests.probes.subject import model
from tuiprobe.probes.outliers.compute import probe_outliers
from tuiprobe.probes.outliers.verdict import judge
from tuiprobe.results import DataSet, Weights

DATA = DataSet(name="val", source="imagefolder:x", images=1500, measured=1500)


def ten(h):
    return np.arange(len(h)) % 10


def probed(h, labels=None):
    return probe_outliers(final(h, ten(h) if labels is None else labels))


PERSISTENT = {
    "one": (planted.persistent(1), {5}),
    "four": (planted.persistent(4), set(range(5, 9))),
    "sixteen": (planted.persistent(16, channels=512), set(range(5, 21))),
    "negative": (planted.persistent(1, offset=-20.0), {5}),
    "zero mean": (planted.zero_mean(), {7}),
}


@pytest.mark.parametrize("case", PERSISTENT)
def test_persistent_channels_are_present_and_exactly_those_named(case):
    h, channels = PERSISTENT[case]
    found = probed(h)
    verdict = judge(found, model(), DATA)
    assert verdict.outcome == "present"
    assert set(verdict.channels) == channels
    assert {share.channel for share in found.shares[: len(channels)]} == channels
    nature = " ".join(verdict.reasons)
    assert ("a signal" if case == "zero mean" else "constant offset") in nature


def test_a_negative_channel_shows_its_sign():
    found = probed(planted.persistent(1, offset=-20.0))
    assert found.persistent.channels[0].mean == pytest.approx(-20, abs=0.1)


def test_kurtosis_of_one_and_of_k_equal_outliers():
    one = probed(planted.persistent(1, offset=1e4))
    assert one.kurtosis.value == pytest.approx(one.bound.value, rel=1e-3)
    assert one.relative_kurtosis.value == pytest.approx(one.kurtosis.value / 255)
    four = probed(planted.persistent(4, offset=1e4))
    p = 4 / planted.WIDTH  # of channels: the kurtosis of a Bernoulli variable, about C / k
    assert four.kurtosis.value == pytest.approx(1 / (p * (1 - p)) - 3, rel=1e-3)
    assert four.persistence.effective_channels.value == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("h", [planted.moving(), planted.sometimes()], ids=["moving", "20 %"])
def test_a_tail_that_moves_is_heavy_tailed_not_persistent(h):
    found = probed(h)
    assert judge(found, model(), DATA).outcome == "heavy-tailed, not persistent"
    assert found.persistent.channels == ()


def test_the_curve_shows_a_channel_of_a_fifth_of_the_images():
    curve = {p.fraction: p.channels for p in probed(planted.sometimes()).persistent.curve}
    assert curve[0.1] == 1
    assert curve[0.3] == 0


def test_sparse_features_of_ten_classes_are_heavy_tailed_not_persistent():
    found = probed(*planted.sparse(10))
    assert found.kurtosis.low > 6
    assert found.persistence.value.high < 0.12
    assert judge(found, model(), DATA).outcome == "heavy-tailed, not persistent"


def test_sparse_features_of_one_class_are_withheld():
    found = probed(*planted.sparse(1))
    assert 0.12 < found.persistence.value.value < 0.5
    verdict = judge(found, model(), DATA)
    assert verdict.outcome == "withheld"
    assert "classes" in verdict.reasons[0]


def test_an_anisotropic_gaussian_is_absent():
    found = probed(planted.anisotropic())
    assert judge(found, model(), DATA).outcome == "absent"
    assert found.kurtosis.value == pytest.approx(found.basis_reference, rel=0.05)


def test_absence_is_never_called_fragility():
    reasons = judge(probed(planted.gaussian()), model(), DATA).reasons
    assert "absence is no evidence of fragility" in reasons


def test_an_untrained_network_is_withheld_whatever_its_figures():
    weights = Weights(kind="untrained", source="random", digest="00")
    verdict = judge(probed(planted.persistent(1)), model(weights=weights), DATA)
    assert verdict.outcome == "withheld"
    assert "untrained" in verdict.reasons[0]


@pytest.mark.parametrize("kind", ["pooled", "token"])
def test_other_representation_kinds_get_figures_without_verdict(kind):
    verdict = judge(probed(planted.persistent(1)), model(representation=kind), DATA)
    assert verdict.outcome == "withheld"
    assert verdict.in_grid is None


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ("supervised", "this one is supervised"),
        ("finetuned", "this one is finetuned"),
        ("unknown", "brings no text tower"),
    ],
)
def test_encoders_that_are_not_zero_shot_get_figures_without_verdict(training, said):
    verdict = judge(probed(planted.persistent(1)), model(training=training), DATA)
    assert (verdict.outcome, verdict.in_grid) == ("withheld", None)
    (reason,) = verdict.reasons
    assert said in reason
    assert "zero-shot CLIP encoders" in reason


def test_a_clip_of_captioned_imagenet_is_judged():
    assert (
        judge(probed(planted.persistent(1)), model(training="captions"), DATA).outcome == "present"
    )


def test_few_images_wide_intervals_and_alike_images_are_withheld():
    few = judge(probed(planted.persistent(1, n=255)), model(), DATA)
    assert "255 images" in few.reasons[0]
    wide = judge(probed(planted.sometimes(0.02, n=300)), model(), DATA)
    assert "wider" in wide.reasons[-1]
    alike = planted.gaussian() + 10
    unlabelled = judge(probe_outliers(final(alike)), model(), DATA)
    assert "mean cosine" in unlabelled.reasons[0]
    assert judge(probed(alike), model(), DATA).outcome == "absent"


def test_between_the_clauses_is_undetermined():
    h = planted.sometimes(0.45)
    found = probed(h)
    assert 0.3 < found.persistence.value.value < 0.5
    assert judge(found, model(), DATA).outcome == "undetermined"


def test_backbones_outside_the_grid_are_marked():
    other = judge(probed(planted.persistent(1)), model(architecture="ViT-H-14"), DATA)
    assert other.outcome == "present"
    assert other.in_grid is False
    assert other.reasons[-1].startswith("outside the paper's grid")

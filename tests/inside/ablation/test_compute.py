from typing import Any

import numpy as np
import pytest

from tests.probes.planted_head import CHANNELS, CLASSES, planted
from tests.probes.subject import model
from tuiprobe.inside.ablation.compute import (
    Chosen,
    Removal,
    ablate_channels,
    right_without,
)
from tuiprobe.inside.ablation.describe import ChannelAblation
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.base.confidence import Logits
from tuiprobe.probes.protocol import Subject
from tuiprobe.results import NotRun


def describe(result):
    return ChannelAblation().describe(result, Subject(model(), ()))


def outlier(*channels):
    return Chosen(channels, "outlier")


def ablations(head, sets, channels, seed=0):
    result = ablate_channels(head, sets, outlier(*channels), seed)
    return result.ablations


def signal():
    """A head that reads channel 5, and an offset in channel 9 that it does not read."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 800)
    weight = np.zeros((4, 40), dtype=np.float32)
    weight[:, :3] = 0.05 * rng.standard_normal((4, 3))
    weight[:, 5] = [-3, -1, 1, 3]
    h = rng.standard_normal((800, 40)) * 0.05
    h += weight[labels]
    h[:, 9] += 30
    bias = -0.5 * (weight**2).sum(1)  # nearest class mean
    return HeadArrays(weight, bias), SetFeatures("val", h.astype(np.float32), labels)


def test_ablation_of_an_offset_costs_nothing_and_of_a_signal_does():
    head, images = signal()
    offset = ablations(head, [images], [9])
    assert [a.mode for a in offset] == ["zero", "mean"]
    assert all(a.after.value == a.before.value for a in offset)
    lost = ablations(head, [images], [5])[0]
    assert lost.difference.high < -0.1
    for control in (lost.random_difference, lost.matched_difference, lost.directions_difference):
        assert control.value > lost.difference.value
        assert control.low <= control.value <= control.high


def test_the_mean_is_that_of_the_in_distribution_set():
    """A shift whose offset differs is set to the mean of the first set, not to its own."""
    head, images = signal()
    moved = SetFeatures("shift", images.features + 2 * np.eye(40, dtype="f4")[5], images.labels)
    result = {(a.data, a.mode): a for a in ablations(head, [images, moved], [5])}
    assert result["shift", "mean"].after.value == result["val", "mean"].after.value
    assert result["shift", "mean"].before.value < result["val", "mean"].before.value


@pytest.mark.parametrize("zero_shot", [True, False])
@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_low_rank_changes_equal_ablated_rows(mode, zero_shot):
    """Against float64 algebra on rows with the part replaced, under a mask with equal classes."""
    about: dict[str, Any] = (
        {"normalize": True, "logit_scale": 20.0, "logit_bias": -2.0} if zero_shot else {}
    )
    head, images = planted(n=3000, bias=np.linspace(-1, 1, CLASSES, dtype=np.float32), **about)
    answers = np.where(np.arange(CLASSES) % 3 == 1, -1, np.arange(CLASSES) // 2)
    keep = np.isin(images.labels // 2, answers)
    images = SetFeatures("x", images.features[keep], images.labels[keep] // 2, answers)
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((CHANNELS, 3)))[0].astype("f4")
    mean = images.features.mean(0) if mode == "mean" else np.zeros(CHANNELS, np.float32)
    removals = [Removal(mean[[3, 7]], [3, 7]), Removal(mean @ basis, basis=basis)]
    for removal, q in zip(removals, (np.eye(CHANNELS)[:, [3, 7]], basis.astype("f8")), strict=True):
        x = images.features.astype("f8")
        x = x - (x @ q - mean.astype("f8") @ q) @ q.T
        changed = SetFeatures("x", x.astype("f4"), images.labels, answers)
        plain = Logits(head, changed).confidences()
        result = right_without(head, images, [None, removal])[1]
        assert (result == plain.right).mean() > 0.999
        assert 0.1 < result.mean() < 0.95


def test_the_energy_that_is_attained_is_told():
    head, images = planted()
    result = ablate_channels(head, [images], outlier(3), 0)
    energy = (images.features.astype("f8") ** 2).sum(0)
    assert result.matched == (int(np.argsort(energy)[-2]),)
    assert result.matched_energy == pytest.approx(np.sort(energy)[-2] / energy[3])
    assert result.matched_energy < 0.2


def test_ablation_is_paired():
    head, images = planted()
    for ablation in ablations(head, [images], [3, 4]):
        h = images.features.astype("f8")
        h[:, [3, 4]] = 0 if ablation.mode == "zero" else h[:, [3, 4]].mean(0)
        right = [
            (x.astype("f8") @ head.weight.T).argmax(1) == images.labels
            for x in (images.features, h)
        ]
        gained, lost = (right[1] & ~right[0]).sum(), (right[0] & ~right[1]).sum()
        assert ablation.difference.value == pytest.approx((gained - lost) / 400, abs=0.003)
        assert ablation.difference.low <= ablation.difference.value <= ablation.difference.high
        assert ablation.difference.value == pytest.approx(
            ablation.after.value - ablation.before.value
        )


def test_without_channels_labels_or_others_to_compare_with():
    head, images = planted()
    bare = SetFeatures("bare", images.features)
    assert ablate_channels(head, [images], outlier(), 0) == NotRun(reason="no channel stands out")
    assert ablate_channels(head, [bare], outlier(3), 0) == NotRun(reason="no labelled set")
    most = outlier(*range(CHANNELS // 2 + 1))
    assert ablate_channels(head, [images], most, 0) == NotRun(
        reason="too few other channels to compare with"
    )


def test_random_channels_are_seeded():
    head, images = planted(noise=1.0)
    result, again, other = (ablate_channels(head, [images], outlier(3, 4), s) for s in (3, 3, 4))
    assert result == again
    assert result != other


def test_the_card_holds_the_loss_against_the_controls_of_the_same_set():
    head, images = signal()
    result = ablate_channels(head, [images], Chosen((5,), "offset"), 0)
    zero, mean = result.ablations

    def with_loss(loss, random):
        low, value, high = random
        changes = {
            "difference": zero.difference.model_copy(update={"value": loss}),
            "random_difference": zero.random_difference.model_copy(
                update={"low": low, "value": value, "high": high}
            ),
        }
        return zero.model_copy(update={"data": "r", **changes})

    within, beyond = with_loss(-0.04, (-0.05, -0.01, 0)), with_loss(-0.06, (-0.05, -0.01, 0))
    bare = result.model_copy(update={"ablations": (within, mean)})
    [text] = describe(bare).headline
    assert text.startswith("Channel 5 set to zero: no more than random ones")
    more = result.model_copy(update={"ablations": (within, beyond, mean)})
    [text] = describe(more).headline
    assert "set to zero: \N{MINUS SIGN}6" in text
    assert "on r (random \N{MINUS SIGN}1" in text
    assert describe(more).card == ()

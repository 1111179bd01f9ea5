import json

import numpy as np
import pytest

from tests.probes.planted_head import CHANNELS, CLASSES, planted
from tuiprobe.probes.ablation.compute import ablated, ablations, hits_without, matched_channels
from tuiprobe.probes.ablation.result import ChannelAblations
from tuiprobe.probes.heads import SetFeatures, hits
from tuiprobe.results import NotRun
from tuiprobe.run.checked_arrays import HeadArrays


def test_ablation_of_an_offset_costs_nothing_and_of_a_signal_does():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 800)
    weight = np.zeros((4, 40), dtype=np.float32)
    weight[:, :3] = 0.05 * rng.standard_normal((4, 3))
    weight[:, 5] = [-3, -1, 1, 3]
    h = rng.standard_normal((800, 40)) * 0.05
    h += weight[labels]
    h[:, 9] += 30  # an offset that the head does not read
    bias = -0.5 * (weight**2).sum(1)  # nearest class mean
    head, one = HeadArrays(weight, bias), SetFeatures("val", h.astype(np.float32), labels)
    offset = ablations(head, [one], [9], 0)
    assert [a.mode for a in offset] == ["zero", "mean"]
    assert all(a.after.value == a.before.value for a in offset)
    signal = ablations(head, [one], [5], 0)[0]
    assert signal.after.value < signal.before.value - 0.1
    assert signal.random.value > signal.after.value
    assert signal.random.low <= signal.random.value <= signal.random.high


def test_ablated_and_matched_channels():
    h = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert ablated(h, [1], "zero")[:, 1].tolist() == [0, 0, 0]
    assert ablated(h, [1], "mean")[:, 1].tolist() == [5, 5, 5]
    assert h[0, 1] == 1
    assert matched_channels(h, [3]) == [2]
    assert matched_channels(h, [3, 2]) == [1, 0]


@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_groups_of_channels_taken_from_the_logits_equal_ablation(mode):
    bias = np.linspace(-1, 1, CLASSES, dtype=np.float32)
    head, one = planted(n=3000, bias=bias)
    allowed = np.where(np.arange(CLASSES) % 3 == 1, -1, np.arange(CLASSES))
    keep = allowed[one.labels] >= 0
    one = SetFeatures("x", one.features[keep], one.labels[keep], allowed)
    drawn = [[0, 7], [3], [3, 4, 5, 9]]
    direct = [hits(ablated(one.features, chosen, mode), head, one) for chosen in drawn]
    assert hits_without(one, head, drawn, mode).tolist() == pytest.approx(direct, abs=1)
    assert len(set(direct)) > 1


def test_ablation_is_paired():
    head, one = planted()
    for ablation in ablations(head, [one], [3, 4], 0):
        h = ablated(one.features, [3, 4], ablation.mode)
        right = [
            (x.astype("f8") @ head.weight.T).argmax(1) == one.labels for x in (one.features, h)
        ]
        gained, lost = (right[1] & ~right[0]).sum(), (right[0] & ~right[1]).sum()
        assert ablation.difference.value == pytest.approx((gained - lost) / 400, abs=0.003)
        assert ablation.difference.low <= ablation.difference.value <= ablation.difference.high
        assert ablation.difference.value == pytest.approx(
            ablation.after.value - ablation.before.value
        )


def test_without_channels_labels_or_others_to_compare_with():
    head, one = planted()
    assert ablations(head, [one], [], 0) == NotRun(reason="no outlier channel")
    assert ablations(head, [], [3], 0) == NotRun(reason="no labelled set")
    most = list(range(CHANNELS // 2 + 1))
    assert ablations(head, [one], most, 0) == NotRun(
        reason="too few other channels to compare with"
    )


def test_random_channels_are_seeded_and_the_result_survives_strict_json():
    head, one = planted(noise=1.0)
    found, again, other = (ablations(head, [one], [3, 4], seed) for seed in (3, 3, 4))
    assert found == again
    assert found != other
    assert not isinstance(found, NotRun)
    result = ChannelAblations(ablations=found)
    text = json.dumps(result.model_dump(), allow_nan=False)
    assert ChannelAblations.model_validate_json(text) == result

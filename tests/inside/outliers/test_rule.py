"""Planted truths around every boundary of rule v3, at usual widths."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.probes import planted
from tests.probes.planted import final, gaussian
from tests.probes.subject import model
from tuiprobe.inside.outliers.compute import figures_of_rows, probe_outliers
from tuiprobe.inside.outliers.describe import clause
from tuiprobe.inside.outliers.result import Outcome
from tuiprobe.inside.outliers.rules import RowContext
from tuiprobe.results import Weights

WIDTHS = (64, 128, 512, 768, 1024)
TEN = RowContext(classes=10)
N = 600


def of(rows, context=TEN):
    return figures_of_rows(np.asarray(rows, dtype=np.float32), context=context)


def lifted(channels, sigmas, n=N, count=1):
    rows = gaussian(n, channels, seed=channels)
    rows[:, 5 : 5 + count] += sigmas
    return rows


def gaussian_offset(channels, scale=1.83):
    return np.random.default_rng(channels).standard_normal(channels) * scale


@pytest.mark.parametrize("channels", WIDTHS)
class TestEveryWidth:
    def test_a_gaussian_is_none(self, channels):
        assert of(gaussian(N, channels)).outcome is Outcome.NONE

    def test_a_gaussian_offset_is_none(self, channels):
        figures = of(gaussian(N, channels) + gaussian_offset(channels))
        assert figures.outcome is Outcome.NONE
        assert figures.offset.share.value == pytest.approx(0.77, abs=0.1)

    @pytest.mark.parametrize(("count", "sigmas"), [(1, 9), (1, -12), (3, 20)])
    def test_channels_above_the_cut_are_outliers_and_no_others(self, channels, count, sigmas):
        figures = of(lifted(channels, sigmas, count=count))
        assert figures.outcome is Outcome.CHANNELS
        assert {row.channel for row in figures.outlier_channels} == set(range(5, 5 + count))
        assert {np.sign(row.mean) for row in figures.outlier_channels} == {np.sign(sigmas)}

    def test_one_just_below_the_cut_is_a_concentrated_offset(self, channels):
        """6.5 sigma exceeds 6 in about 70 % of images; v1 called this absent at some widths."""
        figures = of(lifted(channels, 6.5))
        assert figures.outcome is Outcome.OFFSET
        assert figures.offset.half == (5,)

    def test_one_of_4_sigma_is_no_outlier(self, channels):
        figures = of(lifted(channels, 4.0))
        assert figures.outlier_channels == ()
        assert figures.heights.highest.high < 5
        # At 64 and 128 channels one of 4 sigma alone lifts the kurtosis by half.
        narrow = (Outcome.OFFSET, Outcome.UNDETERMINED)
        assert figures.outcome in (narrow if channels < 512 else (Outcome.NONE,))

    def test_a_tall_channel_on_a_gaussian_offset_is_concentrated(self, channels):
        """The kurtosis of such an offset is hardly above its null where channels are many."""
        rows = gaussian(N, channels) + gaussian_offset(channels)
        rows[:, 5] = gaussian(N, 1, seed=9)[:, 0] + 5.8 * np.hypot(1, 1.83)
        assert of(rows).outcome is Outcome.OFFSET

    def test_an_outlier_on_either_side_is_one_without_an_offset(self, channels):
        rows = gaussian(N, channels)
        rows[:, 7] += 20 * np.random.default_rng(1).choice([-1, 1], N)
        figures = of(rows)
        assert [row.channel for row in figures.outlier_channels] == [7]
        assert figures.outlier_channels[0].offset.high < 0.1
        assert figures.offset.explained.high < 0.1

    def test_a_channel_of_large_variance_is_uneven(self, channels):
        rows = gaussian(N, channels)
        rows[:, 7] *= 10
        figures = of(rows)
        assert figures.outcome is Outcome.UNEVEN
        assert figures.outlier_channels == ()

    @pytest.mark.parametrize("tail", ["one of 20 sigma", "laplace", "t4"])
    def test_tails_that_move_are_moving(self, channels, tail):
        rng = np.random.default_rng(2)
        rows = gaussian(N, channels)
        if tail == "laplace":
            rows = rng.laplace(size=(N, channels))
        elif tail == "t4":
            rows = rng.standard_t(4, (N, channels))
        else:
            rows[np.arange(N), rng.integers(0, channels, N)] += 20
        assert of(rows).outcome is Outcome.MOVING


def test_the_mark_of_90_percent_is_on_the_lower_bound():
    """A height above 6 in 92 % of 200 images has a lower bound of 87 %, of 4,000 one of 91 %."""
    for n, outlying in ((200, False), (4000, True)):
        rows = gaussian(n, 512)
        rows[:, 5] = 20 * (np.arange(n) < 0.92 * n)
        assert bool(of(rows).outlier_channels) is outlying


def test_a_persistent_but_uneven_tail_is_no_offset_and_no_channel():
    rows = planted.sometimes(0.45, n=1500, channels=256)
    figures = of(rows)
    assert figures.outlier_channels == ()
    assert figures.outcome in (Outcome.UNEVEN, Outcome.UNDETERMINED)


def classifier(channels, shape, zero, constant):
    """Pooled features of a CNN: non-negative, sparse, skewed, with one channel always on."""
    rng = np.random.default_rng(0)
    rows = rng.gamma(shape, 1 / shape, (N, channels)) * (rng.random((N, channels)) > zero)
    rows[:, 5] = constant + 0.5 * rng.standard_normal(N)
    return rows


@pytest.mark.parametrize(("channels", "shape", "zero", "constant"), [
    (512, 1.0, 0.2, 5.0),  # like a ResNet-18
    (512, 0.7, 0.1, 6.0), (1024, 1.0, 0.2, 5.3),  # like a DenseNet
])  # fmt: skip
def test_a_tall_constant_channel_that_explains_little_is_no_concentrated_offset(
    channels, shape, zero, constant
):
    """Rule v2 called this a concentrated offset, which explained .05 to .1 of the kurtosis."""
    figures = of(classifier(channels, shape, zero, constant))
    assert figures.outlier_channels == ()
    assert 0.04 < figures.offset.explained.value < 0.12
    assert figures.outcome is Outcome.MOVING_AND_CONSTANT
    assert "channel 5" in clause(figures)


def test_sparse_features_have_moving_tails():
    figures = of(planted.sparse(10)[0])
    assert figures.outcome is Outcome.MOVING


@pytest.mark.parametrize(("n", "outcome", "provisional"), [
    (63, Outcome.WITHHELD, False), (64, Outcome.CHANNELS, True), (255, Outcome.CHANNELS, True),
    (256, Outcome.CHANNELS, False),
])  # fmt: skip
def test_few_images_are_withheld_or_provisional(n, outcome, provisional):
    result = of(lifted(128, 20, n=n)).finding
    assert (result.outcome, result.provisional) == (outcome, provisional)


def test_rows_of_a_head_are_exempt():
    result = of(lifted(128, 20, n=40), RowContext(head=True))
    assert result.finding.outcome is Outcome.CHANNELS
    assert not result.finding.provisional


def test_near_duplicates_without_labels_are_withheld():
    rng = np.random.default_rng(0)
    scenes = rng.standard_normal((20, 128))
    frames = scenes[np.arange(N) % 20] + 0.05 * rng.standard_normal((N, 128))
    figures = of(frames, RowContext())
    assert figures.outcome is Outcome.WITHHELD
    assert "representations are nearly alike" in figures.finding.reasons[0]
    assert of(frames).outcome is not Outcome.WITHHELD  # labelled
    apart = scenes[np.arange(N) % 20] + rng.standard_normal((N, 128))
    assert of(apart, RowContext()).outcome is Outcome.NONE


def test_one_image_far_from_all_others_alike_is_withheld():
    rows = gaussian(N, 128) * 0.01
    rows[:60] += 5 * gaussian(60, 128, seed=3)[0]
    assert "mean cosine" in " ".join(of(rows, RowContext()).finding.reasons)


def test_a_large_common_offset_is_not_withheld():
    """The mean cosine of CLIP's images is large; what repeats shows only after centring."""
    figures = of(gaussian(N, 128) + 10 * gaussian_offset(128, 1), RowContext())
    assert figures.outcome is Outcome.NONE


def test_what_is_no_model_is_withheld():
    random = model(weights=Weights(kind="untrained", source="random", digest="00"))
    figures = probe_outliers(final(lifted(128, 20), np.arange(N) % 10), model=random)
    assert figures.outcome is Outcome.WITHHELD
    assert "untrained" in figures.finding.reasons[0]
    assert figures.outlier_channels  # the figures are given all the same
    few = probe_outliers(final(lifted(128, 20), np.arange(N) % 9), model=model())
    assert "9 classes" in few.finding.reasons[0]


REAL = os.environ.get("TUIPROBE_REAL_ARRAYS", "")
PUBLISHED = {
    "vitl14_openai__things": {644: 18, 413: 17},
    "vitb32_openai__posters": {92: 17},
    "siglip_b16__posters": {759: 12, 78: 11},
    "vitb32_openai__head_lvis": {133: 21, 312: 21},
    "vitb32_datacomp__head_imagenet": {466: 21, 65: 11},
    "rn50_openai__head_objects365": {222: 43, 778: 9},
}


@pytest.mark.skipif(not REAL, reason="TUIPROBE_REAL_ARRAYS is not set")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_arrays_have_the_known_outlier_channels(name):
    rows = np.load(Path(REAL) / f"{name}.npy").astype(np.float32)
    figures = of(rows, RowContext(head="head" in name))
    assert figures.outcome is Outcome.CHANNELS
    result = {row.channel: round(row.height.value) for row in figures.outlier_channels}
    assert result == PUBLISHED[name]
    assert figures.finding.provisional == ("head" not in name)
    assert 0.85 < figures.offset.explained.value < 1

from dataclasses import dataclass

import numpy as np

from tuiprobe.probes.inputs import flatten_summary


@dataclass
class Moments:
    count: np.ndarray
    kurtosis: np.ndarray


@dataclass
class TopK:
    values: np.ndarray
    sample_ids: np.ndarray


@dataclass
class Samples:
    sample_ids: np.ndarray
    kurtosis: np.ndarray
    share_square_sum: float


@dataclass
class Summary:
    moments: Moments
    largest: TopK
    smallest: TopK
    samples: Samples


def test_flattening_keeps_every_field_under_its_own_name():
    one, two, three, four, five = (np.full(2, i) for i in range(1, 6))
    summary = Summary(
        Moments(one, two), TopK(three, four), TopK(one, two), Samples(three, five, 7.0)
    )
    flat = flatten_summary(summary)
    assert set(flat) == {
        "count", "kurtosis", "largest_values", "largest_sample_ids", "smallest_values",
        "smallest_sample_ids", "sample_ids", "sample_kurtosis", "share_square_sum",
    }  # fmt: skip
    assert flat["kurtosis"] is two
    assert flat["sample_kurtosis"] is five
    assert flat["smallest_values"] is one
    assert flat["share_square_sum"].shape == ()

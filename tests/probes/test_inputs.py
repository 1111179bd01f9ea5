import numpy as np
import torch

from tuiprobe.probes.inputs import flatten_summary
from tuiprobe.stats import ActivationStats


def test_flattening_keeps_every_field_under_its_own_name():
    stats = ActivationStats(3, k=2)
    stats.update(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    summary = stats.compute()
    flat = flatten_summary(summary)
    parts = (summary.moments, summary.largest, summary.smallest, summary.samples)
    assert len(flat) == sum(len(vars(part)) for part in parts)
    np.testing.assert_array_equal(flat["kurtosis"], summary.moments.kurtosis)
    np.testing.assert_array_equal(flat["sample_kurtosis"], summary.samples.kurtosis)
    np.testing.assert_array_equal(flat["smallest_values"], summary.smallest.values)
    assert flat["share_square_sum"].shape == ()

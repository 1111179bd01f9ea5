"""The plain torch path of CUDA tensors, run here on the CPU against the same figures."""

import numpy as np
import pytest
import torch

from tests.stats.oracle import as_rows, check_moments, check_samples, check_topk
from tuiprobe.stats import ActivationStats, _torch_path


@pytest.mark.parametrize("p", [1, 6])
@pytest.mark.parametrize("specials", [False, True])
def test_torch_path_equals_the_figures_of_the_native_one(p, specials, monkeypatch):
    monkeypatch.setattr(_torch_path, "_CHUNK_ELEMENTS", 7 * p * 19)
    rng = np.random.default_rng(0)
    x = (np.round(rng.standard_normal((60, p, 19)), 1) * 4).astype(np.float32)
    x[:, :, 3] = 2.5
    if specials:
        x[rng.random(x.shape) < 0.01] = np.nan
        x[rng.random(x.shape) < 0.01] = -np.inf
        x[7] = 1.0
    ids = rng.permutation(60)
    stats = ActivationStats(19, k=5)
    stats._update_in_torch(torch.from_numpy(x), ids, -1)
    result, rows = stats.compute(), as_rows(x)
    check_moments(result.moments, rows)
    check_topk(result.largest, rows, ids.tolist(), 5)
    check_topk(result.smallest, rows, ids.tolist(), 5, largest=False)
    check_samples(result.samples, rows, ids.tolist(), tolerance=1e-12)


def test_default_ids_run_on():
    stats = ActivationStats(3, k=2)
    stats.update(torch.randn(4, 3))
    stats._update_in_torch(torch.randn(4, 3), None, -1)
    assert stats.compute().samples.sample_ids.tolist() == list(range(8))


def test_an_error_leaves_everything_as_it_was(monkeypatch):
    monkeypatch.setattr("tuiprobe.stats._torch_path._CHUNK_ELEMENTS", 6)
    stats = ActivationStats(3, k=2)
    with pytest.raises(ValueError, match="must differ"):
        stats._update_in_torch(torch.randn(6, 3), np.array([0, 1, 2, 3, 4, 4]), -1)
    assert stats.compute().samples.rows == 0

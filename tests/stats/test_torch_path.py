"""The plain torch path of CUDA tensors, run here on the CPU against the same figures."""

import numpy as np
import pytest
import torch

from tests.stats.oracle import as_rows, check_moments, check_samples, check_topk
from tuiprobe.stats import ActivationStats, _torch_path, statistics_path
from tuiprobe.stats._native import native


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


@pytest.mark.parametrize("p", [1, 4])
@pytest.mark.parametrize("chunk", [1, 10**6])
def test_images_of_equal_id_are_one_image_to_the_top_k_as_on_the_cpu(p, chunk, monkeypatch):
    monkeypatch.setattr(_torch_path, "_CHUNK_ELEMENTS", chunk)
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 4, (50, p, 7)).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    ids = rng.integers(0, 12, 50)
    by_torch, by_core = (ActivationStats(7, k=9) for _ in range(2))
    by_torch._update_in_torch(torch.from_numpy(x), ids, -1)
    by_core.update(x, ids)
    for end in ("largest", "smallest"):
        got = getattr(by_torch.compute(), end)
        check_topk(got, as_rows(x), ids.tolist(), 9, largest=end == "largest")
        np.testing.assert_equal(vars(got), vars(getattr(by_core.compute(), end)))


def test_looking_changes_no_bit():
    x = torch.randn(90, 5, 6) * 3 + 100
    watched, alone = (ActivationStats(6, k=3) for _ in range(2))
    for part in x.split(30):
        for stats in (watched, alone):
            stats._update_in_torch(part, None, -1)
        watched.compute()
        watched.samples.compute()
        watched.state_dict()
        ActivationStats(6, k=3).merge(watched)
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(watched.state_dict()[name], tensor, rtol=0, atol=0)


def test_an_error_leaves_everything_as_it_was(monkeypatch):
    monkeypatch.setattr(_torch_path, "_CHUNK_ELEMENTS", 6)
    stats, made = ActivationStats(3, k=2), _torch_path._topk

    def fail_late(rows, ids, *options):
        if int(ids[0]) >= 4:
            raise MemoryError
        return made(rows, ids, *options)

    monkeypatch.setattr(_torch_path, "_topk", fail_late)
    with pytest.raises(MemoryError):
        stats._update_in_torch(torch.randn(6, 3), np.arange(6), -1)
    assert stats.compute().samples.rows == 0


@pytest.mark.parametrize(
    ("k", "channels", "path"),
    [(32, 768, "cuda"), (1024, 12288, "cuda"), (1025, 768, "torch"), (32, 12289, "torch")],
)
def test_the_path_is_settled_by_device_and_size(k, channels, path, monkeypatch):
    monkeypatch.setattr(native, "cuda_reason", lambda device: "")
    assert statistics_path("cuda:0", k, channels) == path
    monkeypatch.setattr(native, "cuda_reason", lambda device: "no kernel image")
    assert statistics_path("cuda:3", k, channels) == "torch"

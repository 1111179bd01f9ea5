"""Two ranks of a distributed training: each sees whole activations of its own images."""

import gc
import pickle
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

import tuiprobe
from tests.watching.networks import LAYERS, network, pictures
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.show.report import read_report

KINDS = ("ddp", "fsdp")


class Normalised(nn.Module):
    """The network behind a layer with buffers, which ranks keep alike."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.inner = nn.BatchNorm2d(3), network()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(self.norm(x))
        return out


def wrapped(kind: str) -> nn.Module:
    """Returns the network as one of two ranks holds it."""
    model = Normalised().eval()
    if kind == "ddp":
        return DistributedDataParallel(model)
    mesh = init_device_mesh("cpu", (2,))
    for block in model.inner.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def rank(number: int, folder: Path) -> None:
    """Trains two steps of each kind on this rank's half of four batches, and saves what it saw."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/ranks", rank=number, world_size=2)
    layers = " ".join(f"inner.{pattern}" for pattern in LAYERS.split())
    for kind in KINDS:
        model: Any = wrapped(kind)
        with tuiprobe.watch(model, layers, k=2) as watched:
            for step in range(2):
                model(pictures(8, 2 * step + number)).sum().backward()
                model.zero_grad()
        watched.save(folder / kind / str(number))
        everyone = watched.gather()
        assert [figures.images for figures in watched.figures()] == [16] * 5  # as before
        if number == 1:
            everyone.save(folder / kind / "both")
            stats = [pattern.statistics.stats for pattern in everyone.layers if pattern.statistics]
            (folder / kind / "gathered").write_bytes(pickle.dumps((everyone.figures(), stats)))
        with tuiprobe.watch(model, layers, output=folder / kind / "live"):
            model(pictures(2))
        with tuiprobe.watch(model, "inner.head") if number else nullcontext():  # one rank alone
            model(pictures(2)).sum().backward()
    del model, watched, everyone
    gc.collect()  # what holds the group: its thread must end before the interpreter does
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two ranks have saved what they saw."""
    folder = tmp_path_factory.mktemp("ranks")
    spawn(rank, (folder,), nprocs=2)
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_figures_of_two_ranks_are_those_of_one_process(kind: str, trained: Path) -> None:
    model = Normalised().eval()
    with tuiprobe.watch(model.inner, LAYERS) as watched:
        for number in range(4):
            model(pictures(8, number))
    figures, merged = pickle.loads((trained / kind / "gathered").read_bytes())
    for alone_figures, both_figures in zip(watched.figures(), figures, strict=True):
        assert both_figures.images == alone_figures.images == 32
        assert both_figures.kurtosis.value == pytest.approx(alone_figures.kurtosis.value, rel=1e-4)
        assert both_figures.outlier_channels == alone_figures.outlier_channels
    for layer, both in zip(watched.layers, merged, strict=True):
        alone, joined = layer.statistics.stats.compute(), both.compute()
        np.testing.assert_array_equal(joined.moments.count, alone.moments.count)
        for name in ("mean", "var", "kurtosis"):
            merged_values, values = getattr(joined.moments, name), getattr(alone.moments, name)
            np.testing.assert_allclose(merged_values, values, rtol=1e-4, atol=1e-6)
        kurtosis = np.sort(joined.samples.kurtosis)
        np.testing.assert_allclose(kurtosis, np.sort(alone.samples.kurtosis), rtol=1e-4)
    for number in range(2):
        assert read_report(RunDir(trained / kind / str(number))).data[0].measured == 16
    assert read_report(RunDir(trained / kind / "both")).data[0].measured == 32
    for name in ("live", "live-rank1"):
        assert read_report(RunDir(trained / kind / name)).data[0].measured == 2

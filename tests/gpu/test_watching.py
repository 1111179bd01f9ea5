"""What a watch does on CUDA devices; skipped where there is none."""

import pytest
import torch
from torch import nn

import tuiprobe
from tests.watching.networks import LAYERS, network, pictures

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_a_model_moved_to_the_device_while_watched_counts_together():
    model = network()
    with tuiprobe.watch(model, LAYERS, k=2) as watched:
        model(pictures(4))
        model.cuda()(pictures(8, 2).cuda())
    with tuiprobe.watch(model.cpu(), LAYERS, k=2) as other:
        model(pictures(4))
        model(pictures(8, 2))
    for one, expected in zip(watched.figures(), other.figures(), strict=True):
        assert (one.layer, one.images) == (expected.layer, 12)
        assert one.scalars() == pytest.approx(expected.scalars(), rel=1e-2)


def test_data_parallel_counts_every_replica():
    model = network().cuda()
    parallel = nn.DataParallel(model, device_ids=list(range(torch.cuda.device_count())))
    with tuiprobe.watch(parallel, "head") as watched:
        parallel(pictures(16).cuda())
    assert watched.figures()[0].images == 16
    assert not any(one._forward_hooks for one in model.modules())

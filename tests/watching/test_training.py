"""A watch in training: activation checkpointing, forked workers."""

import os
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import tuiprobe
from tests.watching.networks import WIDTH, network, pictures
from tuiprobe.errors import UsageError


class Checkpointed(nn.Module):
    """Blocks whose activations are computed again in the backward pass."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.reentrant = reentrant
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.Tanh())
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + checkpoint(block, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_checkpointing_computes_again_counts_once(reentrant: bool) -> None:
    torch.compiler.reset()
    model, x = Checkpointed(reentrant), torch.randn(64, WIDTH, requires_grad=True)
    with tuiprobe.watch(model, "**") as once:
        model(x)
    expected = [(layer.layer, layer.images, layer.scalars()) for layer in once.figures()]
    assert len(expected) == 10
    run: Any
    for run in (
        model,
        partial(checkpoint, model, use_reentrant=False),
        torch.compile(model, fullgraph=True, backend="aot_eager"),
    ):
        with tuiprobe.watch(model, "**") as watched:
            run(x).square().sum().backward()
        figures = [(layer.layer, layer.images, layer.scalars()) for layer in watched.figures()]
        assert figures == expected
        assert "measuring of 1 of 1 calls" in watched.table()
    with tuiprobe.watch(model, "**", every=2) as watched:
        for _ in range(3):
            checkpoint(model, x, use_reentrant=False).square().sum().backward()
    assert {layer.images for layer in watched.figures()} == {128}


def test_a_forked_child_gets_an_error_and_does_not_wait() -> None:
    model = network()
    with tuiprobe.watch(model, "head") as watched:
        model(pictures(4))
        child = os.fork()
        if child == 0:
            refused = 0
            for watch in (lambda: model(pictures(4)), tuiprobe.watch(model, "stem").__enter__):
                try:
                    watch()
                except UsageError as error:
                    refused += "in a forked child; use spawn" in str(error)
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
        model(pictures(4))  # the parent goes on
    assert watched.figures()[0].images == 8

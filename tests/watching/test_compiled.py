"""A watched model keeps its graph under `torch.compile` and `torch.export`."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

import tuiprobe
from tests.watching.networks import LAYERS, WIDTH, Giving, network, pictures


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Forgets compiled code, so that no test depends on another."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    "backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.nightly)]
)
@pytest.mark.slow
def test_a_compiled_model_has_one_graph_and_the_same_figures(backend: str) -> None:
    model = network()
    with tuiprobe.watch(model, LAYERS, k=2) as watched:
        compiled = torch.compile(model, fullgraph=True, backend=backend)
        for seed in range(3):
            compiled(pictures(8, seed)).sum().backward()
        compiled(pictures(5, 4))  # another batch size
    with tuiprobe.watch(model, LAYERS, k=2) as plain:
        for seed in range(3):
            model(pictures(8, seed))
        model(pictures(5, 4))
    for layer, expected in zip(watched.figures(), plain.figures(), strict=True):
        assert (layer.layer, layer.images, layer.leading) == (
            expected.layer,
            expected.images,
            expected.leading,
        )
        assert layer.scalars() == pytest.approx(expected.scalars(), rel=1e-3)


def test_dynamic_batches_shared_layers_and_odd_outputs_keep_one_graph() -> None:
    shared = nn.Linear(WIDTH, WIDTH)
    model = nn.Sequential(Giving(lambda x: (x, x)), shared, nn.ReLU(), shared)
    with tuiprobe.watch(model, "1 0.odd") as watched:
        compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
        for count in (4, 7, 1, 3):
            compiled(torch.randn(count, 3))
    images = {entry.layer: entry.images for entry in watched.figures()}
    assert images == {"1": 15, "1-call2": 15}
    assert watched.refused == {"0.odd": "its output is a tuple, not one tensor"}


def test_a_model_compiled_before_is_watched_and_its_code_runs_on_after_the_block() -> None:
    model = network()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    compiled(pictures(4))
    assert isinstance(compiled, nn.Module)
    with tuiprobe.watch(compiled, "head") as watched:
        compiled(pictures(4))
    assert torch.equal(compiled(pictures(6)), model(pictures(6)))
    assert watched.figures()[0].images == 4


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_model_keeps_the_operator(strict: bool) -> None:
    model = network()
    with tuiprobe.watch(model, "blocks.* head") as watched:
        program = torch.export.export(model, (pictures(4),), strict=strict)
        called = [node.target for node in program.graph.nodes if node.op == "call_function"]
        assert called.count(torch.ops.tuiprobe.observe.default) == 5  # the model, and four layers
        assert watched.figures() == ()  # tracing counts nothing
        program.module()(pictures(4))
    assert {layer.images for layer in watched.figures()} == {4}


def test_the_operator_declares_what_it_does() -> None:
    x, seen = torch.randn(3, 4), torch.zeros(1, dtype=torch.int64)
    torch.library.opcheck(torch.ops.tuiprobe.observe, (x, seen, 10**6, 0))

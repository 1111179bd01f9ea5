"""What a watch measures, against the same outputs collected by plain torch."""

import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import tuiprobe
from tests.watching.networks import LAYERS, WIDTH, Giving, network, pictures
from tuiprobe.errors import UsageError
from tuiprobe.measure.engine.extract import MAX_ROWS
from tuiprobe.results import NotRun


def outputs(model: nn.Module, layer: str, batches: list[Tensor]) -> Tensor:
    """Returns the outputs of a layer, by a hook of its own."""
    collected: list[Tensor] = []
    module = model.get_submodule(layer)
    handle = module.register_forward_hook(lambda *call: collected.append(call[2].detach()))
    for batch in batches:
        model(batch)
    handle.remove()
    return torch.cat(collected)


@pytest.mark.parametrize(
    ("layer", "kind"), [("stem", "map"), ("blocks.1", "token"), ("head", "vector")]
)
def test_figures_are_those_of_the_collected_outputs(layer: str, kind: str) -> None:
    model, batches = network(), [pictures(8, seed) for seed in range(3)]
    with tuiprobe.watch(model, LAYERS) as watched:
        for batch in batches:
            model(batch)
    figures = {entry.layer: entry for entry in watched.figures()}[layer]
    x = outputs(model, layer, batches).double()
    places = x.flatten(2).transpose(1, 2) if kind == "map" else x
    rows = places.reshape(24, -1, places.shape[-1]).numpy()
    kurtosis = stats.kurtosis(rows, axis=2, fisher=False).mean(axis=1)
    half = stats.t.ppf(0.975, 23) * kurtosis.std(ddof=1) / np.sqrt(24)
    assert (figures.kind, figures.channels, figures.images) == (kind, rows.shape[2], 24)
    assert figures.kurtosis.value == pytest.approx(kurtosis.mean(), rel=1e-5)
    assert figures.kurtosis.low == pytest.approx(kurtosis.mean() - half, rel=1e-5)
    fourth = (rows - rows.mean(axis=2, keepdims=True)) ** 4
    share = (fourth / fourth.sum(axis=2, keepdims=True)).mean(axis=(0, 1))
    assert figures.leading == share.argmax()
    assert figures.share == pytest.approx(share.max(), rel=1e-5)
    moments = next(entry for entry in watched.layers if entry.name == layer).statistics
    np.testing.assert_allclose(
        moments.stats.compute().moments.mean, rows.mean(axis=(0, 1)), atol=1e-6
    )


def test_outlier_channels_are_found_by_the_rule_of_the_results() -> None:
    model = network()
    with torch.no_grad():
        model.head.bias[7] = 60.0
    with tuiprobe.watch(model, "head") as watched:
        model(pictures(64))
    assert watched.figures()[0].outlier_channels == (7,)
    with tuiprobe.watch(network(), "head") as plain:
        network()(pictures(64))
    assert plain.figures() == ()  # another model ran


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_outputs_gradients_and_figures_stay_as_they_are(mode: Callable[[], Any]) -> None:
    plain, watched = network(), network()
    x = pictures(8)
    plain(x).square().sum().backward()
    with tuiprobe.watch(watched, LAYERS, k=3) as first:
        out = watched(x)
        out.square().sum().backward()
    assert torch.equal(out, plain(x))
    for expected, actual in zip(plain.parameters(), watched.parameters(), strict=True):
        assert expected.grad is not None
        assert actual.grad is not None
        assert torch.equal(expected.grad, actual.grad)
    with tuiprobe.watch(plain, LAYERS, k=3) as second, mode():
        plain(x)
    assert first.figures() == second.figures()


def test_every_nth_call_of_the_model_or_a_part_of_it_is_measured() -> None:
    model = network()
    with tuiprobe.watch(model, "head", every=3) as watched:
        for _ in range(7):
            model(pictures(2))
    assert watched.figures()[0].images == 6  # calls 1, 4 and 7
    assert "measuring of 3 of 7 calls took" in watched.table()
    with tuiprobe.watch(model, "blocks.0", every=2) as watched:
        for _ in range(4):
            model.blocks[0](torch.randn(5, 4, WIDTH))
    assert watched.figures()[0].images == 10
    many = nn.Sequential(*(nn.Linear(3, 3) for _ in range(51)))
    with tuiprobe.watch(many, "*") as of_many, tuiprobe.watch(many, "*", every=1) as each:
        for _ in range(11):
            many(torch.randn(2, 3))
    assert of_many.figures()[0].images == 4  # calls 1 and 11
    assert each.figures()[0].images == 22
    with tuiprobe.watch(nn.DataParallel(model), "head") as watched:  # seen through
        model(pictures(4))
    assert watched.figures()[0].images == 4


def test_hooks_and_buffer_go_after_an_exception_too() -> None:
    model = network()
    before = set(model.state_dict())
    with tuiprobe.watch(model, LAYERS):
        assert set(model.state_dict()) == before
    with pytest.raises(RuntimeError, match="channels"), tuiprobe.watch(model, LAYERS):
        model(torch.randn(1, 4, 6, 6))  # as many channels as no image has
    assert not dict(model.named_buffers())
    assert not model._forward_pre_hooks
    assert not any(module._forward_hooks for module in model.modules())


def of_the_user(*_: object) -> None:
    """A hook that copies keep."""


def test_copies_of_a_watched_model_are_not_watched_and_hold_nothing_of_a_watch() -> None:
    model = network()
    model.stem.register_forward_hook(of_the_user)
    with tuiprobe.watch(model, LAYERS) as watched:
        whole, part = copy.deepcopy(model), copy.deepcopy(model.blocks)
        stored = pickle.dumps(model)
        for module in (model, whole, pickle.loads(stored)):
            module(pictures(4))
        part[0](torch.randn(8, WIDTH))
        average = AveragedModel(model, use_buffers=True)
        average.update_parameters(model)
        assert not dict(model.named_buffers())
    assert b"tuiprobe" not in stored
    for copied in (whole, part, average.module):
        assert not any(module._forward_pre_hooks for module in copied.modules())
        assert sum(len(module._forward_hooks) for module in copied.modules()) == (
            copied is not part
        )
    assert {module.images for module in watched.figures()} == {4}


def test_nested_watches_count_apart_and_may_end_in_any_order() -> None:
    model = network()
    first, second = tuiprobe.watch(model, "head"), tuiprobe.watch(model.blocks, "0")
    first.__enter__()
    with pytest.raises(RuntimeError, match="already"):
        first.__enter__()
    with tuiprobe.watch(model, "head blocks.*") as inner:
        model(pictures(2))
    with second:
        model(pictures(4))
        first.__exit__(None, None, None)
        model(pictures(3))
    assert [entry.figures()[0].images for entry in (first, second)] == [6, 7]
    assert [entry.images for entry in inner.figures()] == [2] * 4
    assert not dict(model.named_buffers())
    assert not any(entry._forward_hooks for entry in model.modules())


ODD = {
    "tuple": lambda x: (x, x),
    "dict": lambda x: {"x": x},
    "NoneType": lambda x: None,
    "torch.int32": lambda x: x.int(),
    "dense": lambda x: x.to_sparse(),
    "nested": lambda x: torch.nested.nested_tensor([x, x[:2]], layout=torch.jagged),
    "meta": lambda x: x.to("meta"),
    "()": lambda x: x.sum(),
}


@pytest.mark.parametrize(("reason", "wrap"), ODD.items())
def test_what_is_no_activation_is_named_and_left_out(reason: str, wrap: object) -> None:
    model = Giving(wrap)
    with tuiprobe.watch(model, "inner odd") as watched:
        model(torch.randn(4, 3))
        model.odd(torch.randn(4, WIDTH))  # without the model around it
    assert [entry.layer for entry in watched.figures()] == ["inner"]
    assert reason in watched.refused["odd"]
    assert f"odd: not measured: {watched.refused['odd']}" in watched.table()


def test_other_types_and_batch_sizes_while_watched() -> None:
    model = network()
    with tuiprobe.watch(model, "head") as watched:
        model(pictures(4))
        model.to(torch.bfloat16)(pictures(3).to(torch.bfloat16))
        model.float()(pictures(1))
        model(pictures(0))
    assert watched.figures()[0].images == 8
    with tuiprobe.watch(model.double(), "head") as refused:
        model(pictures(2).double())
    assert "float64" in refused.refused["head"]


def test_what_hides_its_values_or_changes_its_width_is_named() -> None:
    def wider(model: Any) -> None:
        model.head.weight = nn.Parameter(torch.randn(30, WIDTH))
        model.head.bias = nn.Parameter(torch.randn(30))
        model(pictures(2))

    def transformed(model: Any) -> None:
        torch.func.grad(lambda x: model(x).sum())(pictures(4))

    def moved(model: Any) -> None:
        model.to("meta")(pictures(3).to("meta"))

    for act, reason in (
        (wider, "expected 24 channels"), (transformed, "no readable memory"),
        (moved, "meta device"),
    ):  # fmt: skip
        model = network()
        with tuiprobe.watch(model, "head") as watched:
            model(pictures(4))
            act(model)
        assert reason in watched.refused["head"]
        assert watched.figures()[0].images == 4
        assert not dict(model.named_buffers())


def test_a_layer_replaced_while_watched_is_watched_no_more_and_tracing_counts_nothing() -> None:
    model = network()
    first = model.head
    with tuiprobe.watch(model, "head") as watched:
        torch.jit.trace(model, (pictures(4),), check_trace=False)
        assert watched.figures() == ()
        model(pictures(4))
        model.head = nn.Linear(WIDTH, 24)
        model(pictures(2))
    assert watched.figures()[0].images == 4
    assert not first._forward_hooks


def test_threads_share_a_watch() -> None:
    model = network()
    with tuiprobe.watch(model, LAYERS) as watched:
        run = threads_of(lambda n: model(pictures(n + 1)))
    assert not run
    assert {entry.images for entry in watched.figures()} == {36}


def threads_of(work: Callable[[int], object]) -> list[BaseException]:
    """Calls `work` with 0 to 7 in a thread each; returns what they raised."""
    raised: list[BaseException] = []

    def guarded(n: int) -> None:
        try:
            work(n)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_nan_is_counted_and_kept_apart() -> None:
    model, x = network(), pictures(8)
    x[0] = torch.nan
    with tuiprobe.watch(model, "head") as watched:
        model(x)
    figures = watched.figures()[0]
    assert figures.nonfinite == figures.channels
    assert figures.nonfinite_share == 1 / 8
    assert "12.5 %" in watched.table()
    assert figures.kurtosis.n == 7


@pytest.mark.parametrize(
    ("bad", "cell"), [(slice(None), "no finite value"), (0, "no image of finite values")]
)
def test_a_layer_that_has_broken_down_says_so(bad: Any, cell: str) -> None:
    model = nn.Sequential(nn.Identity(), nn.Linear(4, 24))
    with torch.no_grad():
        model[1].bias[bad] = torch.nan
    with tuiprobe.watch(model, "1") as watched:
        model(torch.randn(8, 4))
    figures = watched.figures()[0]
    assert figures.nonfinite_share == pytest.approx(1 if cell == "no finite value" else 1 / 24)
    assert isinstance(figures.kurtosis, NotRun)
    assert cell in watched.table().splitlines()[1]
    assert "share" not in figures.scalars()


class Twice(nn.Module):
    """Calls one layer twice, and has a layer of its own afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.layer(self.layer(x)))
        return out


@pytest.mark.parametrize("compiled", [False, True])
def test_calls_of_a_layer_within_a_pass_are_told_apart(compiled: bool) -> None:
    model, x = Twice().eval(), torch.randn(32, WIDTH)
    with tuiprobe.watch(model, "*") as watched, torch.no_grad():
        run = torch.compile(model, fullgraph=True, backend="eager") if compiled else model
        run(x)
        run(x)
    figures = {entry.layer: (entry.images, entry.call) for entry in watched.figures()}
    assert figures == {"layer": (64, 1), "layer-call2": (64, 2), "last": (64, 1)}
    second = next(entry for name, entry in watched.layer_statistics if name == "layer-call2")
    with torch.no_grad():
        expected = model.layer(model.layer(x)).double().mean(0).numpy()
    np.testing.assert_allclose(second.stats.compute().moments.mean, expected, atol=1e-6)


def test_calls_outside_a_pass_are_no_second_calls() -> None:
    model = Twice()
    with tuiprobe.watch(model, "layer") as watched:
        model(torch.randn(4, WIDTH))
        for _ in range(3):
            model.layer(torch.randn(2, WIDTH))
    assert {f.layer: f.images for f in watched.figures()} == {"layer": 10, "layer-call2": 4}


def test_training_and_evaluation_do_not_mix() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(WIDTH, WIDTH))
    with tuiprobe.watch(model, "1") as watched:
        model(torch.randn(4, WIDTH))
        model.eval()
        model(torch.randn(3, WIDTH))
        model.train()
        model(torch.randn(2, WIDTH))
    figures = {f.layer: (f.images, f.training) for f in watched.figures()}
    assert figures == {"1": (6, True), "1-eval": (3, False)}


class Square(nn.Module):
    """Gives maps whose two last dimensions may be channels: nothing in it says which."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_channels_that_nothing_tells_are_named() -> None:
    model, x = nn.Sequential(Square()), torch.randn(4, 7, 5, 5)
    with tuiprobe.watch(model, "0") as unnamed:
        model(x)
    assert "channel_dim" in unnamed.refused["0"]
    for dim, width in ((1, 7), (-1, 5)):
        with tuiprobe.watch(model, "0", channel_dim=dim) as watched:
            model(x)
        assert watched.figures()[0].channels == width
    layers = nn.Sequential(nn.Conv2d(7, 6, 1))  # what fixes its channels keeps them
    with tuiprobe.watch(layers, "0", channel_dim=-1) as fixed:
        layers(x)
    assert "unexpected place" not in fixed.table()
    assert fixed.figures()[0].channels == 6


def test_notebooks_show_the_table_and_run_nothing_of_it() -> None:
    model = nn.Module()
    model.add_module("<script>", nn.Linear(4, 24))
    with tuiprobe.watch(model, "*") as watched:
        model.get_submodule("<script>")(torch.randn(8, 4))
    html = watched._repr_html_()
    assert "<script>" not in html
    assert html.count("<tr>") == 2
    assert f"<td>{watched.figures()[0].kurtosis.with_interval()}</td>" in html  # type: ignore[union-attr]


def test_the_sample_of_rows_is_bounded_uniform_and_repeatable() -> None:
    model = nn.Sequential(nn.Identity(), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0], [2.0]]))
    numbers = torch.arange(20_000.0)[:, None]
    with tuiprobe.watch(model, "1", k=1) as watch, tuiprobe.watch(model, "1") as second_watch:
        for part in numbers.split(700):
            model(part)
    first, second = (each.layers[0].statistics for each in (watch, second_watch))
    rows = first.rows()
    assert rows.shape == (MAX_ROWS, 2)
    assert np.array_equal(rows, second.rows())
    assert len(np.unique(rows[:, 0])) == MAX_ROWS
    assert first.stats.compute().largest.sample_ids[0, 0] == 19_999  # images by their number
    mean_error = 20_000 / np.sqrt(12 * MAX_ROWS)
    assert abs(rows[:, 0].mean() - 10_000) < 4 * mean_error


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        ("nothing.*", {}, r"no module matches nothing\.\*; the model has stem"),
        ("head other", {}, "no module matches other"),
        ("", {}, "no layers were named"),
        ("head", {"every": 0}, "every must be"),
        ("head", {"every": True}, "every must be"),
        ("head", {"k": -1}, "k must be"),
        ("head", {"channel_dim": 0}, "channel_dim must be"),
    ],
)
def test_wrong_options_are_refused(layers: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tuiprobe.watch(network(), layers, **options)
    with pytest.raises(UsageError, match="must be a torch"):
        tuiprobe.watch("model", "head")  # type: ignore[arg-type]


def test_reset_forgets() -> None:
    model = network()
    with tuiprobe.watch(model, "head") as watched:
        model(pictures(4))
        watched.reset()
        assert watched.figures() == ()
        assert watched.refused == {"head": "not called yet"}
        model(pictures(2))
    assert watched.figures()[0].images == 2
    assert repr(watched) == "Watched(Net, 1 layer, 2 images)"
    kept = weakref.ref(watched)
    del watched
    gc.collect()
    assert kept() is None  # it does not keep itself alive


def test_figures_without_a_row_of_spread_say_why() -> None:
    model = nn.Sequential(nn.Linear(2, 24))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(1.0)
    with tuiprobe.watch(model, "0") as watched:
        model(torch.randn(4, 2))
    figures = watched.figures()[0]
    assert isinstance(figures.kurtosis, NotRun)
    assert figures.leading is None
    assert "kurtosis" not in figures.scalars()
    assert watched.table().splitlines()[1].split()[:3] == ["0", "24", "4"]

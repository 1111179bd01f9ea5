"""Models that are not what they seem: each is refused or said, and sound ones pass."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.test_from_module import TRANSFORM, WIDTH, Wrapped, net
from tuiprobe.errors import UsageError
from tuiprobe.models.checks import trial
from tuiprobe.models.checks.trial import (
    agree,
    check_trial,
    check_types,
    images_of_trial,
    rounded,
    signature,
)
from tuiprobe.models.encoder import Encoder

IMAGES = torch.rand(8, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class Changed(nn.Module):
    """Maps the colours of a picture to six numbers, then does what a function does to them."""

    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.change = nn.Linear(12, WIDTH), change

    def forward(self, images: Tensor) -> Any:
        return self.change(self.mix(functional.adaptive_avg_pool2d(images, 2).flatten(1)))


class Halving(Changed):
    """Changes its input."""

    def __init__(self) -> None:
        super().__init__(lambda h: h)

    def forward(self, images: Tensor) -> Any:
        return super().forward(images.mul_(0.5))


def encoder(module: nn.Module, **options: Any) -> Encoder:
    return Encoder.from_module(module, preprocess=TRANSFORM, **options)


def unsound(module: nn.Module, images: Tensor = IMAGES, **options: Any) -> dict[str, str]:
    """Returns the checks that do not pass, with their status."""
    made = encoder(module, **options)
    checks = check_trial(made, images, made.classifier)
    return {check.name: check.status for check in checks if check.status != "pass"}


def counting() -> Callable[[Tensor], Tensor]:
    calls: list[int] = []

    def change(h: Tensor) -> Tensor:
        calls.append(1)
        return h + len(calls)

    return change


RANDOM = {
    "dropout": lambda h: functional.dropout(h.relu(), 0.5),
    "little dropout": lambda h: functional.dropout(h, 0.1),
    "noise": lambda h: h + 0.2 * torch.randn_like(h),
    "a state": counting(),
}
OF_BATCH = {
    "batch norm": lambda h: (h - h.mean(0)) / (h.std(0, correction=0) + 1e-5),
    "of the batch": lambda h: h / h.abs().amax(),
    "fails alone": lambda h: h if len(h) > 1 else h[1],
    "squeezed": lambda h: h[:, :1].expand(-1, WIDTH).squeeze(0),
}


@pytest.mark.parametrize("change", RANDOM)
def test_a_model_that_draws_at_random_is_refused(change: str) -> None:
    made = encoder(Changed(RANDOM[change]))
    (check,) = (c for c in check_trial(made, IMAGES) if c.status != "pass")
    assert (check.name, check.status) == ("same answers", "fail")
    assert "each time" in check.detail


@pytest.mark.parametrize("change", OF_BATCH)
def test_a_model_whose_answer_depends_on_the_batch_is_refused(change: str) -> None:
    made = encoder(Changed(OF_BATCH[change]))
    (check,) = (c for c in check_trial(made, IMAGES) if c.status != "pass")
    assert (check.name, check.status) == ("same answers", "fail")
    assert "each time" not in check.detail


def test_batch_norm_needs_its_statistics() -> None:
    layers = [nn.Conv2d(3, WIDTH, 3), nn.BatchNorm2d(WIDTH, track_running_stats=False), nn.ReLU()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert unsound(module) == {"same answers": "fail"}
    layers[1] = nn.BatchNorm2d(WIDTH)
    assert unsound(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())) == {}


def test_sound_models_pass_in_every_precision_and_with_large_channels() -> None:
    def outlier(h: Tensor) -> Tensor:
        return torch.cat([h[:, :-1], torch.full_like(h[:, :1], 1e3)], 1)

    for module in (net(), Changed(lambda h: h), Changed(outlier), Changed(functional.normalize)):
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            made = encoder(module)
            made.move("cpu", dtype)
            assert {c.status for c in check_trial(made, IMAGES)} == {"pass"}, (module, dtype)
    lost = IMAGES.clone()
    lost[0] = torch.nan
    assert unsound(net(), lost) == {}  # counted and named where it is measured
    random = Changed(lambda h: torch.cat([h[:, :-1] + torch.randn(len(h), 1), 1e3 + h[:, -1:]], 1))
    assert unsound(random) == {"same answers": "fail"}  # beside a large channel


@pytest.mark.filterwarnings("ignore:torch.quantize")
def test_dynamic_quantisation_which_depends_on_the_batch_is_a_warning() -> None:
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(432, 16)]
    for _ in range(20):
        layers += [nn.LayerNorm(16), nn.Linear(16, 16)]
    module = torch.ao.quantization.quantize_dynamic(nn.Sequential(*layers).eval(), {nn.Linear})
    images = IMAGES.clone()
    images[1] *= 5
    assert unsound(module, images) == {"same answers": "warn"}  # by 15 % of the spread
    of_batch = nn.Sequential(module, nn.BatchNorm1d(16, track_running_stats=False))
    assert unsound(of_batch, images) == {"same answers": "fail"}


def test_fewer_images_are_tried_on_a_large_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder(net())
    assert images_of_trial(made) == 8
    monkeypatch.setattr(made, "parameters", lambda: 86_000_000)
    assert images_of_trial(made) == 2


def test_values_of_honest_mistakes_are_said() -> None:
    assert unsound(net(), IMAGES * 255) == {"pixel values": "warn"}
    assert unsound(net(), IMAGES / 255)["pixel values"] == "warn"
    assert unsound(Changed(torch.zeros_like)) == {"one representation": "warn"}
    assert unsound(net(), IMAGES[:1].expand(8, -1, -1, -1)) == {"one picture": "warn"}
    assert unsound(Changed(lambda h: h.mul_(0.5))) == {}
    assert unsound(Halving()) == {}  # it changes its input in place
    assert unsound(Wrapped(lambda y, m: y[:, :, None].repeat(1, 1, 1)), classes=list("abc")) == {}


def test_an_error_of_the_code_is_told_with_its_line() -> None:
    def broken(h: Tensor) -> Tensor:
        if len(h) == 8:
            raise KeyError("stem")
        return h

    made = encoder(Changed(broken))
    (check,) = check_trial(made, IMAGES)
    assert (check.name, check.status) == ("input size", "fail")
    assert "KeyError: 'stem' (test_trial.py, line " in check.detail
    assert "preprocessing" not in check.detail + check.fix


def test_a_signature_tells_forward_passes_apart_and_not_rounding() -> None:
    passes = {
        "as it is": lambda h: h,
        "tanh": torch.tanh,
        "scaled": lambda h: 1.1 * h,
        "turned": lambda h: h.flip(1),
        "one channel": lambda h: torch.cat([h[:, :-1], 0.9 * h[:, -1:]], 1),
    }
    made = {name: encoder(Changed(change)) for name, change in passes.items()}
    signatures = {name: signature(of) for name, of in made.items()}
    assert len({tuple(rounded(of)) for of in signatures.values()}) == len(passes)
    assert signature(encoder(Changed(lambda h: h))) == signatures["as it is"]
    for threads in (1, 2):
        torch.set_num_threads(threads)
        again = signature(encoder(Changed(lambda h: h * (1 + 1e-6))))
        assert agree(again, signatures["as it is"], torch.float32)
    for name in passes.keys() - {"as it is"}:
        assert not agree(signatures[name], signatures["as it is"], torch.float32), name


class Percent(nn.Module):
    """A hundred times as much."""

    def forward(self, images: Tensor) -> Tensor:
        return 100 * images


def ensemble(*endings: nn.Module) -> nn.Module:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nets = nn.ModuleList(nn.Sequential(net(), ending) for ending in endings)
            self.nets[-1][0][-1].weight.data *= -3  # others than the first

        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([part(images) for part in self.nets]).mean(0)

    return Mean().eval()


def test_probabilities_are_logits_of_the_same_probabilities() -> None:
    names = ["ant", "bee", "cow"]
    for ending, sums in ((nn.Softmax(1), True), (nn.Sigmoid(), False)):
        module = ensemble(ending, ending)
        made = encoder(module, classes=names)
        with torch.inference_mode():
            logits, expected = made.head().logits(made.encode(IMAGES)), module(IMAGES)
        probabilities = logits.softmax(1) if sums else logits.sigmoid()
        assert torch.allclose(probabilities, expected, atol=1e-6)
        assert unsound(module, classes=names) == {"outputs": "warn"}
        assert unsound(module) == ({"outputs": "warn"} if sums else {})  # without names they are h
        assert made.architecture != encoder(module).architecture
    in_percent = nn.Sequential(ensemble(nn.Softmax(1), nn.Softmax(1)), Percent())
    made = encoder(in_percent, classes=names)
    with torch.inference_mode():
        probabilities = made.head().logits(made.encode(IMAGES)).softmax(1)
        assert torch.allclose(100 * probabilities, in_percent(IMAGES), atol=1e-4)
    behind = nn.Sequential(net(), nn.Sigmoid()).eval()
    made = encoder(behind, classes=names)
    with torch.inference_mode():
        assert torch.allclose(made.head().logits(made.encode(IMAGES)).sigmoid(), behind(IMAGES))
    assert unsound(ensemble(nn.Identity(), nn.Identity()), classes=names) == {}
    made = encoder(ensemble(nn.Softmax(1), nn.Softmax(1)), classes=names)
    inner = made.module.nets[0][1]
    inner.forward = lambda outputs: outputs + 4  # no probabilities: no figure of these
    with torch.inference_mode():
        assert bool(made.encode(IMAGES).isnan().all())


@pytest.mark.filterwarnings("ignore:torch.quantize")
@pytest.mark.parametrize("form", ["script", "trace", "freeze", "quantised"])
def test_torchscript_and_quantised_modules_are_models(form: str) -> None:
    module = net().eval()
    made_of: dict[str, Callable[[], nn.Module]] = {
        "script": lambda: torch.jit.script(module),
        "trace": lambda: torch.jit.trace(module, IMAGES[:2]),
        "freeze": lambda: torch.jit.freeze(torch.jit.script(module)),
        "quantised": lambda: torch.ao.quantization.quantize_dynamic(module, {nn.Linear}),
    }
    given = made_of[form]()
    made = encoder(given, classes=list("abc"))
    expected = given(IMAGES)
    with torch.inference_mode():
        logits = made.head().logits(made.encode(IMAGES))
    assert torch.allclose(logits, expected, atol=1e-5)
    statuses = {c.status for c in check_trial(made, IMAGES, made.classifier)}
    assert statuses <= {"pass", "warn"}
    assert len(made.taps()) >= 1
    other = net()
    other.load_state_dict({n: p + 0.1 for n, p in module.state_dict().items()})
    module.load_state_dict(other.state_dict())
    assert encoder(made_of[form](), classes=list("abc")).weights.digest != made.weights.digest


@pytest.mark.parametrize(
    ("change", "classes", "message"),
    [
        (lambda y, m: y.argmax(1, keepdim=True), None, "returns int64"),
        (lambda y, m: torch.complex(y, y), None, "returns complex64"),
        (lambda y, m: y[:, :1], ["ant", "bee"], r"torch.cat\(\[-y, y\], 1\) / 2"),
        (lambda y, m: y, [0, 1, 2], "takes names as text, and 0 is none"),
    ],
)
def test_outputs_and_names_of_another_kind_are_refused(change, classes, message):
    with pytest.raises(UsageError, match=message):
        encoder(Wrapped(change), classes=classes)


def test_outputs_that_are_infinite_have_a_signature_of_numbers() -> None:
    made = encoder(Changed(lambda h: h / 0))
    assert signature(made)[0] == 0
    assert check_trial(made, IMAGES)[0].status == "fail"


def with_clock(monkeypatch: pytest.MonkeyPatch, made: Encoder, ratio: float) -> None:
    """Makes bfloat16 so many times as fast as float32 by the clock, and no encoder too small."""
    now = [0.0]

    def tick() -> float:
        now[0] += ratio if made.dtype == torch.float32 else 1.0
        return now[0]

    monkeypatch.setattr(trial, "perf_counter", tick)
    monkeypatch.setattr(trial, "_FEW_PARAMETERS", 0)


def test_a_faster_type_is_recommended_with_the_answers_that_it_changes(monkeypatch):
    images = torch.rand(40, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    made = encoder(nn.Sequential(Changed(lambda h: h), nn.Linear(WIDTH, 3)), classes=list("abc"))
    made.module.register_buffer("counted", torch.arange(3))
    with_clock(monkeypatch, made, 2.3)
    before = {name: t.clone() for name, t in made.module.state_dict().items()}
    (check,) = check_types(made, images, lambda h: (h * 512).astype(np.int64)[:, 0])
    rounded_copy = copy.deepcopy(made.module[0]).bfloat16()
    with torch.inference_mode():
        h, h_16 = made.encode(images), rounded_copy(images.bfloat16()).float()
    changed = int(((h * 512).long() != (h_16 * 512).long())[:, 0].sum())
    assert 0 < changed < 40
    expected = f"bfloat16 is 2.3 times as fast here and changed {changed} of 40 answers"
    assert (check.name, check.status) == ("types", "pass")
    assert check.detail == f"{expected}: --dtype bfloat16"
    moved = float((h_16 - h).norm(dim=1).max() / h.std(0, correction=0).norm())
    (check,) = check_types(made, images)  # without a head
    assert f"moved representations by up to {moved:.1%} of their spread" in check.detail
    assert made.dtype == torch.float32
    for name, tensor in made.module.state_dict().items():
        assert torch.equal(before[name], tensor)
        assert before[name].dtype == tensor.dtype


@pytest.mark.parametrize("case", ["slow", "small", "float16", "script", "fails", "not finite"])
def test_no_type_is_recommended_that_gains_nothing_or_cannot_be_used(monkeypatch, case):
    def change(h: Tensor) -> Tensor:
        if case == "fails" and h.dtype == torch.bfloat16:
            raise RuntimeError("not implemented for BFloat16")
        return h / 0 if case == "not finite" and h.dtype == torch.bfloat16 else h

    module = nn.Sequential(Changed(change), nn.Linear(WIDTH, 3))
    made = encoder(torch.jit.script(net().eval()) if case == "script" else module)
    with_clock(monkeypatch, made, 1.2 if case == "slow" else 2.3)
    if case == "small":
        monkeypatch.undo()
    if case == "float16":
        made.move("cpu", torch.float16)
    before = made.dtype, {name: t.clone() for name, t in made.module.state_dict().items()}
    assert check_types(made, IMAGES) == []
    assert made.dtype == before[0]
    assert all(torch.equal(before[1][name], t) for name, t in made.module.state_dict().items())

"""A torch module of the user's as an encoder, in Python and from a file."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models as vision
from torchvision import transforms

import tuiprobe
from tuiprobe.errors import RunError, UsageError
from tuiprobe.models.load import load_encoder

SIZE, WIDTH, CLASSES = 12, 6, ("ant", "bee", "cow")
TRANSFORM = transforms.Compose(
    [
        transforms.Resize((SIZE, SIZE)),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.4, 0.3), (0.2, 0.25, 0.5)),
    ]
)
IMAGES = torch.rand(4, 3, SIZE, SIZE)


def net(classes: int = len(CLASSES)) -> nn.Sequential:
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(1)
    layers = [nn.Conv2d(3, WIDTH, 3), nn.ReLU(), pool, nn.Flatten(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, classes))


class Wrapped(nn.Module):
    """Returns the result of a function of a network's output and maps."""

    def __init__(self, change: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.net, self.change = net(), change

    def forward(self, images: Tensor) -> object:
        return self.change(self.net(images), self.net[0](images))


def test_everything_is_found_out_and_the_module_stays_as_it_is() -> None:
    module = net().train()
    encoder = tuiprobe.Encoder.from_module(module, preprocess=TRANSFORM, classes=CLASSES)
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not module[-1]._forward_pre_hooks
    assert (encoder.name, encoder.width) == ("py:Sequential", WIDTH)
    preprocessing = encoder.preprocessing
    assert preprocessing.size == (SIZE, SIZE)
    assert preprocessing.mean == pytest.approx((0.5, 0.4, 0.3), abs=1e-3)
    assert preprocessing.std == pytest.approx((0.2, 0.25, 0.5), abs=1e-3)
    assert preprocessing.interpolation == "bilinear"
    assert preprocessing.source.startswith("Compose( Resize(size=(12, 12)")
    assert not preprocessing.assumed
    head = encoder.head()
    assert head.classes == CLASSES
    with torch.inference_mode():
        assert torch.allclose(head.logits(encoder.encode(IMAGES)), module.eval()(IMAGES))


def same(module: nn.Module, **options: Any) -> tuple[Tensor, tuple[str, ...]]:
    """Returns the probabilities of an encoder with its head, and the names of the classes."""
    encoder = tuiprobe.Encoder.from_module(module, preprocess=TRANSFORM, **options)
    head = encoder.head()
    with torch.inference_mode():
        return head.logits(encoder.encode(IMAGES)).softmax(1), head.classes


def test_the_head_is_found_behind_a_softmax_given_or_made_of_the_outputs() -> None:
    module = net().eval()
    expected = module(IMAGES).softmax(1)
    for ending in (nn.Softmax(1), nn.LogSoftmax(1), nn.Identity()):
        assert torch.allclose(same(nn.Sequential(module, ending))[0], expected)
    assert torch.allclose(same(nn.DataParallel(module))[0], expected)
    assert torch.allclose(same(module[:-1], head=module[-1])[0], expected)
    assert torch.allclose(same(module[:-2], head=module[-1])[0], expected)  # maps of 1 x 1
    convolution = nn.Sequential(module[:3], nn.Conv2d(WIDTH, 3, 1), nn.Flatten()).eval()
    answers, names = same(convolution, classes=CLASSES)
    assert torch.allclose(answers, convolution(IMAGES).softmax(1))
    assert names == CLASSES
    backbone = tuiprobe.Encoder.from_module(module[:-1], preprocess=TRANSFORM)
    assert (backbone.width, backbone.head()) == (WIDTH, None)


def test_preprocessing_of_libraries() -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=3)
    deduced = tuiprobe.Encoder.from_module(model).preprocessing
    assert deduced.assumed
    assert "timm's configuration of test_resnet" in deduced.source
    weights = vision.ResNet18_Weights.DEFAULT
    stated = tuiprobe.Encoder.from_module(net(), preprocess=weights).preprocessing
    assert (stated.size, stated.assumed) == ((224, 224), False)

    def first(image: object) -> Tensor:
        return TRANSFORM(image)

    def second(image: object) -> Tensor:
        return TRANSFORM(image) * 1.01

    named = [
        tuiprobe.Encoder.from_module(net(), preprocess=transform) for transform in (first, second)
    ]
    sources = {transform.preprocessing.source.rpartition(" ")[2] for transform in named}
    assert len(sources) == 2  # what they do tells them apart, not their names


def of(module: Any, **options: Any) -> Callable[[], object]:
    return lambda: tuiprobe.Encoder.from_module(module, **{"preprocess": TRANSFORM, **options})


def steps(*steps: object) -> Callable[[], object]:
    return of(net(), preprocess=transforms.Compose(steps))


MISTAKES = {
    "no module": (of(3), "must be a torch.nn.Module"),
    "nothing to go by": (of(net(), preprocess=None), "pass preprocess=, the transform of its val"),
    "a name": (of(net(), preprocess="resnet"), "preprocess is a str; it takes a PIL image"),
    "no resize": (steps(transforms.ToTensor()), r"for one picture and .*Resize\(\(H, W\)\) before"),
    "random": (
        steps(transforms.RandomResizedCrop(SIZE), transforms.ToTensor()), "draws at random",
    ),
    "bytes": (steps(transforms.Resize((8, 8)), transforms.PILToTensor()), "of uint8; it takes a"),
    "for tensors": (steps(transforms.Normalize((0.5,), (0.5,))), "failed on a picture: TypeError"),
    "grey": (steps(transforms.Grayscale(), TRANSFORM.transforms[0], TRANSFORM.transforms[1]),
             "wants three equal channels"),
    "a dict": (of(Wrapped(lambda y, m: {"logits": y, "maps": m})), "a dict of logits, maps; wrap"),
    "a tuple": (of(Wrapped(lambda y, m: (y, m))), "returns a tuple; wrap it"),
    "maps": (of(Wrapped(lambda y, m: m)), "pool them: torch.nn.Sequential"),
    "tokens": (of(Wrapped(lambda y, m: m.flatten(2))), r"such as output\[:, 0\]"),
    "other images": (
        of(nn.Sequential(nn.Flatten(), nn.Linear(12, 3))), r"failed on two images \[2, 3, 12, 12\]",
    ),
    "too many names": (of(net(), classes=["a"] * 4), "holds 4 names, and Sequential has 3 outputs"),
    "a set of names": (of(net(), classes=set(CLASSES)), "is a set, which has no order"),
    "another head": (of(net()[:-1], head=nn.Linear(9, 3)), "takes vectors of 9, .* gives 6"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_to_do(mistake: str) -> None:
    call, message = MISTAKES[mistake]
    with pytest.raises(UsageError, match=message):
        call()


BUILDER = """
import torch
import beside  # a file in the same folder
from tuiprobe import Encoder

net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4))
preprocess = lambda image: torch.zeros(3, 2, 2) + image.getpixel((0, 0))[0]
model = Encoder.from_module(net, preprocess=preprocess)

def build():
    return model

def bare():
    return net

def broken():
    raise ValueError("no disk")

def wrong():
    return 3
"""


def test_an_object_of_a_file_and_of_a_module(tmp_path, monkeypatch):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "my-net.py").write_text(BUILDER)
    (folder / "builder_of_mine.py").write_text(BUILDER)
    (folder / "beside.py").write_text("")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    for name in ("py:code/my-net.py:model", f"py:{folder}/my-net.py:build"):
        encoder = load_encoder(name, dtype="bfloat16")
        assert (encoder.name, encoder.width) == (name, 12)
        with torch.inference_mode():
            assert encoder.encode(torch.zeros(2, 3, 2, 2)).shape == (2, 12)
        assert next(encoder.module.parameters()).dtype == torch.bfloat16
    monkeypatch.chdir(folder)
    assert load_encoder("py:builder_of_mine:build").width == 12
    assert sys.path == before
    for name, kind, message in (
        ("my-net.py:wrong", UsageError, "gives a int; it must be a torch.nn.Module"),
        ("my-net.py:broken", RunError, "ValueError: no disk"),
        ("my-net.py:modle", UsageError, r"has no 'modle'; did you mean model\?"),
        ("my-net.py:Encoder", UsageError, "is a class"),
        ("my-net.py:bare", UsageError, "pass preprocess="),
        ("my-net.py", UsageError, "write py:FILE.py:NAME"),
        ("gone.py:model", UsageError, "cannot import 'gone.py'"),
        ("~nobody-here/x.py:model", UsageError, "cannot import '~nobody-here/x.py'"),
        ("nothing_here:build", UsageError, "cannot import 'nothing_here'"),
    ):
        with pytest.raises(kind, match=message):
            load_encoder(f"py:{name}")
    for name, message in (
        ("my-net.py", "is a file of Python"),
        ("w.pt", "is weights, and no arch"),
    ):
        with pytest.raises(UsageError, match=f"{message}.*: for a module of your own write py:"):
            load_encoder(name)
    with pytest.raises(UsageError, match="leave out --checkpoint"):
        load_encoder("py:my-net.py:model", checkpoint=tmp_path / "w.pt")

"""Finds out what an encoder of a user's torch module needs: head, width and preprocessing."""

from __future__ import annotations

import copy
import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from tuiprobe.catalog.class_names import read_classes, refuse_other_names, refuse_unordered
from tuiprobe.errors import UsageError
from tuiprobe.models.heads import Head, classifier_head, joined_classifier, with_names
from tuiprobe.models.info import (
    PreprocessingInfo,
    measured_normalisation,
    saved_script,
    weights_info,
)
from tuiprobe.models.taps import unwrapped_module
from tuiprobe.plugins import in_code, in_words

if TYPE_CHECKING:
    from PIL.Image import Image

_SIZES = ((320, 256), (200, 300))
"""Width and height of the pictures by which a preprocessing is known."""

_TOKENS = ("cls_token", "class_token", "class_embedding")
"""Names of the parameter that a transformer reads its representation from."""

_FORM = "it takes a PIL image and returns a float32 tensor [3, H, W]"
_ASK = (
    f"pass preprocess=, the transform of its validation images ({_FORM}), such as torchvision's "
    "ResNet50_Weights.DEFAULT.transforms()"
)

_PICTURES: ContextVar[Callable[[], list[Image]] | None] = ContextVar("pictures", default=None)
"""Reads some pictures of the user's data, where these are known."""


@contextmanager
def tried_on(pictures: Callable[[], list[Image]]) -> Iterator[None]:
    """Gives `parts_of_module` pictures of the user for a preprocessing that refuses made ones.

    Args:
        pictures: Reads some of them.
    """
    token = _PICTURES.set(pictures)
    try:
        yield
    finally:
        _PICTURES.reset(token)


class ImagesAreTensors:
    """Stands for the preprocessing where a data set gives preprocessed tensors.

    Args:
        size: Height and width of the tensors.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __call__(self, image: Image) -> Tensor:
        """Refuses a picture.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"one set gives tensors and another one pictures: {_ASK}")


def parts_of_module(
    module: nn.Module,
    *,
    preprocess: object = None,
    classes: Sequence[str] | str | os.PathLike[str] | None = None,
    head: nn.Linear | Head | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Returns the arguments of `Encoder` for a module; see `Encoder.from_module`."""
    module = unwrapped_module(module)
    kind = _kind(module)
    transform, info, images = _preprocessing(module, preprocess, kind)
    path = next((name for name, layer in module.named_modules() if layer is head), None)
    copied = _copy(module, kind)
    vectors = ModuleOutput(copied)
    output, layers = _trial(vectors, images, kind)
    if head is not None:
        layers = [cast(nn.Linear, copied.get_submodule(path))] if path else []
    layer = joined_classifier(layers, sum(layer.in_features for layer in layers))
    forward: Callable[[Tensor], Tensor]
    # Where h is read is part of what is measured.
    where, outputs = "" if head is None else f" before {path}" if path else " output", ""
    if layer is not None:
        width, forward = layer.in_features, BeforeLayers(copied, layers)
    else:
        width, forward = output.shape[1], vectors
        if head is None:
            forward, where, outputs = _outputs_read(vectors, images, kind, classes is not None)
    parameters = {name.rpartition(".")[2] for name, _ in copied.named_parameters()}
    return {
        "name": f"py:{(name or kind).replace(':', '-')}",
        "architecture": kind + where,
        "representation": "pooled" if parameters.isdisjoint(_TOKENS) else "token",
        "width": width,
        "weights": weights_info(copied, "checkpoint", f"a {kind} in Python"),
        "preprocessing": info,
        "module": copied,
        "preprocess": transform,
        "forward": forward,
        "classifier": _classifier(layer or head, classes, width, module),
        "outputs": outputs,
    }


def _outputs_read(
    vectors: ModuleOutput, images: Tensor, kind: str, named: bool
) -> tuple[Callable[[Tensor], Tensor], str, str]:
    """Returns how outputs are read: as logits if they are probabilities of `named` classes.

    Returns:
        The forward pass, its addition to the architecture, and a note on the outputs.
    """
    logits, probabilities = _logits_of(vectors, images), f"the outputs of {kind} are probabilities"
    if logits is not None and named:
        note = f"{probabilities} ({logits.description}); their logits count"
        return nn.Sequential(vectors, logits), f" {logits.description}", note
    if logits is None or logits.of_sigmoid:
        return vectors, "", ""
    note = f"{probabilities}, and taken as its representation; classes= names them as answers"
    return vectors, "", note


def _kind(thing: object) -> str:
    return type(thing).__name__


def _copy(module: nn.Module, kind: str) -> nn.Module:
    """Returns a copy in float32 on the CPU, as an encoder changes modes and registers hooks."""
    try:
        if isinstance(module, torch.jit.ScriptModule):  # a copy of one shares its parameters
            file = io.BytesIO(saved_script(module))
            copied: nn.Module = torch.jit.load(file)  # type: ignore[no-untyped-call]
        else:
            copied = copy.deepcopy(module)
        return copied.cpu().float().eval()
    except Exception as error:
        raise UsageError(
            f"{kind} cannot be copied ({in_words(error)}), and tuiprobe changes no module of "
            "yours: load its state dict into a new one, and pass that"
        ) from error


# The forward pass.


class BeforeLayers:
    """Maps images to the input of layers, caught by hooks.

    Args:
        module: The module that calls each layer once a pass.
        layers: The layers.
    """

    def __init__(self, module: nn.Module, layers: Sequence[nn.Module]) -> None:
        self._module, self._layers = module, layers
        self._caught: dict[nn.Module, Tensor] = {}
        for layer in layers:
            layer.register_forward_pre_hook(self._catch)

    def _catch(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._caught[layer] = inputs[0]

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the inputs of the layers, one after the other, `[B, width]`."""
        self._module(images)
        return torch.cat([self._caught.pop(layer).flatten(1) for layer in self._layers], dim=1)


class ModuleOutput(nn.Module):
    """Maps images to one vector an image.

    Models of `transformers` return several tensors: their logits count, else the image embeddings,
    else the pooled representation.

    Args:
        module: Takes images `[B, 3, H, W]`.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def outputs(self, images: Tensor) -> tuple[object, str]:
        """Returns the module's output, and what it is called where it is one of several."""
        output: object = getattr(self.module, "get_image_features", self.module)(images)
        for name in ("logits", "image_embeds", "pooler_output"):
            if isinstance(getattr(output, name, None), Tensor):
                return getattr(output, name), name
        return output, ""

    def forward(self, images: Tensor) -> Tensor:
        """Returns the vectors, `[B, channels]`."""
        vectors = self.outputs(images)[0]
        assert isinstance(vectors, Tensor), "the trial pass saw a tensor here"
        return vectors.flatten(1)


def _trial(vectors: ModuleOutput, images: Tensor, kind: str) -> tuple[Tensor, list[nn.Linear]]:
    """Returns the output for two images, and the linear layers that the module ends in, if any.

    A softmax or a sigmoid may follow a single layer; two give their mean. The layer before an
    embedding is no classifier.
    """
    calls: list[tuple[nn.Linear, Tensor]] = []

    def note(layer: nn.Module, inputs: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)
        calls.append((layer, output))

    linear = [layer for layer in vectors.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_hook(note) for layer in linear]
    try:
        with torch.inference_mode():
            output, name = vectors.outputs(images.clone())  # it may change them in place
    except Exception as error:
        raise UsageError(
            f"{kind} failed on two images {[*images.shape]}, as preprocess gives them: "
            f"{in_code(error)}; are these the images that it was trained on?"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    vector = _vectors(output, kind)
    calls = [call for call in calls if call[1].shape == vector.shape]
    if name not in ("", "logits"):
        return vector, []
    for layer, logits in reversed(calls):
        ends = (logits, logits.softmax(-1), logits.log_softmax(-1), logits.sigmoid())
        if any(torch.allclose(end, vector, equal_nan=True) for end in ends):
            return vector, [layer]
    if len(calls) > 1:
        (one, a), (other, b) = calls[-2:]
        if one is not other and torch.allclose((a + b) / 2, vector):
            return vector, [one, other]
    return vector, []


class LogitsOfProbabilities(nn.Module):
    """Maps probabilities to logits; what is no probability becomes NaN.

    Args:
        of_sigmoid: Whether each stands by itself; else those of an image sum to 1.
        percent: Whether they sum to 100.
    """

    def __init__(self, of_sigmoid: bool, percent: bool) -> None:
        super().__init__()
        self.of_sigmoid, self.percent = of_sigmoid, percent
        sums = f"they sum to {100 if percent else 1}"
        self.description = "from 0 to 1 each" if of_sigmoid else sums

    def forward(self, outputs: Tensor) -> Tensor:
        """Returns the logarithm, of the odds for a sigmoid."""
        outputs = outputs.float() / (100 if self.percent else 1)
        outside = (outputs < -_INEXACT) | (outputs > 1 + _INEXACT)
        least = torch.finfo(torch.float32).tiny
        logits = outputs.clamp(least, 1).log()
        if self.of_sigmoid:
            logits = logits - (1 - outputs).clamp(_INEXACT / 1e4, 1).log()
        return logits.masked_fill(outside, torch.nan)


_INEXACT = 1e-3
"""How far probabilities may be from 0 to 1, or their sum from 1, by rounding."""


def _logits_of(vectors: ModuleOutput, images: Tensor) -> LogitsOfProbabilities | None:
    """Returns the map from outputs to logits if they are probabilities; else None.

    Images of a hundred times the contrast take other outputs out of the range from 0 to 1.
    """
    with torch.inference_mode():
        outputs = torch.cat([vectors(images * scale).float() for scale in (1, 100, -100)])
    percent = bool(((outputs.sum(1) / 100 - 1).abs() <= _INEXACT).all())
    outputs = outputs / 100 if percent else outputs
    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    if outputs.shape[1] < 2 or not inside or bool((outputs == outputs[:1]).all()):
        return None
    sums = bool(((outputs.sum(1) - 1).abs() <= _INEXACT).all())
    return LogitsOfProbabilities(of_sigmoid=not sums, percent=percent)


def _vectors(output: object, kind: str) -> Tensor:
    """Returns the output as one vector per image, or refuses it with a remedy."""
    if not isinstance(output, Tensor):
        names = f" of {', '.join(map(str, output))}" if isinstance(output, Mapping) else ""
        raise UsageError(
            f"{kind} returns a {_kind(output)}{names}; wrap it in a torch.nn.Module whose forward "
            "returns one of its tensors, [images, channels]"
        )
    if not output.is_floating_point():
        raise UsageError(
            f"{kind} returns {str(output.dtype).removeprefix('torch.')}; wrap it in a "
            "torch.nn.Module whose forward returns logits, or a representation"
        )
    if output.ndim > 1 and output[0].numel() == output.shape[1] > 0:
        return output.flatten(1)
    advice = "wrap it in a torch.nn.Module whose forward returns one vector an image"
    if output.ndim == 4:
        advice = f"pool them: torch.nn.Sequential({kind.lower()}, torch.nn.AdaptiveAvgPool2d(1))"
    elif output.ndim == 3:
        advice += ", such as output[:, 0] or output.mean(1)"
    raise UsageError(
        f"{kind} returns {[*output.shape]} for 2 images, and an encoder [2, channels]; {advice}"
    )


def _classifier(
    last: nn.Linear | Head | None,
    classes: Sequence[str] | str | os.PathLike[str] | None,
    width: int,
    module: nn.Module,
) -> Head | None:
    """Returns the head with the names of its rows by the user or the module.

    Raises:
        UsageError: If it does not fit the representation, or the names do not fit it.
    """
    kind = _kind(module)
    names = read_classes(os.fspath(classes)) if isinstance(classes, str | os.PathLike) else classes
    if names is not None:
        refuse_unordered(names)
    head = last if isinstance(last, Head) else None
    if isinstance(last, nn.Linear):
        head = with_names(classifier_head(last), _said_of(module), kind)
    if head is None and names is not None:  # they say that the outputs are answers
        head = Head(torch.eye(width), None, (), source=f"the {width} outputs of {kind}")
    if head is None:
        return None
    rows, channels = head.weight.shape
    if channels != width:
        raise UsageError(
            f"head= takes vectors of {channels:,}, and {kind} gives {width:,}; pass the linear "
            "layer that follows it"
        )
    if names is None:
        return head
    if strange := [name for name in names if not isinstance(name, str)]:
        raise UsageError(f"classes= takes names as text, and {strange[0]!r} is none")
    if len(names) != rows:
        advice = "give the name of each output, in their order"
        if rows == 1:
            advice = "for two classes wrap it so that it returns torch.cat([-y, y], 1) / 2"
        raise UsageError(
            f"classes= holds {len(names):,} names, and {kind} has {rows:,} outputs: {advice}"
        )
    if head.names_from:
        refuse_other_names(names, head.classes, "classes=", head.names_from)
    return replace(head, classes=tuple(names), named=True, names_from="")


def _said_of(module: nn.Module) -> dict[str, object]:
    """Returns the attributes of a module, and the configuration that libraries attach to it."""
    config = getattr(module, "config", None)
    labels = {"id2label": getattr(config, "id2label", None)}  # of transformers
    return {**vars(module), "config": config if isinstance(config, Mapping) else labels}


# Preprocessing.


class PixelValues:
    """The preprocessing of an image processor of `transformers`.

    Args:
        processor: The image processor.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    @property
    def interpolation(self) -> str:
        """Name of the interpolation, as of PIL."""
        from PIL.Image import Resampling

        method = getattr(self._processor, "resample", None)
        method = Resampling(method) if isinstance(method, int) else method
        return str(getattr(method, "name", "not known")).lower()

    def __repr__(self) -> str:
        from transformers import __version__

        return f"{_kind(self._processor)} of transformers {__version__}"

    def __call__(self, image: Image) -> Tensor:
        """Returns an image as its model takes it."""
        values: Tensor = self._processor(image, return_tensors="pt")["pixel_values"][0]
        return values


def made_pictures() -> list[Image]:
    """Returns two pictures of noise in different sizes, the same everywhere."""
    from PIL import Image

    draws = np.random.RandomState(0)
    return [
        Image.fromarray(draws.randint(0, 256, (height, width, 3), dtype=np.uint8))
        for width, height in _SIZES
    ]


def _preprocessing(
    module: nn.Module, preprocess: object, kind: str
) -> tuple[Callable[[Image], Tensor], PreprocessingInfo, Tensor]:
    """Returns the preprocessing, its description, and two preprocessed pictures.

    The pictures are generated. If the preprocessing does not take these (for example because it has
    no resize), they are the first of the user's.

    Raises:
        UsageError: If none is given nor deduced, or it does not give tensors of one size.
    """
    if isinstance(preprocess, ImagesAreTensors):
        info = PreprocessingInfo(
            size=preprocess.size, mean=(), std=(), interpolation="", source="tensors", known=False
        )
        noise = torch.randn(2, 3, *info.size, generator=torch.Generator().manual_seed(0))
        return preprocess, info, noise
    transform, source = _transform(module, preprocess, kind)
    pictures = made_pictures()
    try:
        images = _applied_to(transform, pictures)
    except UsageError:
        if (read := _PICTURES.get()) is None or len(pictures := read()) < 2:
            raise
        images = _applied_to(transform, pictures)
    digest = hashlib.sha256(images.numpy().tobytes()).hexdigest()
    mean, std = measured_normalisation(transform, pictures[0].size)
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        mean = std = ()
    info = PreprocessingInfo(
        size=(images.shape[2], images.shape[3]),
        mean=tuple(round(value, 4) for value in mean),
        std=tuple(round(value, 4) for value in std),
        interpolation=_interpolation(transform),
        resize=f"two pictures {digest[:16]}",
        source=f"{source}, SHA-256 of two pictures {digest[:16]}",
        assumed=preprocess is None,
    )
    return transform, info, images


def _applied_to(transform: Callable[[Image], object], pictures: Sequence[Image]) -> Tensor:
    """Returns two preprocessed pictures, `[2, 3, H, W]`.

    Raises:
        UsageError: If it fails, draws at random, or gives tensors of two sizes.
    """
    first, second, repeated = (_applied(transform, pictures[i]) for i in (0, 1, 0))
    if first.shape != second.shape:
        raise UsageError(
            f"preprocess gives {[*first.shape]} for one picture and {[*second.shape]} for another; "
            "put torchvision.transforms.Resize((H, W)) before it, which leaves pictures of that "
            "size as they are"
        )
    if not torch.equal(first, repeated):
        raise UsageError("preprocess draws at random; pass the transform of validation images")
    return torch.stack([first, second])


def _transform(module: nn.Module, preprocess: object, kind: str) -> tuple[Any, str]:
    """Returns the preprocessing and its name; that of timm's models is in their configuration."""
    config = getattr(module, "pretrained_cfg", None)
    if preprocess is None and isinstance(config, dict):
        from timm.data import create_transform, resolve_model_data_config

        transform = create_transform(**resolve_model_data_config(module), is_training=False)
        return transform, f"assumed: timm's configuration of {config.get('architecture', kind)}"
    if preprocess is None:
        raise UsageError(f"the preprocessing of {kind} is not known: {_ASK}")
    # A processor of transformers for texts and images holds the one for images.
    preprocess = getattr(preprocess, "image_processor", preprocess)
    if "pixel_values" in getattr(preprocess, "model_input_names", ()):
        preprocess = PixelValues(preprocess)
    if not callable(preprocess) and callable(getattr(preprocess, "transforms", None)):
        preprocess = preprocess.transforms()  # type: ignore[attr-defined]  # weights of torchvision
    if not callable(preprocess):
        raise UsageError(f"preprocess is a {_kind(preprocess)}; {_FORM}")
    name = getattr(preprocess, "__qualname__", None) or re.sub(
        r" at 0x[0-9a-f]+", "", repr(preprocess)
    )
    return preprocess, " ".join(name.split())


def _applied(transform: Callable[[Image], object], picture: Image) -> Tensor:
    try:
        tensor = transform(picture)
    except Exception as error:
        raise UsageError(f"preprocess failed on a picture: {in_words(error)}; {_FORM}") from error
    got = f"a {_kind(tensor)}"
    if isinstance(tensor, Tensor):
        if tensor.dtype == torch.float32 and tensor.ndim == 3 and tensor.shape[0] == 3:
            return tensor
        got = f"{[*tensor.shape]} of {str(tensor.dtype).removeprefix('torch.')}"
        if tensor.ndim == 3 and tensor.shape[0] == 1:
            got += ", and a module of grey images wants three equal channels here and [:, :1] first"
    raise UsageError(f"preprocess gives {got}; {_FORM}")


def _interpolation(transform: object) -> str:
    steps = getattr(transform, "transforms", None)
    for step in [transform, *(steps if isinstance(steps, list | tuple) else ())]:
        if (kind := getattr(step, "interpolation", None)) is not None:
            return str(getattr(kind, "value", kind))
    return "interpolation not known"

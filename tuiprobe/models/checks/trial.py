"""A trial of an encoder on a few images: that it gives vectors, and the same ones every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuiprobe.datasets.sample import Sample
from tuiprobe.errors import DataError, UnreadableImageError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.heads import Head
from tuiprobe.models.loaders.from_module import made_pictures
from tuiprobe.plugins import in_code
from tuiprobe.results.subject import TYPES, Check, CheckStatus

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuiprobe.datasets.dataset import Dataset

TRIAL_CHECKS = (
    "input size", "same answers", "pixel values", "one picture", "one representation", "outputs",
    TYPES,
)  # fmt: skip
"""Names of the checks that a trial makes."""

_IMAGES, _IMAGES_OF_LARGE, _LARGE = 8, 2, 30_000_000
"""Images of a trial, and of one of an encoder with so many parameters, whose passes are slow."""

_NOTICED, _REFUSED, _REFUSED_8_BIT = 0.02, 0.1, 0.5
"""Changes of a representation, as parts of its spread over images, that are said and refused.

The last is for dynamic quantisation, which scales activations by the largest of the batch.
"""

_ROUNDING = {torch.float32: 1e-4}
_ROUNDING_16 = 2e-2
"""Part of a representation's norm that rounding may change, by type; the second for 16 bits."""

_PIXELS, _TWICE = 30.0, 0.05
"""Values of images that are pixels from 0 to 255, or were divided by 255 twice."""

_INDEPENDENT = "the answer to an image must not depend on the others of its batch: use running "
_INDEPENDENT += "statistics in BatchNorm, and keep its forward from reshaping batches of one"
_DYNAMIC = "quantized.dynamic"
"""Part of the name of torch's package of dynamically quantised layers."""

_8_BIT = "dynamic quantisation scales activations by the largest of a batch: quantise statically"
REPEATED = "switch off what draws at random in its forward, such as F.dropout without "
REPEATED += "training=self.training, or seed it there"


def images_of_trial(encoder: Encoder) -> int:
    """Returns the batch size of a trial; the first image also goes through the encoder alone."""
    return _IMAGES_OF_LARGE if encoder.parameters() >= _LARGE else _IMAGES


def check_trial(encoder: Encoder, images: Tensor, head: Head | None = None) -> list[Check]:
    """Checks an encoder on some images.

    Args:
        encoder: The encoder.
        images: Preprocessed images of the data `[n, 3, H, W]`, n from 1 to `images_of_trial`.
        head: The head of the encoder.
    """
    size = encoder.preprocessing.size
    if tuple(images.shape[1:]) != (3, *size) or images.dtype != torch.float32:
        detail = f"preprocess gives {tuple(images.shape[1:])} {images.dtype}, not {(3, *size)}"
        return [_failed("input size", detail, "the preprocessing is of another model")]
    try:
        h = _encoded(encoder, images)
    except Exception as error:
        if out_of_memory(error) and len(images) > 1:
            return check_trial(encoder, images[:1], head)
        detail = f"its forward failed on images {(len(images), 3, *size)}: {in_code(error)}"
        return [_failed("input size", detail, "see whether these are images that it takes")]
    if tuple(h.shape) != (len(images), encoder.width):
        detail = f"h is {tuple(h.shape)}; expected {(len(images), encoder.width)}"
        return [_failed("input size", detail, "its forward must give one vector an image")]
    if not bool(h.isfinite().all(1).any()):
        detail = f"h of the first {len(images)} images is not finite"
        others = bool(_encoded(encoder, made_images(encoder)).isfinite().all(1).any())
        return [Check("input size", "warn" if others else "fail", detail, "try float32")]
    detail = f"{size[0]} x {size[1]}, h of {encoder.width} channels"
    checks = [Check("input size", "pass", detail)]
    checks += [_same_unbatched(encoder, images, h), *_odd_values(images, h, head)]
    if encoder.outputs:
        checks.append(Check("outputs", "warn", encoder.outputs))
    return checks


def made_images(encoder: Encoder) -> Tensor:
    """Returns two images for a trial without data: pictures of noise, or tensors of noise.

    Tensors where data give tensors, or pictures must have one size for the preprocessing.
    """
    size = (3, *encoder.preprocessing.size)
    if encoder.preprocessing.known:
        tensors = [encoder.preprocess(picture) for picture in made_pictures()]
        if encoder.loader != "py" or all(tuple(tensor.shape) == size for tensor in tensors):
            return torch.stack(tensors)
    return torch.randn(2, *size, generator=torch.Generator().manual_seed(0))


def _failed(name: str, detail: str, fix: str) -> Check:
    return Check(name, "fail", detail, fix)


def _encoded(encoder: Encoder, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return encoder.encode(images.clone()).cpu()  # a forward may change its input


def _same_unbatched(encoder: Encoder, images: Tensor, h: Tensor) -> Check:
    """Compares the first image alone with the first of all; says why they differ, if they do."""
    name = "same answers"
    try:
        unbatched = _encoded(encoder, images[:1])
    except Exception as error:
        detail = f"it takes {len(images)} images and not one alone: {in_code(error)}"
        return _failed(name, detail, _INDEPENDENT)
    if tuple(unbatched.shape) != (1, encoder.width):
        return _failed(name, f"h of one image alone is {tuple(unbatched.shape)}", _INDEPENDENT)
    change = _change(encoder, h[:1], unbatched, h)
    if change < _NOTICED:
        detail = f"one image alone gives the same as in a batch of {len(images)}"
        return Check(name, "pass", detail)
    again = _change(encoder, h, _encoded(encoder, images), h)
    detail, fix = "one image alone gives another representation than in a batch", _INDEPENDENT
    refused = _REFUSED
    if again >= _NOTICED:
        detail, fix = "the same images give other representations each time", REPEATED
        change = again
    elif any(_DYNAMIC in type(layer).__module__ for layer in encoder.module.modules()):
        fix, refused = _8_BIT, _REFUSED_8_BIT
    detail += f" (by {change:.0%} of the spread over images)"
    status: CheckStatus = "fail" if change >= refused else "warn"
    return Check(name, status, detail, fix)


def _change(encoder: Encoder, before: Tensor, after: Tensor, h: Tensor) -> float:
    """Returns the change of representations as a part of their spread; 0 for rounding."""
    finite = before.isfinite().all(1) & after.isfinite().all(1)
    if not bool(finite.any()):
        return 0.0
    moved = (after[finite] - before[finite]).norm(dim=1).max()
    rounding = _ROUNDING.get(encoder.dtype, _ROUNDING_16) * before[finite].norm(dim=1).max()
    return float(moved / max(_spread(h), float(rounding))) if moved > rounding else 0.0


def _spread(h: Tensor) -> float:
    """Returns the typical distance of a representation from their mean."""
    finite = h[h.isfinite().all(1)]
    return float((finite - finite.mean(0)).norm(dim=1).square().mean().sqrt())


def _odd_values(images: Tensor, h: Tensor, head: Head | None) -> Iterator[Check]:
    """Yields warnings of values that honest mistakes leave: pixels, one answer, probabilities."""
    largest = float(images.abs().nan_to_num(0).max())
    if largest > _PIXELS or 0 < largest < _TWICE:
        detail = f"preprocessed images have values up to {largest:.3g}"
        fix = (
            "see whether it was trained on pixels from 0 to 255, and not from 0 to 1 or normalised"
        )
        yield Check("pixel values", "warn", detail, fix)
    several = len(images) > 1
    if several and bool((images == images[:1]).all()):
        detail = f"the first {len(images)} images are one and the same after preprocessing"
        fix = "see whether its result depends on the picture"
        yield Check("one picture", "warn", detail, fix)
    elif several and _spread(h) <= 1e-5 * float(h.nan_to_num(0).norm(dim=1).mean()):
        detail = f"{len(images)} different images have one representation"
        fix = "see whether its weights were loaded, and its preprocessing keeps the picture"
        yield Check("one representation", "warn", detail, fix)
    if head is None or not torch.equal(head.weight, torch.eye(*head.weight.shape)):
        return  # a linear layer gives logits
    logits = head.logits(h[h.isfinite().all(1)])
    if bool(((logits >= 0) & (logits <= 1)).all()) and bool((logits != logits[:1]).any()):
        detail = f"all outputs for {len(logits)} images are from 0 to 1, as probabilities are"
        fix = (
            "confidence and calibration need logits: return them, or the logarithm of probabilities"
        )
        yield Check("outputs", "warn", detail, fix)


_FASTER = 1.3
"""How many times as fast bfloat16 must be to be mentioned."""

_FEW_PARAMETERS = 5_000_000
"""Parameters of an encoder below which the type of its products changes little."""

TIMED_IMAGES = 16
"""Images of a timed forward pass; with fewer a CPU shows too little of what bfloat16 saves."""

_COMPILED = ("torch.jit", "torch._dynamo")
"""Packages of modules that would be compiled again for another type."""


def check_types(
    encoder: Encoder,
    images: Tensor,
    answers: Callable[[NDArray[np.float32]], NDArray[np.int64]] | None = None,
    *,
    compare: bool = True,
) -> list[Check]:
    """Times an encoder in float32 and in bfloat16, and compares what both give.

    Args:
        encoder: The encoder, on a device that multiplies in bfloat16.
        images: Preprocessed images `[n, 3, H, W]`; they are timed by `TIMED_IMAGES`.
        answers: Returns the answers to representations `[n, C]`.
        compare: Whether these are images of the data, so that differences mean something.

    Returns:
        A check that recommends bfloat16; none where it is not 1.3 times as fast, where the encoder
        cannot compute in it, or where it is not worth timing.
    """
    if not worth_timing(encoder):
        return []
    try:
        seconds, h = _timed(encoder, images)
        with encoder.in_type(torch.bfloat16):
            seconds_16, h_16 = _timed(encoder, images)
    except Exception:  # not every module computes in every type
        return []
    finite = bool(h.isfinite().all()) and bool(h_16.isfinite().all())
    if seconds < _FASTER * seconds_16 or not finite:
        return []
    detail = f"bfloat16 is {seconds / seconds_16:.1f} times as fast here"
    if answers is not None:
        changed = answers(h.numpy()) != answers(h_16.numpy())
        detail += f" and changed {np.count_nonzero(changed)} of {len(images)} answers"
    elif compare:
        moved = float((h_16 - h).norm(dim=1).max()) / max(_spread(h), 1e-30)
        detail += f" and moved representations by up to {moved:.1%} of their spread"
    return [Check(TYPES, "pass", f"{detail}: --dtype bfloat16")]


def worth_timing(encoder: Encoder) -> bool:
    """Returns whether an encoder computes in float32, is not small and not compiled."""
    compiled = any(type(m).__module__.startswith(_COMPILED) for m in encoder.module.modules())
    large = encoder.parameters() >= _FEW_PARAMETERS
    return encoder.dtype == torch.float32 and large and not compiled


def _timed(encoder: Encoder, images: Tensor) -> tuple[float, Tensor]:
    """Returns the seconds of an image in the fastest pass, and the representations `[n, C]`."""
    _encoded(encoder, images[:1])  # the first pass in a type prepares others
    h, seconds = list[Tensor](), list[float]()
    for part in torch.split(images, TIMED_IMAGES):
        begin = perf_counter()
        h.append(_encoded(encoder, part))
        seconds.append((perf_counter() - begin) / len(part))
    return min(seconds), torch.cat(h)


def signature(encoder: Encoder) -> tuple[float, ...]:
    """Returns numbers that tell what a forward pass computes.

    They are the norm of the representations of two fixed inputs of noise, and their projections on
    fixed directions, in parts of the norm. Two devices differ in their last digits; see `agree`.
    """
    draws = np.random.RandomState(0)
    images = torch.from_numpy(draws.standard_normal((2, 3, *encoder.preprocessing.size))).float()
    try:
        h = _encoded(encoder, images).double().nan_to_num(0, 0, 0).flatten().numpy()
    except Exception:  # preflight says so
        return ()
    norm = float(np.linalg.norm(h))
    directions = draws.choice([-1.0, 1.0], (_DIRECTIONS, h.size))
    return (norm, *(directions @ h / (norm or 1.0)).tolist())


_DIRECTIONS = 12


def agree(one: Sequence[float], other: Sequence[float], dtype: torch.dtype) -> bool:
    """Returns whether two signatures are of one forward pass, rounding aside."""
    near = 10 * _ROUNDING.get(dtype, _ROUNDING_16 / 5)
    return len(one) == len(other) and bool(np.allclose(one, other, rtol=near, atol=near))


def rounded(signature: Sequence[float]) -> list[str]:
    """Returns a signature in so few digits that rounding rarely changes any.

    >>> rounded((12.3456, 0.5678, -0.0001))
    ['1.23e+01', '0.57', '0.00']
    """
    if not len(signature):
        return []
    return [f"{signature[0]:.2e}", *(f"{round(x, 2) + 0.0:.2f}" for x in signature[1:])]


def out_of_memory(error: BaseException | None) -> bool:
    """Returns whether an error means that memory ran out."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "DefaultCPUAllocator" in str(error)  # on CPU torch has no specific error type
    )


def first_pictures(dataset: Dataset, count: int = 2) -> list[Image]:
    """Returns the first readable pictures of a data set; the only one as often as asked for."""
    pictures: list[Image] = []
    for sample in dataset.samples[:_MOST_TRIED]:
        with suppress(UnreadableImageError):
            pictures.append(dataset.read(sample).image())
        if len(pictures) == count:
            break
    return (pictures * count)[:count]


_MOST_TRIED = 32


def first_tensors(encoder: Encoder, dataset: Dataset, samples: Sequence[Sample]) -> Tensor | None:
    """Returns the first readable images of a data set as an encoder takes them.

    Args:
        encoder: The encoder.
        dataset: The data set.
        samples: Its images, in the order in which they are measured.

    Returns:
        `[n, 3, H, W]`, n at most `images_of_trial`.

    Raises:
        DataError: If the preprocessing fails, or gives tensors of two sizes.
    """
    tensors: list[tuple[str, Tensor]] = []
    for sample in samples[: images_of_trial(encoder)]:
        try:
            content = dataset.read(sample)
            picture = None if content.prepared is not None else content.image()
        except UnreadableImageError:
            continue
        if picture is None:
            tensors.append((sample.path, content.prepared))
            continue
        try:
            tensors.append((sample.path, encoder.preprocess(picture)))
        except Exception as error:  # the user's code may raise anything
            raise DataError(f"preprocess failed on {sample.path}: {in_code(error)}") from error
    refuse_two_sizes(tensors)
    return torch.stack([tensor for _, tensor in tensors]) if tensors else None


def refuse_two_sizes(tensors: Sequence[tuple[str, Tensor]]) -> None:
    """Refuses pictures, each with its path, of which preprocessing makes tensors of two sizes.

    Raises:
        DataError: If there are any; names the first one of each size.
    """
    for path, tensor in tensors:
        first, made = tensors[0]
        if tensor.shape != made.shape:
            raise DataError(
                f"preprocess gives {[*made.shape]} for {first} and {[*tensor.shape]} for {path}; "
                "put torchvision.transforms.Resize((H, W)) before it"
            )

"""Linear heads: the classifier of a model, or one from a file."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuiprobe.catalog.class_names import imagenet_names
from tuiprobe.datasets.torchfiles.archives import DAMAGED, open_archive
from tuiprobe.errors import WeightsError
from tuiprobe.files import DIGEST_BYTES, open_regular
from tuiprobe.limits import HEAD_BYTES, LARGEST_WEIGHT
from tuiprobe.models.loaders.checkpoints import Checkpoint, converts, read_checkpoint
from tuiprobe.models.loaders.wrappers import class_names
from tuiprobe.plaintext import first_line
from tuiprobe.results.subject import FITTED_CONTENTS

_WEIGHTS = ("weight", "W", "coef_", "fc.weight", "head.weight", "classifier.weight")
"""Names of the weight tensor, alone or as the last layer of a model."""

_BIASES = {"W": "b", "coef_": "intercept_"}
"""Names of the bias, where it is not `bias` in place of `weight`."""


@dataclass(frozen=True)
class Head:
    """A linear head over the representation h.

    Attributes:
        weight: W, float32 `[classes, width]`.
        bias: float32 `[classes]`.
        classes: Class names, in the order of the rows.
        templates: Prompt templates of a zero-shot head; empty otherwise.
        normalize: Whether logits are `W h / |h|` (zero-shot) or `W h + bias`.
        source: Where the head comes from, for the report.
        logit_scale: What logits are multiplied by before the softmax: exp of a CLIP's trained
            parameter. None if unknown, and for classifiers.
        logit_bias: What is added after that (SigLIP).
        named: Whether the user gave the names of the rows, which may be numbers.
        names_from: What in the file names the rows, besides the weights.
        note: What a user must know of how the file was read.
        regression: Whether scores are those of a regression on one-hot labels.
        fitted_to: uint8 `[m, 32]`, SHA-256 of the images that another run fitted it to.
    """

    weight: Tensor
    bias: Tensor | None
    classes: tuple[str, ...]
    templates: tuple[str, ...] = ()
    normalize: bool = False
    source: str = ""
    logit_scale: float | None = None
    logit_bias: float = 0.0
    named: bool = False
    names_from: str = ""
    note: str = ""
    regression: bool = False
    fitted_to: NDArray[np.uint8] | None = None

    def logits(self, h: Tensor) -> Tensor:
        """Computes logits `[B, classes]` from h `[B, width]`.

        >>> head = Head(torch.eye(2), None, ("a", "b"), normalize=True)
        >>> head.logits(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
        """
        if self.normalize:
            h = h / h.norm(dim=-1, keepdim=True)
        return nn.functional.linear(h.to(self.weight.dtype), self.weight, self.bias)


def classifier_head(layer: nn.Linear) -> Head:
    """Returns the classifier of a model; 1,000 rows are ImageNet's classes, others have numbers.

    One row is read as the log-odds of the second of two classes, as a sigmoid reads it.
    """
    weight: Tensor = layer.weight.detach().float().cpu()
    bias: Tensor | None = None if layer.bias is None else layer.bias.detach().float().cpu()
    count, source = len(weight), f"classifier, {len(weight)} classes"
    if count == 1:
        weight, bias = _two_rows(weight, bias)
        count, source = 2, "classifier, one output as the log-odds of the second class"
    classes = imagenet_names() if count == 1000 else tuple(str(i) for i in range(count))
    return Head(weight, bias, classes, source=source)


def classifier_of_file(layer: nn.Linear, file: Checkpoint, source: str, h: Tensor) -> Head:
    """Returns the classifier of a model whose weights come from a file, with the names it gives.

    Args:
        layer: The classifier.
        file: The file.
        source: Its name in messages.
        h: Representations `[n, width]`; they tell whether a ReLU before the layer would matter.
    """
    head = with_names(classifier_head(layer), file.metadata, source)
    if not file.behind:
        return head
    matters = bool((h < 0).any())
    read_as = "a dropout, not a ReLU" if matters else "a dropout or ReLU"
    note = "with another layer there answers would differ; py:FILE.py:NAME loads it as is"
    source = f"{head.source}, {file.behind} read as behind {read_as}"
    return replace(head, source=source, note=note if matters else "")


def _ambiguous(layer: str, source: str) -> WeightsError:
    name = re.sub(r"\.?\d+$", "", layer)
    names = f"{name}.weight and {name}.bias" if name else "weight and bias"
    return WeightsError(
        f"{layer} of {source} is behind a layer without weights, and the file does not say which: "
        f"a dropout changes nothing, another function does. If it is a dropout, save the layer as "
        f"{names}; else load the model in a file of yours (py:FILE.py:NAME)"
    )


def with_names(head: Head, metadata: Mapping[str, object], source: str) -> Head:
    """Returns a head with the names of its rows, if other values in its file give them.

    The arguments are those of `class_names`.
    """
    names, names_from = class_names(metadata, len(head.classes), source)
    return replace(head, classes=names, names_from=names_from) if names else head


def joined_classifier(layers: Sequence[nn.Module], width: int) -> nn.Linear | None:
    """Returns one linear layer that gives the mean of several, by their logits of unit vectors.

    Args:
        layers: Each takes its part of h, one after the other, or all of it.
        width: Channels of h.

    Returns:
        The layer, which is right only if they are linear, unless they take something else.
    """
    matrices = [[p for p in layer.parameters() if p.ndim > 1] for layer in layers]
    if not layers or not all(matrices):
        return None
    widths = [of_layer[-1].shape[1] for of_layer in matrices]
    apart = len(layers) > 1 and sum(widths) == width
    if not apart and set(widths) != {width}:
        return None
    if isinstance(layers[0], nn.Linear) and len(layers) == 1:
        return layers[0]
    vectors = torch.cat([torch.zeros(1, width), torch.eye(width)]).double()
    read = torch.split(vectors, widths, 1) if apart else [vectors] * len(layers)
    try:
        logits = torch.stack([*map(_logits, layers, read)]).mean(0)
    except Exception:  # of maps
        return None
    layer = nn.Linear(width, logits.shape[1])
    layer.bias.data.copy_(logits[0])
    layer.weight.data.copy_((logits[1:] - logits[0]).T)
    return layer


def _logits(layer: nn.Module, vectors: Tensor) -> Tensor:
    """Applies a layer in float64 to vectors `[n, C]`; a convolution takes them as 1 x 1 maps."""
    layer = copy.deepcopy(layer).double()
    pointwise = any(isinstance(part, nn.Conv2d) for part in layer.modules())
    logits: Tensor = layer(vectors[:, :, None, None] if pointwise else vectors)
    return logits.flatten(1)


def _two_rows(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Returns the rows of two classes whose logits differ by the log-odds that one row gives."""
    halves = torch.tensor([[-0.5], [0.5]])
    return halves * weight, None if bias is None else halves[:, 0] * bias


def head_from_file(path: Path, *, width: int) -> Head:
    """Reads a linear head: `weight [K, width]` and optionally `bias [K]`.

    A matrix `[width, K]` is transposed where it fits in no other way, and one row is read as the
    log-odds of the second of two classes; `source` says so. Arrays of NumPy may be named as
    scikit-learn does, `coef_` and `intercept_`. The `head.safetensors` of a run also tells the
    names of its rows. A file with `logit_scale`, one number, holds a zero-shot head: its logits are
    `logit_scale * W h / |h| + logit_bias`. The number is the factor itself (100), not its
    logarithm.

    Args:
        path: A safetensors, `.pt`, `.pth`, `.bin`, `.npz` or `.npy` file.
        width: Channels of the representation.

    Raises:
        WeightsError: If the file lacks the tensors, or their values are invalid.
    """
    state = _arrays(path) if path.suffix in (".npy", ".npz") else read_checkpoint(path)
    name = _name_of_weight(state, path)
    weight, source = _matrix(_float32(state[name], name, path), width, path)
    bias_name = _BIASES.get(name, name.removesuffix("weight") + "bias")
    bias = _float32(state[bias_name], bias_name, path) if bias_name in state else None
    bias = bias.reshape(1) if bias is not None and bias.numel() == 1 else bias
    if bias is not None and tuple(bias.shape) != (len(weight),):
        raise WeightsError(f"the bias in {path} is {tuple(bias.shape)}, not ({len(weight)},)")
    scale, shift = (_number(state, name, path) for name in ("logit_scale", "logit_bias"))
    if len(weight) == 1 and scale is None:
        weight, bias = _two_rows(weight, bias)
        source += ", one row as the log-odds of the second class"
    _refuse_values(weight, bias, path)
    fitted = state.get(FITTED_CONTENTS)
    if fitted is not None and (fitted.ndim != 2 or fitted.shape[1] != DIGEST_BYTES):
        raise WeightsError(
            f"{path} does not say, in the form of a run, which images it was fitted to"
        )
    if scale is not None and scale <= 0:
        raise WeightsError(f"logit_scale in {path} is {scale:g}; it is a factor above 0")
    if scale is not None and bias is not None:
        raise WeightsError(
            f"{path} holds {bias_name} and logit_scale: a zero-shot head has one logit_bias, "
            "not a bias for each class"
        )
    head = Head(
        weight,
        bias,
        tuple(map(str, range(len(weight)))),
        normalize=scale is not None or state.metadata.get("normalize") is True,
        regression=state.metadata.get("regression") is True,
        source=source,
        logit_scale=scale,
        logit_bias=shift or 0.0,
        fitted_to=None if fitted is None else fitted.to(torch.uint8).numpy(),
    )
    return with_names(head, state.metadata, str(path))


def _matrix(weight: Tensor, width: int, path: Path) -> tuple[Tensor, str]:
    """Returns the weight with one row per class, and where it comes from."""
    shape, source = tuple(weight.shape), str(path)
    weight = weight[None] if weight.ndim == 1 else weight
    if weight.ndim == 2 and weight.shape[0] == width != weight.shape[1]:
        weight, source = weight.T.contiguous(), f"{source}, {shape} transposed"
    if weight.ndim != 2 or weight.shape[1] != width:
        raise WeightsError(
            f"the head in {path} is {shape}; it must have one row a class of {width}"
        )
    return weight, source


def _refuse_values(weight: Tensor, bias: Tensor | None, path: Path) -> None:
    values = weight if bias is None else torch.cat([weight.flatten(), bias])
    if not bool(values.isfinite().all()):
        raise WeightsError(f"the head in {path} holds values that are not finite")
    if bool(values.abs().gt(LARGEST_WEIGHT).any()):
        raise WeightsError(f"the head in {path} holds values above {LARGEST_WEIGHT:g}")
    if not bool(weight.any()):
        raise WeightsError(f"the head in {path} holds nothing but zeros; pass a trained one")


def _name_of_weight(state: Checkpoint, path: Path) -> str:
    """Returns the name of the weight of the linear layer that a file is, or a model in it ends in.

    Raises:
        WeightsError: If there is none, or other layers belong to it.
    """
    if name := next((n for n in _WEIGHTS if n in state), ""):
        return name
    matrices = [name for name, tensor in state.items() if tensor.ndim == 2]
    found = [match for name in matrices if (match := _LAYER.fullmatch(name))]
    if len(found) != 1 or (not found[0]["name"] and len(matrices) > 1):
        raise WeightsError(
            f"{path} holds no head, or several layers; expected one of {', '.join(_WEIGHTS)}"
        )
    if found[0]["index"] not in (None, "0"):
        raise _ambiguous(found[0]["layer"], str(path))
    return found[0][0]


_LAYER = re.compile(
    r"(?P<layer>(.*\.)?(?P<name>heads\.head|head\.fc|fc|head|classifier|linear|last_linear)?"
    r"\.?(?P<index>\d+)?)\.weight"
)
"""Names of a last layer in libraries and training code, also as part of a Sequential."""


def _arrays(path: Path) -> Checkpoint:
    """Reads the arrays of numbers and the texts of a file of NumPy.

    A single array is `weight`.

    Raises:
        WeightsError: If it is missing, damaged, too large, or would run code.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with open_regular(path) as file:
            if path.suffix == ".npy":
                arrays["weight"] = np.lib.format.read_array(file, allow_pickle=False)
            else:
                archive = open_archive(file)
                if sum(entry.file_size for entry in archive.infolist()) > HEAD_BYTES:
                    raise ValueError(f"its arrays take more than {HEAD_BYTES:,} bytes")
                for name in archive.namelist():
                    with archive.open(name) as member:
                        array = np.lib.format.read_array(member, allow_pickle=False)
                    arrays[name.removesuffix(".npy")] = array
    except FileNotFoundError as error:
        raise WeightsError(f"there is no file {path} of a head; check its path") from error
    except DAMAGED as error:
        raise WeightsError(f"{path} cannot be read as arrays ({first_line(error)})") from error
    tensors = {
        name: torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
        for name, array in arrays.items()
        if array.dtype.name in _NUMBERS
    }
    texts = {name: array.tolist() for name, array in arrays.items() if array.dtype.kind == "U"}
    return Checkpoint(tensors, metadata=texts)


_NUMBERS = ("float16", "float32", "float64", "int32", "int64")
"""Types of arrays that are read as numbers."""


def _number(state: Mapping[str, Tensor], name: str, path: Path) -> float | None:
    """Returns a tensor of one finite number."""
    if name not in state:
        return None
    value = _float32(state[name], name, path)
    if value.numel() != 1 or not bool(value.isfinite().all()):
        raise WeightsError(f"{name} in {path} is not one finite number")
    return float(value)


def _float32(tensor: Tensor, name: str, path: Path) -> Tensor:
    if not converts(tensor, torch.float32):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(
            f"{name} in {path} is {kind}; a head has float32, float16, bfloat16 or float64"
        )
    return tensor.float()

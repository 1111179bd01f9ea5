"""Loads the encoder that a user names; stored vectors get one that encodes nothing."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from tuiprobe.catalog.published_models import Preset, all_published, presets, right_spec
from tuiprobe.errors import RunError, TuiprobeError, UsageError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, Representation, Training, WeightsInfo
from tuiprobe.models.loaders.checkpoints import step_for
from tuiprobe.models.registry import LOADERS, ModelRequest, model_forms
from tuiprobe.plugins import in_words

if TYPE_CHECKING:
    from PIL.Image import Image

_CHANNELS_LAST = ("open_clip", "timm", "torchvision")
"""Loaders of libraries whose models run with channels last; the code of others might not."""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_encoder(
    spec: str,
    *,
    checkpoint: Path | str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    classes: tuple[str, ...] = (),
) -> Encoder:
    """Loads a vision encoder, with exactly the requested weights or not at all.

    Only presets without a public checkpoint are built untrained; `weights.kind` then says so.

    Args:
        spec: A preset such as `rn50_openai`, or `open_clip:ARCH/TAG`, `timm:NAME`,
            `torchvision:NAME/WEIGHTS`, `py:FILE.py:NAME`; for open_clip and timm also
            `hf-hub:OWNER/NAME` and `local-dir:FOLDER`; or `answers:FILE.csv`. An open_clip spec
            may end in `@gelu` or `@quickgelu` to force an activation, a timm spec in `@288` for
            its test size.
        checkpoint: File whose weights replace the published ones.
        device: `cpu`, `cuda` or `cuda:N`.
        dtype: `float32`, `float16` or `bfloat16`.
        classes: Names of the classes of the pictures, for a model that answers by name.

    Raises:
        UsageError: If the spec is invalid.
        WeightsError: If weights are missing, damaged or of another architecture.
    """
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}; one of {', '.join(DTYPES)}")
    if not isinstance(spec, str):
        raise UsageError(f"a model is named by text, such as {model_forms()}, not by {spec!r}")
    try:
        torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"there is no device {device!r}; name cpu, cuda or cuda:N") from error
    path = Path(checkpoint) if checkpoint is not None else None
    encoder = _load(spec, path, device, DTYPES[dtype], classes)
    encoder.training = _training(encoder)
    if encoder.loader in _CHANNELS_LAST:
        encoder.use_channels_last()
    return encoder


def _load(
    spec: str, path: Path | None, device: str, kind: torch.dtype, classes: tuple[str, ...]
) -> Encoder:
    scheme, colon, rest = spec.partition(":")
    preset = None if colon else _preset(spec)
    if preset is not None:
        scheme, _, rest = preset.spec.partition(":")
    if not rest:
        raise UsageError(f"{spec!r} names no model; name one as {model_forms()}")
    loader = LOADERS.get(scheme)
    if loader is None:
        raise UsageError(
            f"unknown kind of model {scheme!r} in {spec!r}; name one as {model_forms()}"
        )
    if path is not None and not loader.takes_checkpoint:
        raise UsageError(f"{spec} brings its weights: leave out --checkpoint")
    untrained = preset is not None and not preset.public and path is None
    request = ModelRequest(spec, rest, preset, path, device, kind, untrained, classes)
    package = LOADERS.package_of(scheme)
    if package is None:
        return loader.load(request)
    try:
        encoder = loader.load(request)
    except TuiprobeError:
        raise
    except Exception as error:
        raise RunError(f"{request.name} failed in {package}: {in_words(error)}") from error
    if not isinstance(encoder, Encoder):
        raise RunError(
            f"{request.name}: {package} returned a {type(encoder).__name__}; it must return a "
            "tuiprobe.models.Encoder"
        )
    encoder.name, encoder.loader = request.name, request.name.partition(":")[0]
    encoder.move(request.device, request.dtype)
    return encoder


def _preset(name: str) -> Preset:
    preset = presets().get(name)
    if preset is not None:
        return preset
    kind = PurePath(name).suffix
    if kind in (".pt", ".pth", ".bin", ".safetensors", ".py"):
        content = "a file of Python" if kind == ".py" else "weights, and no architecture"
        raise UsageError(
            f"{name!r} is {content}: for a module of your own write py:FILE.py:NAME, for one of a "
            "library --model NAME --checkpoint FILE"
        )
    if step := step_for(Path(name)):
        raise UsageError(step)
    specs = [m.spec for m in all_published().values() if m.architecture == name]
    near = get_close_matches(name, presets(), n=3, cutoff=0.5)
    near = near or [right_spec(spec) for spec in specs[:3]]
    hint = f"did you mean {' or '.join(near)}?" if near else f"name one as {model_forms()}"
    raise UsageError(f"there is no preset {name!r}; {hint}")


def _training(encoder: Encoder) -> Training:
    """Returns the training of an encoder: that of the preset of its weights, if there is one."""
    named = presets().get(encoder.name)
    if named is None and encoder.weights.kind == "pretrained" and encoder.tag is not None:
        weights = (encoder.loader, encoder.architecture, encoder.tag)
        same = (p for p in presets().values() if (p.loader, p.architecture, p.tag) == weights)
        named = next(same, None)
    return encoder.training if named is None else cast(Training, named.training)


IDENTITY = "embeddings"
"""Loader of the encoder of stored vectors."""


def identity_encoder(
    name: str,
    *,
    source: str,
    digest: str,
    width: int,
    representation: Representation,
    training: Training,
) -> Encoder:
    """Returns the encoder of stored vectors.

    Args:
        name: Name in the report.
        source: What the user typed for the vectors.
        digest: Digest of the vectors, in place of that of weights.
        width: Channels of the vectors.
        representation: Kind of the vectors, by the user.
        training: How their encoder was trained, by the user.
    """
    module = nn.Identity()
    return Encoder(
        name=name,
        architecture="not known",
        representation=representation,
        training=training,
        width=width,
        weights=WeightsInfo(kind="unknown", source=source, digest=digest),
        preprocessing=PreprocessingInfo(
            size=(0, 0), mean=(), std=(), interpolation="", source=source, known=False
        ),
        module=module,
        preprocess=_refuse,
        forward=module,
        loader=IDENTITY,
    )


def _refuse(image: Image) -> Tensor:
    raise RunError("vectors were given and not their encoder: no image can be measured")

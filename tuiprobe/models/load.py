"""Loads the encoder that a user names, and fetches its files for use without a network.

Stored vectors get an encoder that encodes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from tuiprobe.catalog.class_names import imagenet_names, read_classes
from tuiprobe.catalog.published_models import Preset, all_published, presets, right_spec
from tuiprobe.errors import RunError, TuiprobeError, UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, Representation, Training, WeightsInfo
from tuiprobe.models.loaders.checkpoints import step_for
from tuiprobe.models.loaders.published_weights import sha256, unpublished
from tuiprobe.models.prompt_heads import PromptProgress, read_templates
from tuiprobe.models.registry import LOADERS, ModelRequest, model_forms
from tuiprobe.plaintext import similar_names
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
        spec: A preset like `rn50_openai`, or `open_clip:ARCH/TAG`, `timm:NAME`,
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
    near = similar_names(name, presets(), cutoff=0.5) or [right_spec(spec) for spec in specs[:3]]
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


@dataclass(frozen=True)
class Fetched:
    """One file that a model needs.

    Attributes:
        model: The spec it belongs to.
        path: Path in the cache.
        size: Bytes.
        sha256: SHA-256 of its content.
    """

    model: str
    path: Path
    size: int
    sha256: str


def fetch(name: str) -> tuple[Fetched, ...]:
    """Caches weights, configuration and tokenizer of a model; only checks files already cached.

    Args:
        name: A preset, `open_clip:ARCH/TAG`, `timm:NAME`, `torchvision:NAME/WEIGHTS`, or
            `hf-hub:OWNER/NAME` of open_clip or timm.

    Raises:
        UsageError: If the name is not that of published weights.
        WeightsError: If a file is unavailable or damaged.
    """
    preset = presets().get(name)
    if preset is not None and not preset.public:
        raise WeightsError(f"{name} has no public checkpoint; pass --checkpoint FILE to its runs")
    spec = preset.spec if preset is not None else name
    scheme, _, rest = spec.partition(":")
    loader = LOADERS.get(scheme)
    if loader is None or loader.fetch is None:
        raise unpublished(name, spec)
    files = loader.fetch(spec, rest)
    return tuple(Fetched(spec, f, f.stat().st_size, sha256(f)) for f in files)


def fetch_head(
    name: str,
    *,
    device: str,
    classes: str | None = None,
    templates: Path | None = None,
    progress: PromptProgress | None = None,
) -> Fetched | None:
    """Builds the zero-shot head of a fetched model, and keeps it in the cache of heads.

    Args:
        name: A fetched model.
        device: Where prompts are encoded.
        classes: Class names as `--classes` takes them; None for those of ImageNet.
        templates: File with prompt templates; None for those of the model.
        progress: Called while the head is built.

    Returns:
        The file; None for a model without a text tower.

    Raises:
        UsageError: If a file cannot be used.
        WeightsError: If the model cannot be loaded, or a cached head is damaged.
    """
    names = read_classes(classes) if classes is not None else imagenet_names()
    prompts = read_templates(templates) if templates is not None else None
    encoder = load_encoder(name, device=device)
    if encoder.text is None:
        return None
    head = encoder.head(names, prompts, progress=progress)
    assert head is not None, "a text tower builds a head"
    path = encoder.publish_head(head)
    return Fetched(name, path, path.stat().st_size, path.stem)


def filled_folders(files: Iterable[Fetched]) -> dict[Path, int]:
    """Returns the folders to copy to another machine, with the bytes that each holds.

    A folder is a repository in the cache of the Hugging Face hub, or the folder that a file lies
    in: that of a head, or the one where open_clip or torch keeps what it downloads from URLs.
    """
    sizes = {}
    for file in files:
        above = file.path.parents
        folder = next((path for path in above if path.name.startswith("models--")), above[0])
        if folder not in sizes:
            contents = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
            sizes[folder] = sum(path.stat().st_size for path in contents)
    return sizes

"""From what a user types to an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

from tuiprobe.catalog.names import all_published, right_spec
from tuiprobe.catalog.presets import Preset, near_presets, presets
from tuiprobe.errors import UsageError
from tuiprobe.models import (
    from_callable,
    from_miniature,
    from_open_clip,
    from_timm,
    from_torchvision,
)
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.open_clip_source import Request
from tuiprobe.results.subject import Training

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_SCHEMES = (
    "a preset, open_clip:ARCH/TAG, timm:NAME, torchvision:NAME/WEIGHTS, py:MODULE:FUNCTION; "
    "open_clip and timm also take hf-hub:OWNER/NAME and local-dir:FOLDER"
)


def load_encoder(
    spec: str,
    *,
    checkpoint: Path | str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> Encoder:
    """Loads a vision encoder: with exactly the weights asked for, or not at all.

    Only presets without a public checkpoint are built untrained, and then
    ``weights.kind`` says so.

    Args:
        spec: A preset such as ``rn50_openai``, or ``open_clip:ARCH/TAG``, ``timm:NAME``,
            ``torchvision:NAME/WEIGHTS``, ``py:MODULE:FUNCTION``; for open_clip and timm also
            ``hf-hub:OWNER/NAME`` and ``local-dir:FOLDER``. An open_clip spec may end in ``@gelu``
            or ``@quickgelu`` to insist on an activation, a timm one in ``@288`` for its test size.
        checkpoint: File whose weights replace the published ones.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``float32``, ``float16`` or ``bfloat16``.

    Raises:
        UsageError: If the spec cannot be understood.
        WeightsError: If weights are missing, damaged or of another architecture.
    """
    if dtype not in _DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}; one of {', '.join(_DTYPES)}")
    path = Path(checkpoint) if checkpoint is not None else None
    encoder = _load(spec, path, device, _DTYPES[dtype])
    encoder.training = _training(encoder)
    return encoder


def _load(spec: str, path: Path | None, device: str, kind: torch.dtype) -> Encoder:
    scheme, colon, rest = spec.partition(":")
    if not colon:
        return _load_preset(spec, path, device, kind)
    if not rest:
        raise UsageError(f"{spec!r} names no model; name one as {_SCHEMES}")
    if scheme == "open_clip":
        wanted = open_clip_request(spec, rest, path)
        return from_open_clip.load(wanted, device=device, dtype=kind)
    if scheme == "timm":
        return from_timm.load(timm_request(spec, rest, path), device=device, dtype=kind)
    if scheme == "torchvision":
        architecture, _, tag = rest.partition("/")
        vision = from_torchvision.Request(spec, architecture, tag or None, path)
        return from_torchvision.load(vision, device=device, dtype=kind)
    if scheme == "py":
        if path is not None:
            raise UsageError(f"{spec} builds its own weights; --checkpoint does not go with it")
        return from_callable.load(spec, rest, device=device, dtype=kind)
    raise UsageError(f"unknown kind of model {scheme!r} in {spec!r}; name one as {_SCHEMES}")


def _load_preset(name: str, path: Path | None, device: str, dtype: torch.dtype) -> Encoder:
    preset = presets().get(name)
    if preset is None:
        near = near_presets(name) or _specs_of(name)
        hint = f"did you mean {' or '.join(near)}?" if near else f"name one as {_SCHEMES}"
        raise UsageError(f"there is no preset {name!r}; {hint}")
    untrained = not preset.public and path is None
    if preset.loader == "open_clip":
        wanted = Request(
            name=name,
            architecture=preset.architecture,
            tag=preset.tag,
            checkpoint=path,
            untrained=untrained,
            preprocess_source=_assumed(preset),
        )
        return from_open_clip.load(wanted, device=device, dtype=dtype)
    if preset.loader == "timm":
        architecture = f"{preset.architecture}.{preset.tag}"
        return from_timm.load(
            from_timm.Request(name, architecture, checkpoint=path), device=device, dtype=dtype
        )
    return from_miniature.load(name, path, device=device, dtype=dtype)


def _training(encoder: Encoder) -> Training:
    """Returns how an encoder was trained, as its preset has it, also if it is spelt otherwise."""
    asked = (encoder.loader, encoder.architecture, encoder.tag)
    for one in presets().values():
        spelt = encoder.weights.kind == "pretrained" and one.tag is not None
        if one.name == encoder.name or (spelt and (one.loader, one.architecture, one.tag) == asked):
            return cast(Training, one.training)
    return encoder.training


def _specs_of(architecture: str) -> list[str]:
    """Returns some specs of a library's architecture that was named without its library.

    >>> _specs_of("ViT-B-16")[0]
    'open_clip:ViT-B-16-quickgelu/openai'
    """
    published = all_published().values()
    return [right_spec(one.spec) for one in published if one.architecture == architecture][:3]


def _assumed(preset: Preset) -> str | None:
    """Returns what to say of a preset's preprocessing where no published weights vouch for it."""
    if preset.tag is not None:
        return None
    return f"preprocessing assumed: preset {preset.name}, {preset.normalization}'s mean and std"


def open_clip_request(spec: str, rest: str, checkpoint: Path | None) -> Request:
    """Splits ``ARCH[/TAG][@ACTIVATION]``, ``hf-hub:OWNER/NAME`` or ``local-dir:FOLDER``.

    >>> open_clip_request("", "ViT-B-16/openai@gelu", None).activation
    'gelu'
    >>> open_clip_request("", "hf-hub:laion/model", None).architecture
    'hf-hub:laion/model'
    """
    if rest.startswith(("hf-hub:", "local-dir:")):
        return Request(spec, rest, checkpoint=checkpoint)
    named, _, activation = rest.partition("@")
    if activation not in ("", "gelu", "quickgelu"):
        raise UsageError(f"unknown activation {activation!r} in {spec!r}; gelu or quickgelu")
    architecture, _, tag = named.partition("/")
    return Request(spec, architecture, tag or None, activation or None, checkpoint)


def timm_request(spec: str, rest: str, checkpoint: Path | None) -> from_timm.Request:
    """Splits ``NAME[.TAG][@gelu|@SIZE]``, ``hf-hub:OWNER/NAME`` or ``local-dir:FOLDER``.

    >>> timm_request("", "resnet50.a1_in1k@288", None).size
    288
    """
    if rest.startswith(("hf-hub:", "local-dir:")):
        return from_timm.Request(spec, rest, checkpoint=checkpoint)
    name, _, option = rest.partition("@")
    if option not in ("", "gelu") and not option.isdigit():
        raise UsageError(
            f"cannot understand @{option} in {spec!r}; write @gelu or a size in pixels"
        )
    return from_timm.Request(
        spec,
        name,
        activation="gelu" if option == "gelu" else None,
        size=int(option) if option.isdigit() else None,
        checkpoint=checkpoint,
    )

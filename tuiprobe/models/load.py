"""From what a user types to an encoder."""

from __future__ import annotations

from pathlib import Path

import torch

from tuiprobe.errors import UsageError
from tuiprobe.models import from_open_clip, from_timm
from tuiprobe.models.encoder import Encoder

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_SCHEMES = "open_clip:ARCH/TAG, timm:NAME"


def load_encoder(
    spec: str,
    *,
    checkpoint: Path | str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> Encoder:
    """Loads a vision encoder: with exactly the weights asked for, or not at all.

    Args:
        spec: ``open_clip:ARCH/TAG``, ``open_clip:ARCH`` with a checkpoint, or ``timm:NAME``. An
            open_clip spec may end in ``@gelu`` or ``@quickgelu`` to insist on an activation.
        checkpoint: File whose weights replace the published ones.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``float32``, ``float16`` or ``bfloat16``.

    Raises:
        UsageError: If the spec cannot be understood.
        WeightsError: If weights are missing, damaged or of another architecture.
    """
    if dtype not in _DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}; one of {', '.join(_DTYPES)}")
    scheme, colon, rest = spec.partition(":")
    if not colon or not rest:
        raise UsageError(f"cannot tell what model {spec!r} is; name one as {_SCHEMES}")
    path = Path(checkpoint) if checkpoint is not None else None
    if scheme == "open_clip":
        request = open_clip_request(spec, rest, path)
        return from_open_clip.load(request, device=device, dtype=_DTYPES[dtype])
    if scheme == "timm":
        wanted = from_timm.Request(spec, rest, path)
        return from_timm.load(wanted, device=device, dtype=_DTYPES[dtype])
    raise UsageError(f"unknown kind of model {scheme!r} in {spec!r}; name one as {_SCHEMES}")


def open_clip_request(spec: str, rest: str, checkpoint: Path | None) -> from_open_clip.Request:
    """Splits ``ARCH[/TAG][@ACTIVATION]``.

    >>> open_clip_request("", "ViT-B-16/openai@gelu", None).activation
    'gelu'
    """
    named, _, activation = rest.partition("@")
    if activation not in ("", "gelu", "quickgelu"):
        raise UsageError(f"unknown activation {activation!r} in {spec!r}; gelu or quickgelu")
    architecture, _, tag = named.partition("/")
    return from_open_clip.Request(
        spec, architecture, tag or None, activation or None, checkpoint=checkpoint
    )

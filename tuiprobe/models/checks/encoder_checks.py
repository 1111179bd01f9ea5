"""Preflight: checks that an encoder has the right weights, activation and preprocessing.

Each check compares the encoder with what the catalog or the library says about the weights. If
neither says anything, the check warns; it never passes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from tuiprobe.catalog.published_models import NORMALIZATIONS, presets, published
from tuiprobe.errors import TuiprobeError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import measured_normalisation, pooling_of
from tuiprobe.results.subject import Check


def crashed(name: str, encoder: Encoder, error: Exception) -> Check:
    """Returns the failed check of an encoder whose code raised an error."""
    detail = f"{type(error).__name__}: {error}"
    return Check(name, "fail", detail, f"the check calls {encoder.name} itself")


def check(name: str, encoder: Encoder, run: Callable[[], Check]) -> Check:
    """Returns the outcome of a check; a failed one if it raises."""
    try:
        return run()
    except TuiprobeError as error:
        return Check(name, "fail", str(error))
    except Exception as error:  # A user's model or preprocessing may raise anything.
        return crashed(name, encoder, error)


def check_encoder(encoder: Encoder) -> list[Check]:
    """Checks the vision side of an encoder, without images of the user."""
    checks: dict[str, Callable[[Encoder], Check]] = {
        "weights": _weights,
        "activation": _activation,
        "preprocessing": _preprocessing_source,
        "normalisation": _normalisation,
        "interpolation": _interpolation,
        "eval mode": _eval_mode,
        "dtype": _dtype,
    }
    if encoder.loader == "timm" and pooling_of(encoder.module) in _POOLINGS:
        checks["pooling"] = _pooling
    return [check(name, encoder, partial(run, encoder)) for name, run in checks.items()]


_POOLINGS = {"token": "its class token", "avg": "the mean of its patches"}


def _pooling(encoder: Encoder) -> Check:
    """States whether h is the class token or a mean, for a transformer that offers both."""
    used = pooling_of(encoder.module)
    (other,) = _POOLINGS.keys() - {used}
    detail = f"h is {_POOLINGS[used]}; with @{other} it is {_POOLINGS[other]}"
    return Check("pooling", "pass", detail)


def _weights(encoder: Encoder) -> Check:
    weights = encoder.weights
    detail = f"{weights.kind}, {weights.source}, SHA-256 {weights.digest[:12]}…"
    for name, tensor in encoder.module.state_dict().items():
        if is_float(tensor) and not bool(tensor.isfinite().all()):
            fix = "the file is damaged or was saved after a run diverged; use another"
            return Check("weights", "fail", f"{name} holds values that are not finite", fix)
    # Vectors may be zero: biases, LayerScale, the last normalisation of a residual.
    matrices = [
        tensor
        for tensor in encoder.tower.state_dict().values()
        if is_float(tensor) and sum(n > 1 for n in tensor.shape) >= 2
    ]
    zeros = sum(not bool(matrix.any()) for matrix in matrices)
    if zeros > max(1, _FEW_ZEROS * len(matrices)) or 0 < zeros == len(matrices):
        detail = f"{zeros} of {len(matrices)} matrices of the vision tower hold nothing but zeros"
        fix = "the file is damaged or was never trained; use another"
        return Check("zero weights", "warn", detail, fix)
    if weights.kind == "untrained":
        fix = "pass --checkpoint FILE; the outlier outcome is withheld"
        return Check("weights", "warn", detail, fix)
    return Check("weights", "pass", detail)


def is_float(value: object) -> bool:
    """Returns whether a value of a state dict is a plain tensor of floats; packed ones are not."""
    return isinstance(value, torch.Tensor) and value.is_floating_point() and not value.is_quantized


_FEW_ZEROS = 0.1
"""Share of matrices that may be zero; some layers, like a residual's last, start at zero."""


def expected_activation(encoder: Encoder) -> str | None:
    """Returns the activation of the weights (`gelu`, `quickgelu`, `relu`)."""
    preset = presets().get(encoder.name)
    if preset is not None and preset.public:
        return preset.activation
    if encoder.loader == "open_clip" and encoder.tag is not None:
        base = encoder.architecture.partition("@")[0]
        model = published(f"open_clip:{base}/{encoder.tag}")
        if model is not None:
            return "quickgelu" if model.quickgelu else "gelu"
    return None


def built_activations(encoder: Encoder) -> set[str]:
    """Returns the GELU variants that the model is built with."""
    names = [type(m).__name__.lower() for m in encoder.module.modules()]
    return {"quickgelu" if "quickgelu" in n else "gelu" for n in names if "gelu" in n}


def _activation(encoder: Encoder) -> Check:
    built, trained = built_activations(encoder), expected_activation(encoder)
    detail = " and ".join(sorted(built)) or "no GELU"
    if trained == "relu" or built == {trained} or (not built and trained is None):
        return Check("activation", "pass", detail)
    if trained is None:
        located = any(part in encoder.name for part in (":hf-hub:", ":local-dir:"))
        tagged = encoder.loader == "timm" and encoder.tag is not None
        if located or tagged or encoder.loader in ("torchvision", "transformers", "py"):
            detail += ", as the model itself says"
            return Check("activation", "pass", detail)
        fix = "name the tag that the weights were trained under, as open_clip:ARCH/TAG"
        return Check(
            "activation", "warn", f"{detail}; the activation of these weights is not known", fix
        )
    if encoder.name.endswith(("@gelu", "@quickgelu")):
        detail = f"built with {detail} as you insist, trained with {trained}"
        return Check("activation", "warn", detail, "leave the @ out for the right one")
    fix = "use the preset, or the architecture with the activation of the weights"
    return Check("activation", "fail", f"built with {detail}, trained with {trained}", fix)


def _preprocessing_source(encoder: Encoder) -> Check:
    source = encoder.preprocessing.source
    if encoder.preprocessing.assumed:
        fix = "name the tag whose preprocessing these weights were trained with"
        if encoder.loader == "py":
            fix = "pass preprocess= to confirm the preprocessing of these weights"
        return Check("preprocessing", "warn", source, fix)
    return Check("preprocessing", "pass", source)


def _normalisation(encoder: Encoder) -> Check:
    preset = presets().get(encoder.name)
    if not encoder.preprocessing.mean:
        return Check("normalisation", "skip", "not one mean and deviation a channel")
    stated = encoder.preprocessing.mean, encoder.preprocessing.std
    needed = stated if preset is None else NORMALIZATIONS[preset.normalization]
    height, width = encoder.preprocessing.size
    measured = measured_normalisation(encoder.preprocess, (width, height))
    images, weights = (
        f"mean {_numbers(mean)}, std {_numbers(std)}" for mean, std in (measured, needed)
    )
    if _near(measured[0], needed[0]) and _near(measured[1], needed[1]):
        return Check("normalisation", "pass", images)
    if encoder.loader == "py":
        detail = f"images get {images}; it says {weights}"
        return Check("normalisation", "warn", detail, "correct what it says of itself")
    fix = "use the preprocessing that belongs to the weights"
    return Check("normalisation", "fail", f"images get {images}; they need {weights}", fix)


def _near(values: tuple[float, ...], needed: tuple[float, ...]) -> bool:
    per_channel = needed * len(values) if len(needed) == 1 else needed
    return all(abs(a - b) < 1e-3 for a, b in zip(values, per_channel, strict=True))


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3g}" for value in values)


def _interpolation(encoder: Encoder) -> Check:
    preset = presets().get(encoder.name)
    used = encoder.preprocessing.interpolation
    if preset is not None and preset.interpolation != used:
        fix = "use the preprocessing that belongs to the weights"
        return Check("interpolation", "fail", f"{used}, not {preset.interpolation}", fix)
    return Check("interpolation", "pass", used)


def _eval_mode(encoder: Encoder) -> Check:
    training = [n or "the model" for n, m in encoder.module.named_modules() if m.training]
    if training:
        return Check("eval mode", "fail", f"{training[0]} is in training mode", "call .eval()")
    if any(p.requires_grad for p in encoder.module.parameters()):
        return Check("eval mode", "fail", "parameters require gradients", "requires_grad_(False)")
    return Check("eval mode", "pass", "eval mode, no gradients")


def _dtype(encoder: Encoder) -> Check:
    kinds = {p.dtype for p in encoder.module.parameters()}
    detail = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    if kinds - {encoder.dtype}:
        return Check("dtype", "fail", f"parameters are {detail}, asked for {encoder.dtype}")
    if encoder.dtype != torch.float32:
        return Check("dtype", "warn", detail, "published figures are float32's")
    return Check("dtype", "pass", detail)

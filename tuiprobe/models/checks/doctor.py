"""All checks of `tuiprobe doctor`, as data."""

from __future__ import annotations

import platform
import timeit
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from tuiprobe.catalog.class_names import match_classes, read_classes, refuse_other_names
from tuiprobe.catalog.model_list import hub_cache
from tuiprobe.datasets.dataset import Dataset, Suite
from tuiprobe.datasets.layout import processing_order
from tuiprobe.datasets.load import load_suite
from tuiprobe.datasets.registry import SOURCES, source_named
from tuiprobe.errors import TuiprobeError, UsageError
from tuiprobe.models.checks.data_checks import check_labels, check_range
from tuiprobe.models.checks.encoder_checks import check_encoder, crashed
from tuiprobe.models.checks.known_answer import SAMPLE, check_answer
from tuiprobe.models.checks.text_checks import check_text
from tuiprobe.models.checks.trial import (
    TIMED_IMAGES,
    check_trial,
    check_types,
    first_pictures,
    first_tensors,
    images_of_trial,
    made_images,
)
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.from_module import tried_on
from tuiprobe.models.prompt_heads import PromptProgress, read_templates
from tuiprobe.models.registry import LOADERS
from tuiprobe.plugins import PluginError
from tuiprobe.results.subject import Check, CheckStatus

PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "scipy", "safetensors")
TRIAL_BATCH = 8
REPEATS = 3
_CLASSES = ("dog", "fire engine")
"""Classes whose prompts are checked if no others are known."""


@dataclass(frozen=True)
class Examination:
    """The answer of `tuiprobe doctor`.

    Attributes:
        checks: All checks, in the order in which they were made.
        encoder: The encoder as plain data, see `describe`, if its trial batch did not fail.
    """

    checks: list[Check]
    encoder: dict[str, Any] | None = None


def examine(
    model: str | None = None,
    *,
    checkpoint: Path | None = None,
    data: str | None = None,
    classes: str | None = None,
    templates: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    try_bfloat16: bool = False,
    progress: PromptProgress | None = None,
) -> Examination:
    """Runs every check that the arguments allow; calls `progress` while the head is built.

    `try_bfloat16` says that the device multiplies in it, so that its speed is worth a trial.

    Raises:
        UsageError: If data are given without a model.
    """
    checks = check_installation()
    if model is None:
        if data is not None:
            raise UsageError("--data needs --model: labels are checked against its classes")
        return Examination(checks)
    suite = None if data is None else load_suite(source_named(data))
    id_set = None if suite is None else suite.in_distribution
    with nullcontext() if id_set is None else tried_on(partial(first_pictures, id_set)):
        encoder = load_encoder(model, checkpoint=checkpoint, device=device, dtype=dtype)
    checks += check_encoder(encoder)
    checks += _of_trial(encoder, id_set)
    if encoder.text is not None:
        checks += check_text(
            encoder,
            read_classes(classes) if classes is not None else _CLASSES,
            read_templates(templates) if templates is not None else encoder.text.templates,
        )
    description = _describe_timed(encoder, try_bfloat16, checks)
    if suite is None or id_set is None:
        return Examination(checks, description)
    for name in suite.sets:
        checks += [replace(check, data=name) for check in _of_set(encoder, suite, name, classes)]
    checks.append(check_answer(encoder, id_set, classes, templates, progress))
    return Examination(checks, description)


def _describe_timed(
    encoder: Encoder, try_bfloat16: bool, checks: list[Check]
) -> dict[str, Any] | None:
    """Adds the checks of a trial batch; returns the description of the encoder if it passed."""
    try:
        description = describe(encoder)
        cost = description["cost"]
        detail = f"{cost['batch']} images in {cost['seconds']:.3g} s on {cost['device']}"
        if encoder.device.type == "cpu":
            detail += f" with {cost['threads']} threads"
        checks.append(Check("trial batch", "pass", detail))
        if try_bfloat16:
            made = made_images(encoder).repeat(TIMED_IMAGES // 2, 1, 1, 1)
            types = check_types(encoder, made, compare=False)
            checks += types
            description["types"] = "".join(check.detail for check in types)
        return description
    except Exception as error:  # A user's model may raise anything.
        checks.append(crashed("trial batch", encoder, error))
        return None


def _of_set(encoder: Encoder, suite: Suite, name: str, classes: str | None) -> Iterator[Check]:
    """Checks labels, classes and values of one set."""
    images, imagenet = suite.sets[name], suite.imagenet.get(name)
    count, named = len(images.samples), classes is not None
    yield from check_labels(images.classes, count, named=named, imagenet=imagenet)
    if imagenet is None:
        yield from _unmatched(encoder, images.classes, classes)
    order = processing_order(images.samples, 0)[:SAMPLE].tolist()
    yield from check_range(images, [images.samples[i] for i in order])


def _of_trial(encoder: Encoder, images: Dataset | None) -> list[Check]:
    """Tries an encoder on the images that a run would measure first, or on made ones."""
    try:
        tensors = None
        if images is not None:
            order = processing_order(images.samples, 0)[: images_of_trial(encoder)].tolist()
            tensors = first_tensors(encoder, images, [images.samples[i] for i in order])
        tensors = made_images(encoder) if tensors is None else tensors
        return check_trial(encoder, tensors, encoder.classifier)
    except Exception as error:  # a user's preprocessing may raise anything
        return [crashed("input size", encoder, error)]


def _unmatched(encoder: Encoder, folders: Sequence[str], classes: str | None) -> list[Check]:
    """Returns a warning if class folders have no row of the head, by name or by their order.

    Raises:
        UsageError: If `--classes` contradicts the names that come with the weights.
    """
    head = encoder.classifier
    known = head.classes if head is not None else ()
    rows = read_classes(classes) if classes is not None else known
    if head is not None and head.names_from and len(rows) == len(known):
        refuse_other_names(rows, known, "--classes", head.names_from)
    matched = match_classes(folders, rows)
    if matched.indices is not None or len(rows) in (0, len(folders)):
        return []
    if all(map(str.isdigit, rows)) or all(map(str.isdigit, folders)):
        return []
    remedy = "rename these folders, or fit a head to them by --head probe, as runs do by themselves"
    return [Check("class names", "warn", f"no accuracy: {matched.problems()}", remedy)]


def describe(encoder: Encoder) -> dict[str, Any]:
    """Describes an encoder as plain data: taps, width, text side, head, preprocessing and cost."""
    text = encoder.text
    return {
        "name": encoder.name,
        "loader": encoder.loader,
        "architecture": encoder.architecture,
        "tag": encoder.tag,
        "representation": encoder.representation,
        "training": encoder.training,
        "width": encoder.width,
        "parameters": encoder.parameters(),
        "weights": encoder.weights.model_dump(mode="json"),
        "preprocessing": encoder.preprocessing.model_dump(mode="json"),
        "text": None
        if text is None
        else {
            "context_length": text.context_length,
            "padded": text.padded,
            "tokenizer": text.tokenizer,
            "templates": len(text.templates),
        },
        "head": None
        if encoder.classifier is None
        else {"classes": len(encoder.classifier.classes), "source": encoder.classifier.source},
        "taps": [asdict(tap) for tap in encoder.taps()],
        "untappable": encoder.untappable(),
        "cost": trial_cost(encoder),
    }


def trial_cost(encoder: Encoder) -> dict[str, Any]:
    """Times one batch of blank images: the median of three, after one to warm up."""
    import torch

    images = torch.zeros(TRIAL_BATCH, 3, *encoder.preprocessing.size)
    with torch.inference_mode():
        encoder.encode(images)
        # A copy to the CPU waits for the device.
        times = timeit.repeat(lambda: encoder.encode(images).cpu(), number=1, repeat=REPEATS)
    seconds = median(times)
    return {
        "device": str(encoder.device),
        "threads": torch.get_num_threads(),
        "batch": TRIAL_BATCH,
        "seconds": seconds,
        "images_per_second": TRIAL_BATCH / seconds,
    }


def check_installation() -> list[Check]:
    """Checks the interpreter, the libraries, the native core, the device and the caches."""
    import torch

    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    device = f"CPU, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    return [
        Check("python", "pass", f"{platform.python_version()}, {platform.platform()}"),
        Check("libraries", "pass", versions),
        *check_native(),
        *_plugins(),
        Check("device", "pass", device),
        Check("hub cache", "pass", str(hub_cache())),
    ]


def check_native() -> list[Check]:
    """Checks the native core and, where there is a GPU, its CUDA kernels."""
    import torch

    try:
        from tuiprobe.stats import cuda_reason, instruction_set
        from tuiprobe.stats._native import native
    except (ImportError, TuiprobeError) as error:
        return [Check("native core", "fail", str(error), "install tuiprobe again")]
    checks = [Check("native core", "pass", f"{Path(native.__file__).name}, {instruction_set()}")]
    if torch.cuda.is_available():
        reason = cuda_reason()
        detail = f"torch computes the statistics: {reason}" if reason else "in use"
        fix = "run `pip install 'tuiprobe[cuda]'`, or update the driver if these kernels need one"
        checks.append(Check("CUDA kernels", "warn" if reason else "pass", detail, fix))
    return checks


def _plugins() -> list[Check]:
    """Loads the parts that other packages register; returns no check if there are none."""
    problems: list[str] = []
    loaded: dict[str, list[str]] = {}
    for registry in (SOURCES, LOADERS):
        problems += registry.warnings(registry.builtin_names)
        for plugin in registry.foreign():
            try:
                registry.load(plugin)
                loaded.setdefault(plugin.package, []).append(plugin.name)
            except PluginError as error:
                problems.append(str(error))
    details = problems + [f"{', '.join(names)} ({package})" for package, names in loaded.items()]
    status: CheckStatus = "warn" if problems else "pass"
    return [Check("plugins", status, "; ".join(details))] if details else []

"""Compares encoders of torchvision and timm with what their libraries compute from one file.

Untrained weights are saved, and read by `load_encoder` and by the library's own loader. Every
tensor varies, so that a layer that would start as zero or as one counts too.

    python -m tools.architectures             # all: of timm up to 8 million parameters
    python -m tools.architectures googlenet   # those whose names contain a word
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from tuiprobe.catalog.accuracies import rows as published_accuracies
from tuiprobe.catalog.model_list import url_folder
from tuiprobe.errors import TuiprobeError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.from_module import made_pictures
from tuiprobe.models.loaders.published_weights import quiet

MILLIONS = 8.0
"""Parameters of the largest models of timm that are compared."""

TOLERANCE = 1e-3
"""Largest difference of logits, in standard deviations of the library's; convolutions are laid out
in another way."""


@dataclass(frozen=True)
class ComparedArchitecture:
    """One architecture, read by both.

    Attributes:
        spec: Its name.
        logits: Largest difference of logits, in standard deviations of the library's.
        pixels: Largest difference of preprocessed images.
        refused: Why it is not loaded; empty if it is.
        error: The error that ended it; empty if none did.
    """

    spec: str
    logits: float = 0.0
    pixels: float = 0.0
    refused: str = ""
    error: str = ""

    @property
    def same(self) -> bool:
        """Whether it is loaded and computes what the library does."""
        return not (self.refused or self.error) and self.logits <= TOLERANCE and self.pixels == 0


def torchvision_specs() -> list[str]:
    """Returns every registered entry of weights of a classifier."""
    from torchvision import models

    names = models.list_models(module=models)
    return [f"torchvision:{n}/{entry.name}" for n in names for entry in models.get_model_weights(n)]


def timm_specs() -> list[str]:
    """Returns the first tag of every architecture that is small by timm's own table."""
    first: dict[str, str] = {}
    for row in (row for row in published_accuracies() if row.table == "timm"):
        if row.parameters is not None and row.parameters <= MILLIONS:
            first.setdefault(row.spec.partition(".")[0], row.spec)
    return list(first.values())


def compare(spec: str, folder: Path) -> ComparedArchitecture:
    """Compares one model, whose files it writes to a folder."""
    loader, _, rest = spec.partition(":")
    of = _of_torchvision if loader == "torchvision" else _of_timm
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model, transform, file = of(rest, folder)
    images = torch.stack([transform(picture) for picture in made_pictures()])
    with torch.inference_mode():
        expected = model.eval()(images)
    del model  # the largest take gigabytes
    compared = []
    # The same file of torchvision is in the cache of published weights.
    for checkpoint in (file, None) if loader == "torchvision" else (file,):
        try:
            difference = _difference(load_encoder(spec, checkpoint=checkpoint), images, expected)
        except TuiprobeError as error:
            difference = str(error)
        if isinstance(difference, str):
            return ComparedArchitecture(spec, refused=difference)
        compared.append(difference)
    logits, pixels = zip(*compared, strict=True)
    return ComparedArchitecture(spec, max(logits), max(pixels))


def _difference(encoder: Encoder, images: Tensor, expected: Tensor) -> tuple[float, float] | str:
    """Returns the largest differences of logits and of pixels, or why there are no logits."""
    head = encoder.head()
    if head is None:
        return "no linear classifier"
    preprocessed = torch.stack([encoder.preprocess(picture) for picture in made_pictures()])
    if preprocessed.shape != images.shape:
        return f"images are {[*preprocessed.shape]}, not {[*images.shape]}"
    with torch.inference_mode():
        logits = head.logits(encoder.encode(preprocessed))
    pixels = float((preprocessed - images).abs().max())
    return float((logits - expected).abs().max() / expected.std()), pixels


def _of_torchvision(rest: str, folder: Path) -> tuple[nn.Module, Any, Path]:
    from torchvision import models

    architecture, _, tag = rest.partition("/")
    entry = models.get_model_weights(architecture)[tag]
    size = {"image_size": entry.meta["min_size"][0]} if architecture.startswith("vit_") else {}
    model = models.get_model(architecture, weights=None, **size)
    file = folder / PurePosixPath(urlsplit(entry.url).path).name
    torch.save(_varied(model), file)
    return models.get_model(architecture, weights=entry), entry.transforms(), file


def _of_timm(name: str, folder: Path) -> tuple[nn.Module, Any, Path]:
    import timm
    from timm.data import create_transform, resolve_model_data_config

    file = folder / "timm.pth"
    torch.save(_varied(timm.create_model(name)), file)
    model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
    return model, create_transform(**resolve_model_data_config(model), is_training=False), file


def _varied(model: nn.Module) -> dict[str, Tensor]:
    """Returns the weights of a model, of which none are all equal."""
    for parameter in model.parameters():
        if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.add_(0.2 * torch.rand_like(buffer))
    return model.state_dict()


def rows(specs: Sequence[str]) -> Iterator[ComparedArchitecture]:
    """Compares models one after the other, in a folder that is removed."""
    before = os.environ.get("TORCH_HOME")
    with tempfile.TemporaryDirectory() as home:
        os.environ["TORCH_HOME"] = home
        folder = url_folder("torchvision")
        folder.mkdir(parents=True)
        try:
            for spec in specs:
                try:
                    yield compare(spec, folder)
                except Exception as error:  # of us or of the library
                    yield ComparedArchitecture(spec, error=repr(error))
                for file in folder.iterdir():
                    file.unlink()
        finally:
            del os.environ["TORCH_HOME"]
            if before is not None:
                os.environ["TORCH_HOME"] = before


def summary(compared: Sequence[ComparedArchitecture]) -> Iterator[str]:
    """Yields how many entries of each library are the same, with the largest differences."""
    for library in dict.fromkeys(row.spec.partition(":")[0] for row in compared):
        of_library = [row for row in compared if row.spec.startswith(library)]
        same = [row for row in of_library if row.same]
        logits, pixels = (
            max((getattr(r, n) for r in same), default=0) for n in ("logits", "pixels")
        )
        yield (
            f"{library}: {len(same)} of {len(of_library)} the same, logits within {logits:.1e} "
            f"standard deviations, pixels within {pixels:.1e}"
        )


def main(words: Sequence[str]) -> int:
    """Prints a row per model and a summary; returns 1 if one differs that is not refused."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    compared = []
    specs = [s for s in (*torchvision_specs(), *timm_specs()) if all(w in s for w in words)]
    for row in rows(specs):
        result = row.refused or row.error or f"logits {row.logits:.1e}, pixels {row.pixels:.1e}"
        print(f"{row.spec:60} {'same' if row.same else 'DIFFERS' * (not row.refused)} {result}")
        sys.stdout.flush()
        compared.append(row)
    print(*summary(compared), sep="\n")
    return int(any(not row.same and not row.refused for row in compared))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

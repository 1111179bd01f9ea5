"""Every model that open_clip and timm publish weights of, without importing either.

``names.tsv`` is generated from the libraries (``python -m tuiprobe.models.names``) and a test
compares it with those installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("names.tsv")


@dataclass(frozen=True, slots=True)
class Published:
    """One model with published weights.

    Attributes:
        loader: ``open_clip`` or ``timm``.
        architecture: Without the tag.
        tag: Of the weights; may be empty for timm.
        quickgelu: Whether the weights were trained with QuickGELU.
        repository: Hugging Face repository that holds them; empty if they are elsewhere.
        file: File within the repository; empty for the library's default.
        url: Where else they are; empty if in a repository.
    """

    loader: str
    architecture: str
    tag: str
    quickgelu: bool
    repository: str
    file: str
    url: str

    @property
    def spec(self) -> str:
        """The spec a user types.

        >>> published("open_clip:ViT-B-16-quickgelu/openai").repository
        'timm/vit_base_patch16_clip_224.openai'
        """
        separator = "/" if self.loader == "open_clip" else "."
        return f"{self.loader}:{self.architecture}" + (f"{separator}{self.tag}" if self.tag else "")


@lru_cache(maxsize=1)
def all_published() -> dict[str, Published]:
    """Returns all models by spec, open_clip's first."""
    rows = [line.split("\t") for line in FILE.read_text("utf-8").splitlines()[2:]]
    models = [Published(r[0], r[1], r[2], r[3] == "1", r[4], r[5], r[6]) for r in rows]
    return {model.spec: model for model in models}


def published(spec: str) -> Published | None:
    """Returns the model of a spec, or None; tells an open_clip activation suffix apart."""
    return all_published().get(spec.partition("@")[0])


def right_spec(spec: str) -> str:
    """Returns the spec that loads the same weights with the activation they were trained with.

    >>> right_spec("open_clip:ViT-B-16/openai")
    'open_clip:ViT-B-16-quickgelu/openai'
    >>> right_spec("timm:vit_base_patch16_clip_224.openai")
    'timm:vit_base_patch16_clip_quickgelu_224.openai'
    >>> right_spec("open_clip:ViT-B-16/laion400m_e32")
    'open_clip:ViT-B-16/laion400m_e32'
    """
    model = published(spec)
    if model is None or not model.quickgelu or "quickgelu" in model.architecture:
        return spec
    if model.loader == "open_clip":
        other = f"open_clip:{model.architecture}-quickgelu/{model.tag}"
    else:
        other = spec.replace("_clip_", "_clip_quickgelu_")
    return other if other in all_published() else spec


def generated_with() -> dict[str, str]:
    """Returns the library versions that the list was generated with."""
    first = FILE.read_text("utf-8").splitlines()[0].removeprefix("# ")
    return dict(part.split("==") for part in first.split(" "))

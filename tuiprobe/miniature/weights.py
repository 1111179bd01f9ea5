"""The models that ship with the package: weight files, each with a card and its SHA-256."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.miniature.captions import TEMPLATES, WordTokenizer
from tuiprobe.miniature.objects import CLASS_NAMES

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER = Path(__file__).with_name("weights")
MODEL_NAMES: tuple[str, ...] = (
    "mini_clip",
    "mini_clip_soft",
    "mini_supervised",
    "mini_finetuned",
)
ZERO_SHOT = ("mini_clip", "mini_clip_soft")
UNTRAINED_SEED = 20


def card(name: str) -> dict[str, Any]:
    """Returns the card of a model: recipe, seed, digest, accuracies and outlier figures."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return content


def build(
    name: str, *, weights: str = "shipped"
) -> tuple["nn.Module", WordTokenizer | None, dict[str, Any]]:
    """Returns a model in eval mode, its tokenizer and its description for a report.

    Zero-shot models are a `networks.CLIP`; the others a `networks.Classifier`, and no tokenizer.

    Args:
        name: One of `MODEL_NAMES`.
        weights: "shipped", or "untrained" for fixed random weights.

    Raises:
        UsageError: If no model has this name.
        WeightsError: If the weights are damaged, or belong to another vocabulary.
    """
    import torch
    from safetensors.torch import load

    from tuiprobe.miniature import networks

    if name not in MODEL_NAMES:
        raise UsageError(f"The miniature has no model {name!r}; it has {', '.join(MODEL_NAMES)}.")
    zero_shot, about = name in ZERO_SHOT, {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        model = networks.CLIP() if zero_shot else networks.Classifier(len(CLASS_NAMES))
    tokenizer = WordTokenizer() if zero_shot else None
    if weights == "shipped":
        about = card(name)
        data = (FOLDER / f"{name}.safetensors").read_bytes()
        if hashlib.sha256(data).hexdigest() != about["sha256"]:
            raise WeightsError(f"The weights of {name} are damaged. Reinstall tuiprobe.")
        if tokenizer is not None and about["vocabulary_sha256"] != tokenizer.digest:
            raise WeightsError(f"The weights of {name} belong to another vocabulary.")
        restore(model, load(data))
    metadata = {
        "name": name,
        "architecture": name,
        "representation": "projected",
        "width": networks.EMBED,
        "size": networks.IMAGE_SIZE,
        "mean": networks.MEAN,
        "std": networks.STD,
        "interpolation": "bicubic",
        "training": {"mini_supervised": "supervised", "mini_finetuned": "finetuned"}.get(
            name, "zero-shot"
        ),
        "templates": TEMPLATES if zero_shot else (),
        "classes": CLASS_NAMES,
        "card": about,
    }
    return model.eval(), tokenizer, metadata


def restore(model: "nn.Module", state: dict[str, "Tensor"]) -> None:
    """Loads the weights of a file into a model; counters of batches are in no file."""
    model.load_state_dict({name: value.float() for name, value in state.items()}, strict=False)

"""The miniature's models, ready to use."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiprobe.errors import WeightsError
from tuiprobe.miniature import weights as _weights
from tuiprobe.miniature.captions import TEMPLATES, WordTokenizer
from tuiprobe.miniature.objects import CLASS_NAMES

if TYPE_CHECKING:
    from torch import nn

ZERO_SHOT = ("mini_clip", "mini_clip_soft")
UNTRAINED_SEED = 20


def build(
    name: str, *, weights: str = "shipped", checkpoint: Path | None = None
) -> tuple["nn.Module", WordTokenizer | None, dict[str, Any]]:
    """Returns a model in eval mode, its tokenizer and its description for a report.

    Zero-shot models are an `open_clip.CLIP`; the others have `visual`, `head` and `encode_image`
    (see `networks.Classifier`), and no tokenizer.

    Args:
        name: One of `weights.MODEL_NAMES`.
        weights: "shipped", or "untrained" for fixed random weights.
        checkpoint: A `.safetensors` file to load instead of the shipped weights.

    Raises:
        UsageError: If there is no such model.
        WeightsError: If the weights are missing, damaged, or of another architecture.
    """
    import torch

    from tuiprobe.miniature import networks

    _weights.check_name(name)
    card = _weights.card(name) if weights == "shipped" and checkpoint is None else {}
    zero_shot = name in ZERO_SHOT
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        model = networks.new_clip() if zero_shot else networks.Classifier(len(CLASS_NAMES))
    tokenizer = WordTokenizer() if zero_shot else None
    if checkpoint is not None:
        model = _weights.restore(model, _weights.load_file(checkpoint), str(checkpoint))
    elif card:
        if tokenizer is not None and card.get("vocabulary_sha256") != tokenizer.digest:
            raise WeightsError(f"The weights of {name} belong to another vocabulary.")
        model = _weights.restore(model, _weights.load_state(name), name)
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
        "weights": "file" if checkpoint is not None else weights,
        "card": card,
    }
    return model.eval(), tokenizer, metadata

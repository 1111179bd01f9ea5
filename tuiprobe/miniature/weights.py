"""Weight files shipped with the package: each with a card, checked by SHA-256 before use."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiprobe.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER = Path(__file__).with_name("weights")
MODEL_NAMES: tuple[str, ...] = (
    "mini_clip",
    "mini_clip_soft",
    "mini_supervised",
    "mini_finetuned",
)
_REPAIR = "Reinstall tuiprobe."


def check_name(name: str) -> None:
    """Raises `UsageError` if there is no model of that name."""
    if name not in MODEL_NAMES:
        raise UsageError(f"The miniature has no model {name!r}; it has {', '.join(MODEL_NAMES)}.")


def card(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Returns the card of a model: recipe, seed, digest, accuracies and outlier figures.

    Raises:
        UsageError: If there is no model of that name.
        WeightsError: If the card is missing or cannot be read.
    """
    check_name(name)
    path = folder / f"{name}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"Cannot read the model card {path}: {error}. {_REPAIR}") from error
    if not isinstance(content, dict) or not isinstance(content.get("sha256"), str):
        raise WeightsError(f"The model card {path} names no sha256. {_REPAIR}")
    return content


def load_state(name: str, folder: Path = FOLDER) -> dict[str, "Tensor"]:
    """Returns the tensors of a shipped weight file after checking its digest.

    Raises:
        WeightsError: If the file is missing, or is not the one its card describes.
    """
    from safetensors.torch import load

    expected = card(name, folder)["sha256"]
    path = folder / f"{name}.safetensors"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"Cannot read the weights {path}: {error}. {_REPAIR}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise WeightsError(
            f"The weights {path} are damaged: SHA-256 {digest[:12]}…, the card says "
            f"{expected[:12]}…. {_REPAIR}"
        )
    return load(data)


def load_file(path: Path) -> dict[str, "Tensor"]:
    """Returns the tensors of a weight file as they are.

    Raises:
        WeightsError: If the file cannot be read, or is not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"Cannot read the weights {path}: {error}.") from error


def restore(model: "nn.Module", state: dict[str, "Tensor"], name: str) -> "nn.Module":
    """Returns the model with a state of `load_state`, in eval mode.

    Raises:
        WeightsError: If the tensors do not fit the architecture.
    """
    own = model.state_dict()
    missing = [k for k, v in own.items() if v.is_floating_point() and k not in state]
    wrong = [k for k, v in state.items() if k not in own or own[k].shape != v.shape]
    if missing or wrong:
        bad = (missing + wrong)[0]
        raise WeightsError(f"The weights of {name} do not fit its architecture (at {bad!r}).")
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    return model.eval()

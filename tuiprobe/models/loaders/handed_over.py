"""What a user handed over in place of weights or a model, and the next step for it."""

from __future__ import annotations

from pathlib import Path

_ADAPTER = (
    "an adapter, not a model: merge it first, by model = PeftModel.from_pretrained(base, "
    '{path!r}).merge_and_unload() and model.save_pretrained("merged"), and write '
    "transformers:local-dir:merged"
)
_FOLDERS = (
    ("adapter_config.json", _ADAPTER),
    ("open_clip_config.json", "a model of open_clip: write open_clip:local-dir:{path}"),
    ("config.json", "a checkpoint folder: write transformers:{path}, or timm:local-dir:{path}"),
)
"""File names by which a folder is known, and what it is."""

_FORMATS = {
    ".onnx": "a network in ONNX",
    ".pt2": "an exported program of torch",
    ".tflite": "a network of TensorFlow Lite",
    ".engine": "a network of TensorRT",
}
_NETWORK = (
    ", which is not run here: give its answers as a table (answers:FILE.csv), or the module that "
    "it was exported from (py:FILE.py:NAME)"
)

_PICKLED = (
    (
        ("sklearn.",),
        "it is a model of scikit-learn. Save its numbers where you trust it: "
        "clf = joblib.load(FILE), "
        'then numpy.savez("head.npz", coef_=clf.coef_, intercept_=clf.intercept_)',
    ),
    (
        ("torch.nn.modules.", "torchvision.models.", "timm.models.", "transformers.models."),
        "it is a whole module of torch. Save its numbers where you trust it: "
        "module = torch.load(FILE, weights_only=False), then "
        'torch.save(module.state_dict(), "weights.pt")',
    ),
)
"""Beginnings of the names in a pickle, and what it holds."""


def _holds(folder: Path, name: str) -> bool:
    """Returns whether a folder holds a file; False also for a path that no folder can have."""
    try:
        return (folder / name).is_file()
    except OSError:
        return False


def step_for(path: Path) -> str:
    """Explains a path that holds no weights, and what to do; empty if it may hold some."""
    if path.suffix.lower() in _FORMATS:
        return f"{path} is {_FORMATS[path.suffix.lower()]}{_NETWORK}"
    for name, what in _FOLDERS:
        if _holds(path, name):
            return f"{path} is {what.format(path=str(path))}"
    return ""


def step_for_pickle(reason: str) -> str:
    """Explains a pickle that is not opened, and how to save its numbers.

    Args:
        reason: Why it is not opened, which names a class in it.
    """
    name = reason.rpartition("refers to ")[2]
    return next((what for names, what in _PICKLED if name.startswith(names)), "")

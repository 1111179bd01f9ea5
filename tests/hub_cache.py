"""Writes files as the Hugging Face hub's cache keeps them."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

TINY = "open_clip:hf-hub:me/tiny"
"""The model of `put_tiny`."""

CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}  # fmt: skip

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put(home: Path, repository: str, name: str, data: bytes) -> Path:
    """Writes a large file of a repository: a blob under its digest, a reference, and a link.

    Args:
        home: The folder that `HF_HOME` names.
        repository: `OWNER/NAME`.
        name: The file's name in the repository.
        data: Its content.

    Returns:
        The blob.
    """
    root = home / "hub" / f"models--{repository.replace('/', '--')}"
    blob = root / "blobs" / hashlib.sha256(data).hexdigest()
    link = root / "snapshots" / COMMIT / name
    for folder in (blob.parent, link.parent, root / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text(COMMIT)
    blob.write_bytes(data)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return blob


def put_tiny(home: Path) -> dict[str, torch.Tensor]:
    """Writes the repository of a CLIP with random weights; returns these."""
    import open_clip

    from tuiprobe.models.loaders.published_weights import quiet

    put(home, "me/tiny", "open_clip_config.json", json.dumps(CONFIG).encode())
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = open_clip.CLIP(**CONFIG["model_cfg"])
    state = {k: v.clone() for k, v in model.state_dict().items() if k != "attn_mask"}
    put(home, "me/tiny", "open_clip_model.safetensors", save(state))
    return state

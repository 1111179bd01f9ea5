"""Loops without tuiprobe: a bare encoder, and the loop of timm's `validate.py`.

`python _loops.py bare|timm float32|bfloat16 REQUEST.json ANSWER.json`. Both decode in four
processes as their authors do, in batches of 64; in bfloat16 they are weights and images.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

BATCH, WORKERS = 64, 4


def bare(request: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Encodes every image with open_clip and keeps nothing: what any such command must do."""
    import open_clip
    from torchvision.datasets import ImageFolder

    model, _, transform = open_clip.create_model_and_transforms(
        request["model"], pretrained=request["weights"]
    )
    model.eval().to(dtype)
    loader = DataLoader(
        ImageFolder(request["images"], transform=transform), BATCH, num_workers=WORKERS
    )
    count = 0
    with torch.inference_mode():
        for images, _ in loader:
            count += len(model.encode_image(images.to(dtype)))
    return {"images": count}


def timm(request: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Validates as `validate.py` of timm does: its data set, loader, configuration and accuracy."""
    import timm
    from timm.data import create_dataset, create_loader, resolve_data_config
    from timm.utils import AverageMeter, accuracy

    model = timm.create_model(request["model"], checkpoint_path=request["weights"])
    model.eval().to(dtype)
    config = resolve_data_config({}, model=model, use_test_size=True)
    dataset = create_dataset("", root=request["images"], class_map=request["class_map"])
    loader = create_loader(
        dataset, config["input_size"], BATCH,
        use_prefetcher=False, interpolation=config["interpolation"], mean=config["mean"],
        std=config["std"], crop_pct=config["crop_pct"], num_workers=WORKERS,
        device=torch.device("cpu"),
    )  # fmt: skip
    top1, loss, criterion = AverageMeter(), AverageMeter(), torch.nn.CrossEntropyLoss()
    with torch.inference_mode():
        for images, labels in loader:
            logits = model(images.to(dtype)).float()
            loss.update(criterion(logits, labels).item(), len(images))
            top1.update(accuracy(logits, labels)[0].item(), len(images))
    return {"images": top1.count, "accuracy": top1.avg / 100, "loss": loss.avg}


if __name__ == "__main__":
    request = json.loads(Path(sys.argv[3]).read_text())
    answer = {"bare": bare, "timm": timm}[sys.argv[1]](request, getattr(torch, sys.argv[2]))
    Path(sys.argv[4]).write_text(json.dumps(answer))

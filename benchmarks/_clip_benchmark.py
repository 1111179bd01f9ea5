"""Zero-shot classification of a folder by CLIP_benchmark, in the environment that has it.

`python _clip_benchmark.py mixed|float32|bfloat16 REQUEST.json ANSWER.json`; needs clip-benchmark
(1.6.2) and nothing of tuiprobe. As its command line does it: batches of 64, four processes that
decode, and mixed precision, which is bfloat16 on CPUs, or float32 as with `--no_amp`. It has no
option for weights in bfloat16: here model, head and images are given to it so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def measure(request: dict[str, Any], precision: str) -> dict[str, Any]:
    """Returns the class predicted for each path; the head is computed once and then read."""
    import torch
    from clip_benchmark.metrics import zeroshot_classification as zero_shot
    from clip_benchmark.models.open_clip import load_open_clip
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    model, transform, tokenizer = load_open_clip(request["model"], request["weights"])
    model.eval()
    templates = [template.replace("{}", "{c}") for template in request["templates"]]
    stored = Path(request["head"])
    if stored.exists():
        head = torch.load(stored)
    else:
        head = zero_shot.zero_shot_classifier(
            model, tokenizer, request["classes"], templates, "cpu", amp=False
        )
        torch.save(head, stored)
    if precision == "bfloat16":
        model, head = model.to(torch.bfloat16), head.to(torch.bfloat16)
        transform.transforms.append(lambda image: image.to(torch.bfloat16))
    images = ImageFolder(request["images"], transform=transform)
    loader = DataLoader(images, batch_size=64, shuffle=False, num_workers=4)
    amp = precision == "mixed"
    logits, _ = zero_shot.run_classification(model, head, loader, "cpu", amp=amp)
    root = Path(request["images"])
    paths = [str(Path(path).relative_to(root)) for path, _ in images.samples]
    best = logits.argmax(dim=1).tolist()
    return {"predicted": dict(zip(paths, best, strict=True))}


if __name__ == "__main__":
    asked, answered = map(Path, sys.argv[2:4])
    answer = measure(json.loads(asked.read_text()), sys.argv[1])
    answered.write_text(json.dumps(answer))

"""The figures of a card, from the files of a run by numpy alone: no code of the program.

Without class masks and without cross-fitting, so estimates agree to three points with few images.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

SETS = ("val", "v2", "r", "sketch", "a", "objectnet", "street")
_TYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}


def tensors(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    return {
        name: np.frombuffer(
            content[8 + length + one["data_offsets"][0] : 8 + length + one["data_offsets"][1]],
            _TYPES[one["dtype"]],
        ).reshape(one["shape"])
        for name, one in header.items()
        if name != "__metadata__"
    }


def softmax(logits: Any) -> Any:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class ByHand:
    """The sets of a run of a zero-shot head: features, labels, answers and logits."""

    def __init__(self, run: Path) -> None:
        head = tensors(run / "head.safetensors")
        self.weight = head["weight"].astype(float)
        labels: dict[tuple[str, int], int] = {}
        for row in (run / "samples.jsonl").read_text().splitlines():
            one = json.loads(row or "{}")
            if "set" in one:
                labels[one["set"], one["id"]] = one.get("label", -1)
        self.features, self.labels, self.logits = {}, {}, {}
        for name in SETS:
            arrays = tensors(run / "features" / name / "images.safetensors")
            x = arrays["features"].astype(float)
            self.features[name] = x
            self.labels[name] = np.array([labels[name, i] for i in arrays["ids"].tolist()])
            unit = x / np.linalg.norm(x, axis=1, keepdims=True)
            self.logits[name] = float(head["logit_scale"][0]) * unit @ self.weight.T

    def right(self, name: str) -> Any:
        return self.logits[name].argmax(axis=1) == self.labels[name]

    def accuracy(self, name: str) -> float:
        return float(self.right(name).mean())

    def mean_shift(self) -> float:
        return float(np.mean([self.accuracy(name) for name in SETS[1:-1]]))

    def gap(self, name: str) -> float:
        """Mean confidence less accuracy, not scaled."""
        return float(softmax(self.logits[name]).max(axis=1).mean()) - self.accuracy(name)

    def kurtosis(self) -> float:
        x = self.features["val"]
        away = x - x.mean(axis=1, keepdims=True)
        return float(((away**4).mean(axis=1) / (away**2).mean(axis=1) ** 2).mean())

    def first_importance(self) -> float:
        """Share of the most important direction of the head without its mean row."""
        _, s, v = np.linalg.svd(self.weight - self.weight.mean(axis=0), full_matrices=False)
        x = self.features["val"]
        cosines = np.abs(x @ v.T) / np.linalg.norm(x, axis=1, keepdims=True)
        importances = (s * cosines.mean(axis=0))[s > 1e-4 * s[0]]
        return float(importances.max() / importances.sum())

    def without(self, name: str, channels: list[int]) -> float:
        """Change of accuracy with channels at zero."""
        x = self.features[name].copy()
        x[:, channels] = 0
        answers = (x @ self.weight.T).argmax(axis=1)
        return float((answers == self.labels[name]).mean()) - self.accuracy(name)

    def class_on(self, name: str, label: int) -> tuple[int, int, int, int]:
        """Right answers, images, the class that most are wrongly taken for, and how many."""
        answers = self.logits[name].argmax(axis=1)[self.labels[name] == label]
        wrong = np.bincount(answers[answers != label], minlength=len(self.weight))
        return int((answers == label).sum()), answers.size, int(wrong.argmax()), int(wrong.max())

    def estimate(self) -> tuple[float, float]:
        """The scaled estimate on `street` and half of its 80 % range."""
        logits, labels = self.logits["val"], self.labels["val"]
        grid = np.exp(np.linspace(-2.5, 2.5, 401))
        losses = [
            -np.log(softmax(logits / t)[np.arange(len(labels)), labels] + 1e-300).mean()
            for t in grid
        ]
        t = grid[int(np.argmin(losses))]
        scores = {}
        for name in SETS:
            p = softmax(self.logits[name] / t)
            scores[name] = (p * np.log(p + 1e-300)).sum(axis=1)
        own = self.accuracy("val")
        cut = np.quantile(scores["val"], 1 - own)
        drop = {name: own - float((scores[name] >= cut).mean()) for name in SETS}
        p = np.array([drop[name] for name in SETS[1:-1]])
        m = np.array([own - self.accuracy(name) for name in SETS[1:-1]])

        def k(kept: Any) -> float:
            fitted = ((p * m)[kept].sum() + 0.005 * 1.35) / ((p**2)[kept].sum() + 0.005)
            return float(np.clip(fitted, 0.25, 4))

        every = np.arange(len(p))
        errors = [abs(m[i] - k(every != i) * p[i]) for i in every]
        scaled = k(every >= 0) * drop["street"]
        half = max(1.34 * (0.05 + 0.1 * max(scaled, 0)), 1.6 * float(np.mean(errors)))
        return own - scaled, half

"""Average precision of 1,024 directions for 1,197 concepts against sorting the scores in torch.

Run with `python -m benchmarks.average_precision`. torch.argsort gets the contiguous [D, N] copy
of the scores for free; ours starts from [N, D] and its conversion counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import torch
from sklearn.metrics import average_precision_score

from benchmarks._common import command, interleaved, machine, markdown, row
from tuiprobe.stats import average_precision

TITLE = "Average precision"
IMAGES, DIRECTIONS, CONCEPTS = 63305, 1024, 1197


def sparse_labels(per_image: int) -> Any:
    """About `per_image` concepts an image, drawn evenly."""
    rng = np.random.default_rng(per_image)
    where = (
        np.repeat(np.arange(IMAGES), per_image),
        rng.integers(0, CONCEPTS, IMAGES * per_image),
    )
    ones = np.ones(len(where[0]), bool)
    return scipy.sparse.csr_array((ones, where), shape=(IMAGES, CONCEPTS))


def run(quick: bool = False) -> dict[str, Any]:
    """Returns seconds of both label densities, of argsort, and of one pair in scikit-learn."""
    rng = np.random.default_rng(0)
    scores = torch.randn(IMAGES, DIRECTIONS, generator=torch.Generator().manual_seed(0))
    by_direction = scores.t().contiguous()
    few, many = sparse_labels(8), sparse_labels(19)
    groups = (rng.random((IMAGES, 6)) < 0.5, rng.integers(0, 6, CONCEPTS))
    present = few[:, [0]].toarray()[:, 0]
    about = machine()
    seconds = interleaved(
        {
            "8 labels": lambda: average_precision(scores, few),
            "19 labels, groups, both signs": lambda: average_precision(
                scores, many, candidates=groups, both_signs=True
            ),
            "argsort": lambda: torch.argsort(by_direction, dim=1),
            "one pair in scikit-learn": lambda: average_precision_score(present, scores[:, 0]),
        },
        1 if quick else 3,
    )
    ours = average_precision(scores[:, :1], few[:, [0]])[0, 0]
    difference = abs(float(ours) - average_precision_score(present, scores[:, 0]))
    return {"machine": about, "seconds": seconds, "difference": difference}


def table(figures: dict[str, Any]) -> str:
    """Returns the ratios as Markdown, with the target and whether it is met."""
    s = figures["seconds"]
    pairs = DIRECTIONS * CONCEPTS
    peer = s["one pair in scikit-learn"] * pairs
    wide = s["19 labels, groups, both signs"]
    hours = f"{peer / 3600:.1f} h"
    rows = [
        row("8 labels an image / argsort", s["8 labels"] / s["argsort"], 0.5, True),
        ["19 labels, six groups, both signs / argsort", f"{wide / s['argsort']:.2f}", "", "", ""],
        [
            "scikit-learn / 8 labels",
            f"{peer / s['8 labels']:.0f}",
            "",
            "",
            f"{hours}, extrapolated",
        ],
    ]
    about = figures["machine"]
    head = (
        f"{IMAGES} images, {DIRECTIONS} directions, {CONCEPTS} concepts, {about['cpu']}, "
        f"{about['threads']} threads; argsort {s['argsort']:.2f} s; difference from scikit-learn "
        f"{figures['difference']:.0e}; load average before: {about['load_before']:.1f}\n\n"
    )
    return head + markdown(["work", "ratio", "target", "met", ""], rows)


if __name__ == "__main__":
    command(__doc__, run, table)

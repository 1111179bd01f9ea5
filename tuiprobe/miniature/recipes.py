"""How each weight file was made: fixed data, steps and learning rates."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The training of one model.

    Attributes:
        name: Model name.
        data: Set trained on.
        images: How many of its images.
        steps: Optimiser steps of `batch` images.
        rate: Peak learning rate (linear warm-up, then half a cosine to zero).
        decay: AdamW weight decay of matrices.
        scale: Logit scale of contrastive training; `learned` lets it move.
        start: Model whose weights and zero-shot head training starts from.
    """

    name: str
    data: str
    images: int
    steps: int
    rate: float
    decay: float = 0.0
    batch: int = 128
    warmup: int = 200
    scale: float = 0.0
    learned: bool = False
    start: str | None = None

    @property
    def contrastive(self) -> bool:
        """Whether images are trained against captions."""
        return self.scale > 0


MODELS: tuple[Recipe, ...] = (
    Recipe("mini_clip", "web", 80000, 6000, 3e-3, scale=100.0),
    Recipe("mini_clip_soft", "web", 80000, 3600, 1.5e-3, decay=0.1, scale=1 / 0.07, learned=True),
    Recipe("mini_supervised", "train", 20000, 938, 2e-3, decay=0.05),
    Recipe("mini_finetuned", "train", 20000, 470, 5e-4, decay=0.05, warmup=50, start="mini_clip"),
)
# Supervised runs of other sizes, only for the line that effective robustness is measured from.
BASELINE: tuple[Recipe, ...] = (
    Recipe("baseline_tiny", "train", 2000, 160, 2e-3, decay=0.05, warmup=40),
    Recipe("baseline_small", "train", 4000, 250, 2e-3, decay=0.05, warmup=50),
    Recipe("baseline_half", "train", 10000, 400, 2e-3, decay=0.05, warmup=80),
    Recipe("baseline_short", "train", 20000, 300, 2e-3, decay=0.05, warmup=60),
    Recipe("baseline_slow", "train", 20000, 500, 5e-4, decay=0.05, warmup=60),
    Recipe("baseline_long", "train", 20000, 1400, 2e-3, decay=0.1),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*MODELS, *BASELINE)}

"""How each weight file is made (fixed data, steps, learning rates, seeds), and which to train."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The training of one model.

    Attributes:
        name: Model name.
        data: Set trained on.
        images: How many of its images.
        steps: Optimiser steps of `batch` images.
        rate: Peak learning rate (linear warm-up, held until step `hold`, then half a cosine down
            to zero).
        decay: AdamW weight decay of matrices.
        scale: Logit scale of contrastive training; `learned` lets it move.
        start: Model whose weights (and zero-shot head) training starts from.
    """

    name: str
    data: str
    images: int
    steps: int
    rate: float
    decay: float = 0.0
    batch: int = 128
    warmup: int = 200
    hold: int = 0
    scale: float = 0.0
    learned: bool = False
    start: str | None = None

    @property
    def contrastive(self) -> bool:
        """Whether images are trained against captions."""
        return self.scale > 0


_CLIP = Recipe("mini_clip", "web", 80000, 6000, 3e-3, hold=2000, scale=100.0)
_SOFT = Recipe(
    "mini_clip_soft",
    "web",
    80000,
    3200,
    1.5e-3,
    decay=0.1,
    hold=1800,
    scale=1 / 0.07,
    learned=True,
)
MODELS: tuple[Recipe, ...] = (
    _CLIP,
    _SOFT,
    Recipe("mini_supervised", "train", 20000, 938, 2e-3, decay=0.05),
    Recipe("mini_finetuned", "train", 20000, 470, 5e-4, decay=0.05, warmup=50, start="mini_clip"),
)
# Training seeds of the files that ship; why mini_clip's is not 0 is told in docs/miniature.md.
SEEDS = {"mini_clip": 1, "mini_clip_soft": 0, "mini_supervised": 1, "mini_finetuned": 1}
# Supervised runs of other sizes, only for the line that effective robustness is measured from.
BASELINE_SEEDS = (0, 1)
BASELINE: tuple[Recipe, ...] = (
    Recipe("baseline_tiny", "train", 2000, 120, 2e-3, decay=0.05, warmup=40),
    Recipe("baseline_small", "train", 4000, 160, 2e-3, decay=0.05, warmup=40),
    Recipe("baseline_half", "train", 10000, 250, 2e-3, decay=0.05, warmup=50),
    Recipe("baseline_short", "train", 20000, 100, 2e-3, decay=0.05, warmup=30),
    Recipe("baseline_slow", "train", 20000, 150, 1e-3, decay=0.05, warmup=30),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*MODELS, *BASELINE)}


@dataclass(frozen=True)
class TrainingJob:
    """One training.

    Attributes:
        recipe: What is trained.
        seed: Of initial weights and batch order.
        start: Recipe of the model it starts from (of the same seed), where it starts from one.
    """

    recipe: Recipe
    seed: int
    start: Recipe | None = None


def trainings_of(names: Sequence[str], seed: int | None) -> list[TrainingJob]:
    """Returns the trainings of models, the longest first; without any, of all that ship.

    Args:
        names: Of recipes.
        seed: None takes of each that of the file that ships.
    """
    trainings = [
        _training(name, SEEDS.get(name, 0) if seed is None else seed)
        for name in names or [recipe.name for recipe in MODELS]
    ]
    return sorted(trainings, key=lambda training: -training.recipe.steps)


def baseline_trainings() -> list[TrainingJob]:
    """Returns the supervised runs of the baseline, in the order of its table."""
    names = [recipe.name for recipe in (*BASELINE, RECIPES["mini_supervised"])]
    return [_training(name, seed) for name in names for seed in BASELINE_SEEDS]


def _training(name: str, seed: int) -> TrainingJob:
    recipe = RECIPES[name]
    return TrainingJob(recipe, seed, RECIPES[recipe.start] if recipe.start else None)

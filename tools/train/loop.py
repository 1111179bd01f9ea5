"""The training loop of the miniature's models; see `python -m tools.train --help`."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tools.train.cache import training_set
from tools.train.evaluation import to_input, zero_shot_weights
from tools.train.recipes import Recipe
from tuiprobe.errors import UsageError
from tuiprobe.miniature import world
from tuiprobe.miniature.captions import TEMPLATES
from tuiprobe.miniature.networks import CLIP, Classifier

SAVE_EVERY = 250


def new_model(recipe: Recipe, start: nn.Module | None = None) -> nn.Module:
    """Returns the model a recipe starts from."""
    if recipe.contrastive:
        clip: Any = CLIP()
        with torch.no_grad():
            if start is not None:
                clip.load_state_dict(start.state_dict())
            clip.logit_scale.fill_(math.log(recipe.scale))
        clip.logit_scale.requires_grad_(recipe.learned)
        trained: nn.Module = clip
        return trained
    model = Classifier(len(world.CLASS_NAMES))
    if start is not None:
        start.eval()
        model.visual.load_state_dict(start.visual.state_dict())  # type: ignore[union-attr]
        with torch.no_grad():
            model.head.weight.copy_(zero_shot_weights(start, world.CLASS_NAMES, TEMPLATES))
            model.head.bias.zero_()
    return model


def batches(recipe: Recipe, seed: int, first: int) -> Iterator[NDArray[np.int64]]:
    """Yields the image numbers of each step from step `first` on, epoch by epoch in new order."""
    per_epoch = recipe.images // recipe.batch
    for step in range(first, recipe.steps):
        epoch, at = divmod(step, per_epoch)
        if at == 0 or step == first:
            order = np.random.default_rng([seed, epoch]).permutation(recipe.images)
        yield np.sort(order[at * recipe.batch : (at + 1) * recipe.batch])


def rate_at(recipe: Recipe, step: int) -> float:
    """Returns the learning rate of a step."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    hold = max(recipe.hold, recipe.warmup)
    done = max(0.0, (step - hold) / max(1, recipe.steps - hold))
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * done))


def optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Returns AdamW with decay on matrices only."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": recipe.decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (0.9, 0.98) if recipe.contrastive else (0.9, 0.999)
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=betas, eps=1e-6, fused=True)


def loss_of(model: nn.Module, images: Tensor, target: Tensor, contrastive: bool) -> Tensor:
    """Returns the symmetric contrastive loss, or cross entropy with labels."""
    if not contrastive:
        return nn.functional.cross_entropy(model(images), target)
    image, text, scale = model(images, target)
    scores = scale * image @ text.T
    own = torch.arange(len(scores))
    loss = nn.functional.cross_entropy(scores, own) + nn.functional.cross_entropy(scores.T, own)
    return loss / 2


def train(
    recipe: Recipe,
    seed: int,
    folder: Path,
    start: nn.Module | None = None,
) -> nn.Module:
    """Trains a model by its recipe and returns it in eval mode.

    The state is saved under `folder` every 250 steps; a later call goes on from there.

    Args:
        recipe: What to train, and how long.
        seed: Seed of initial weights and batch order.
        folder: Cache of pixels and checkpoints, outside the package.
        start: Model to finetune, where the recipe names one.

    Raises:
        UsageError: If the saved state is of another recipe.
    """
    torch.manual_seed(1000 + seed)
    model = new_model(recipe, start)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optim = optimiser(model, recipe)
    saved = checkpoint(folder, recipe.name, seed)
    step = 0
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        if state.get("recipe") != asdict(recipe):
            raise UsageError(
                f"{saved} was trained by another recipe of {recipe.name}; delete it, or take "
                "another folder (--cache)."
            )
        model.load_state_dict(state["model"])
        optim.load_state_dict(state["optimiser"])
        step = state["step"]
    pixels, targets = training_set(folder, recipe)
    began = time.monotonic()
    total, count = 0.0, 0
    model.train()
    for numbers in batches(recipe, seed, step):
        for group in optim.param_groups:
            group["lr"] = rate_at(recipe, step)
        images = to_input(torch.from_numpy(pixels[numbers]))
        loss = loss_of(model, images, targets[torch.from_numpy(numbers)], recipe.contrastive)
        optim.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.step()
        step, total, count = step + 1, total + loss.item(), count + 1
        if step % SAVE_EVERY == 0 or step == recipe.steps:
            _save(saved, model, optim, step, recipe)
            seconds = time.monotonic() - began
            print(
                f"{recipe.name}: step {step}, loss {total / count:.4f}, {seconds:.0f} s", flush=True
            )
            total, count = 0.0, 0
    model.eval()
    return model


def checkpoint(folder: Path, name: str, seed: int) -> Path:
    """Returns the path of a training's last saved state."""
    return folder / f"{name}-{seed}.ckpt"


def _save(
    path: Path, model: nn.Module, optim: torch.optim.Optimizer, step: int, recipe: Recipe
) -> None:
    part = path.with_suffix(".part")
    state = {"model": model.state_dict(), "optimiser": optim.state_dict(), "step": step}
    state["recipe"] = asdict(recipe)
    torch.save(state, part)
    part.replace(path)

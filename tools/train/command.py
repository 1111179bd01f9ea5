"""Trains the miniature's models from scratch: `python -m tools.train`.

Fixed step counts and seeds, those of the files that ship unless --seed names another. Independent
trainings run side by side. Not bit-equal across machines; figures of the files that ship are
in docs/miniature.md. An interrupted training goes on from its last checkpoint.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from tools.train import cache, evaluation
from tools.train.loop import train
from tools.train.recipes import MODELS, RECIPES, TrainingJob, baseline_trainings, trainings_of
from tuiprobe.errors import TuiprobeError
from tuiprobe.files import Entry
from tuiprobe.miniature import data, weights, world
from tuiprobe.miniature.captions import WordTokenizer

Card = dict[str, Any]


def arguments() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.train", description=__doc__)
    names = [recipe.name for recipe in MODELS]
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=f"default: {' '.join(names)}, and the supervised runs of the baseline",
    )
    parser.add_argument(
        "--seed",
        type=int,
        help="initial weights and batch order; default: of each model that of the file that ships",
    )
    parser.add_argument(
        "--jobs", type=int, default=cache.CORES, help="trainings side by side (default: cores)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of each training")
    default = Path(tempfile.gettempdir()) / "tuiprobe-miniature"
    parser.add_argument("--cache", type=Path, default=default, help="pixels and checkpoints")
    parser.add_argument(
        "--output",
        type=Path,
        help="folder of weight files and cards; default: the package's own, and with --seed "
        "MODEL-SEED in the cache, so that nothing that ships is replaced",
    )
    return parser


def make(training: TrainingJob, folder: Path, images: int | None = None) -> Card:
    """Trains one model, evaluates its shipped form on the published images, returns its card.

    Weights and card are stored in `MODEL-SEED` in the cache. If they exist and have the same
    recipe, nothing is trained.

    Args:
        training: The training.
        folder: Cache folder.
        images: Images per set; by default all published ones.
    """
    trial, name = trial_folder(training, folder), training.recipe.name
    if (card := _finished(training, folder)) is not None:
        return card
    start = None if training.start is None else train(training.start, training.seed, folder)
    model = train(training.recipe, training.seed, folder, start)
    card = {"name": name, "seed": training.seed, "recipe": asdict(training.recipe)}
    card["vocabulary_sha256"] = WordTokenizer().digest
    save(model, name, card, trial)
    weights.restore(model, load_file(trial / f"{name}.safetensors"))  # as it ships, in float16
    card |= evaluation.evaluate(model, folder, images)
    save(model, name, card, trial)
    return card


def save(model: nn.Module, name: str, details: dict[str, Any], folder: Path) -> None:
    """Writes weights in float16 (running statistics in float32) and then their card."""
    state = {
        key: value.contiguous() if "running" in key else value.to(torch.float16).contiguous()
        for key, value in model.state_dict().items()
        if value.is_floating_point()
    }
    data = to_bytes(state)
    text = json.dumps({"sha256": hashlib.sha256(data).hexdigest(), **details}, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    Entry(folder, f"{name}.safetensors").write_bytes(data)
    Entry(folder, f"{name}.json").write_text(text + "\n")


def _prepare(threads: int) -> None:
    torch.set_num_threads(threads)
    # Gradients of a saturated softmax underflow; products with denormals take ten times as long.
    torch.set_flush_denormal(True)


def trial_folder(training: TrainingJob, folder: Path) -> Path:
    """Returns the folder of a training's weights and card in the cache."""
    return folder / f"{training.recipe.name}-{training.seed}"


def _finished(training: TrainingJob, folder: Path) -> Card | None:
    path = trial_folder(training, folder) / f"{training.recipe.name}.json"
    card: Card = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return card if "accuracy" in card and card["recipe"] == asdict(training.recipe) else None


def write_baseline(cards: Iterable[Card], path: Path) -> None:
    """Writes the accuracies of supervised runs as a table."""
    rows = [",".join(data.BASELINE_COLUMNS)]
    for card in cards:
        rate = {name: entry["hits"] / entry["n"] for name, entry in card["accuracy"].items()}
        recipe = card["recipe"]
        cells = [card["name"].split("_")[1], card["seed"], recipe["images"], recipe["steps"]]
        cells += [f"{rate[name]:.5f}" for name in ("val", *world.SHIFTS)]
        rows.append(",".join(str(cell) for cell in cells))
    Entry(path.parent, path.name).write_text("".join(f"{row}\n" for row in rows))


def train_all(
    trainings: Sequence[TrainingJob],
    folder: Path,
    *,
    jobs: int,
    threads: int = 1,
    images: int | None = None,
) -> dict[TrainingJob, Card]:
    """Trains models side by side and returns their cards.

    Models that start from another one are trained last.

    Args:
        trainings: What to train.
        folder: Cache folder.
        jobs: Processes.
        threads: Of each.
        images: Images per set for evaluation; by default all published ones.
    """
    for training in trainings:  # rendered before processes begin that would do so twice
        cache.training_set(folder, training.recipe)
        if training.start is not None:
            cache.training_set(folder, training.start)
    for name in ("val", *world.SHIFTS):
        cache.pixels(folder, name, images or world.size(name))
    cards: dict[TrainingJob, Card] = {}
    work = partial(make, folder=folder, images=images)
    # Spawned, not forked: a fork of a process that runs torch's threads may hang.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _prepare, (threads,)) as pool:
        for finetuned in (False, True):
            group = [each for each in trainings if (each.start is not None) is finetuned]
            for training, card in zip(group, pool.map(work, group), strict=True):
                cards[training] = card
                print(json.dumps(card), flush=True)
    return cards


def main() -> None:
    """Trains what the command line asks for."""
    args = arguments().parse_args()
    if unknown := set(args.models) - set(RECIPES):
        sys.exit(f"Unknown model {min(unknown)!r}; there are {', '.join(RECIPES)}.")
    everything = not args.models and args.seed is None
    output = args.output or (weights.FOLDER if args.seed is None else None)
    models = trainings_of(args.models, args.seed)
    others = baseline_trainings() if everything else []
    requested = list(dict.fromkeys([*models, *others]))
    try:
        cards = train_all(requested, args.cache, jobs=args.jobs, threads=args.threads)
    except TuiprobeError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted; the same command goes on from here.")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for training in models:
            for suffix in (".safetensors", ".json"):
                file = trial_folder(training, args.cache) / f"{training.recipe.name}{suffix}"
                shutil.copy(file, output)
        if everything:
            write_baseline((cards[training] for training in others), output / data.BASELINE)

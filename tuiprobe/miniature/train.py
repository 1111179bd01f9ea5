"""Trains the miniature's models from scratch: `python -m tuiprobe.miniature.train`.

Fixed step counts and seeds. Not bit-equal across machines; the bands that accuracies fall into are
in docs/miniature.md. An interrupted training goes on from its last checkpoint.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuiprobe.miniature import baseline, evaluation, weights, world
from tuiprobe.miniature.recipes import BASELINE, BASELINE_SEEDS, MODELS, RECIPES, Recipe
from tuiprobe.miniature.tokenizer import WordTokenizer
from tuiprobe.miniature.training import train


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tuiprobe.miniature.train", description=__doc__)
    names = [recipe.name for recipe in MODELS]
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"default: {' '.join(names)}")
    parser.add_argument("--seed", type=int, default=0, help="initial weights and batch order")
    parser.add_argument("--threads", type=int, default=1, help="small layers gain little from more")
    default = Path(tempfile.gettempdir()) / "tuiprobe-miniature"
    parser.add_argument("--cache", type=Path, default=default, help="pixels and checkpoints")
    parser.add_argument(
        "--output", type=Path, default=weights.FOLDER, help="weight files and cards"
    )
    return parser


def make(name: str, seed: int, cache: Path, output: Path) -> None:
    """Train one model, evaluate it on the published images as it will be shipped, and save it.

    The card of every run is kept in the cache; weights are written for the models that are shipped
    (those of `recipes.MODELS`), to `output`.
    """
    recipe = RECIPES[name]
    start = _started_from(recipe, seed, cache) if recipe.start else None
    model = train(recipe, seed, cache, start, evaluation.quick_report(cache))
    details = {"name": name, "seed": seed, "recipe": asdict(recipe)}
    details["vocabulary_sha256"] = WordTokenizer().digest
    trial = cache / f"{name}-{seed}"
    weights.save(model, name, details, trial)
    shipped = weights.restore(model, weights.load_file(trial / f"{name}.safetensors"), name)
    details |= evaluation.evaluate(shipped, cache, stream=0)
    weights.save(shipped, name, details, trial)
    if recipe in MODELS:
        weights.save(shipped, name, details, output)
    print(json.dumps(details), flush=True)


def make_baseline(cache: Path, output: Path) -> None:
    """Train what is missing of the supervised runs and write their table."""
    cards = []
    for recipe in (*BASELINE, RECIPES["mini_supervised"]):
        for seed in BASELINE_SEEDS:
            path = cache / f"{recipe.name}-{seed}" / f"{recipe.name}.json"
            if not path.exists():
                make(recipe.name, seed, cache, cache)
            cards.append(json.loads(path.read_text(encoding="utf-8")))
    write_baseline(cards, output / baseline.FILE)


def write_baseline(cards: list[dict[str, Any]], path: Path) -> None:
    """Write the accuracies of supervised runs as a table."""
    rows = [",".join(baseline.COLUMNS)]
    for card in cards:
        rate = {name: entry["hits"] / entry["n"] for name, entry in card["accuracy"].items()}
        recipe = card["recipe"]
        cells = [card["name"].split("_")[1], card["seed"], recipe["images"], recipe["steps"]]
        cells += [f"{rate[name]:.5f}" for name in ("val", *world.SHIFTS)]
        rows.append(",".join(str(cell) for cell in cells))
    part = path.with_suffix(".part")
    part.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    part.replace(path)


def _started_from(recipe: Recipe, seed: int, cache: Path) -> nn.Module:
    """Return the model of the same seed that a recipe starts from, trained first if need be."""
    before = RECIPES[recipe.start or ""]
    print(f"{recipe.name} starts from the end of {before.name}", file=sys.stderr)
    return train(before, seed, cache, report=evaluation.quick_report(cache))


def main() -> None:
    """Train what the command line asks for."""
    args = arguments().parse_args()
    unknown = [name for name in args.models if name not in RECIPES]
    if unknown:
        sys.exit(f"Unknown model {unknown[0]!r}; there are {', '.join(RECIPES)}.")
    torch.set_num_threads(args.threads)
    # Gradients of a saturated softmax underflow; products with denormals take ten times as long.
    torch.set_flush_denormal(True)
    for name in args.models or [recipe.name for recipe in MODELS]:
        make(name, args.seed, args.cache, args.output)
    if not args.models:
        make_baseline(args.cache, args.output)


if __name__ == "__main__":
    main()

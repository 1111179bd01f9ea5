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

import torch
from torch import nn

from tuiprobe.miniature import evaluation, weights
from tuiprobe.miniature.recipes import MODELS, RECIPES
from tuiprobe.miniature.tokenizer import WordTokenizer
from tuiprobe.miniature.training import new_model, train


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
    """Train one model, evaluate it on the published images as it will be shipped, and save it."""
    recipe = RECIPES[name]
    start = _started_from(recipe.start, seed, cache) if recipe.start else None
    model = train(recipe, seed, cache, start, evaluation.quick_report(cache))
    details = {"name": name, "seed": seed, "recipe": asdict(recipe)}
    details["vocabulary_sha256"] = WordTokenizer().digest
    weights.save(model, name, details, output)
    shipped = weights.restore(model, weights.load_file(output / f"{name}.safetensors"), name)
    details |= evaluation.evaluate(shipped, cache, stream=0)
    weights.save(shipped, name, details, output)
    print(json.dumps(details), flush=True)


def _started_from(name: str, seed: int, cache: Path) -> nn.Module:
    """Return the last checkpoint of another model of the same seed."""
    saved = cache / f"{name}-{seed}.ckpt"
    if not saved.exists():
        raise SystemExit(f"Train {name} with seed {seed} first: {saved} does not exist.")
    model = new_model(RECIPES[name])
    model.load_state_dict(torch.load(saved, weights_only=True)["model"])
    return model


def main() -> None:
    """Train what the command line asks for."""
    args = arguments().parse_args()
    unknown = [name for name in args.models if name not in RECIPES]
    if unknown:
        sys.exit(f"Unknown model {unknown[0]!r}; there are {', '.join(RECIPES)}.")
    torch.set_num_threads(args.threads)
    for name in args.models or [recipe.name for recipe in MODELS]:
        make(name, args.seed, args.cache, args.output)


if __name__ == "__main__":
    main()

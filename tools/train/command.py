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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save as to_bytes
from torch import nn

from tools.train import cache, evaluation
from tools.train.loop import train
from tools.train.recipes import MODELS, RECIPES, Training, baseline_jobs, jobs_for
from tuiprobe.errors import RunError, TuiprobeError
from tuiprobe.miniature import baseline, weights, world
from tuiprobe.miniature.captions import WordTokenizer

Card = dict[str, Any]
Result = TypeVar("Result")


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
        "--jobs", type=int, default=cache.cores(), help="trainings side by side (default: cores)"
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


def render(jobs: Iterable[Training], folder: Path, images: int | None = None) -> None:
    """Renders the missing inputs of trainings before they begin.

    Args:
        jobs: The trainings.
        folder: Cache folder.
        images: Images per set for evaluation; by default all published ones.
    """
    for job in jobs:
        for recipe in (job.recipe, *([job.start] if job.start else [])):
            cache.training_set(folder, recipe)
    evaluation.quick_report(folder, images or evaluation.TUNING_IMAGES)
    for name in ("val", *world.SHIFTS):
        cache.pixels(folder, name, images or world.size(name))


def make(job: Training, folder: Path, images: int | None = None) -> Card:
    """Trains one model, evaluates its shipped form on the published images, returns its card.

    Weights and card are stored in `MODEL-SEED` in the cache. If they exist and have the same
    recipe, nothing is trained.

    Args:
        job: The training.
        folder: Cache folder.
        images: Images per set; by default all published ones.
    """
    trial, name = trial_folder(job, folder), job.recipe.name
    if (card := _finished(job, folder)) is not None:
        return card
    report = evaluation.quick_report(folder, images or evaluation.TUNING_IMAGES)
    start = None if job.start is None else train(job.start, job.seed, folder, report=report)
    model = train(job.recipe, job.seed, folder, start, report)
    card = {"name": name, "seed": job.seed, "recipe": asdict(job.recipe)}
    card["vocabulary_sha256"] = WordTokenizer().digest
    save(model, name, card, trial)
    shipped = weights.restore(model, weights.load_file(trial / f"{name}.safetensors"), name)
    card |= evaluation.evaluate(shipped, folder, stream=0, count=images)
    save(shipped, name, card, trial)
    return card


def save(model: nn.Module, name: str, details: dict[str, Any], folder: Path) -> None:
    """Writes weights in float16 (running statistics in float32) and their card."""
    state = {
        key: value.contiguous() if "running" in key else value.to(torch.float16).contiguous()
        for key, value in model.state_dict().items()
        if value.is_floating_point()
    }
    data = to_bytes(state)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"sha256": hashlib.sha256(data).hexdigest(), **details}, indent=1)
    for path, content in (
        (folder / f"{name}.safetensors", data),
        (folder / f"{name}.json", (text + "\n").encode()),
    ):
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(path)


def _prepare(threads: int) -> None:
    torch.set_num_threads(threads)
    # Gradients of a saturated softmax underflow; products with denormals take ten times as long.
    torch.set_flush_denormal(True)


def trial_folder(job: Training, folder: Path) -> Path:
    """Returns the folder of a training's weights and card in the cache."""
    return folder / f"{job.recipe.name}-{job.seed}"


def _finished(job: Training, folder: Path) -> Card | None:
    path = trial_folder(job, folder) / f"{job.recipe.name}.json"
    card: Card = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return card if "accuracy" in card and card["recipe"] == asdict(job.recipe) else None


def publish(job: Training, folder: Path, output: Path) -> None:
    """Copies weights and card of a finished training to a folder, each by rename."""
    output.mkdir(parents=True, exist_ok=True)
    for suffix in (".safetensors", ".json"):
        target = output / f"{job.recipe.name}{suffix}"
        part = target.with_suffix(".part")
        shutil.copyfile(trial_folder(job, folder) / target.name, part)
        part.replace(target)


def write_baseline(cards: Iterable[Card], path: Path) -> None:
    """Writes the accuracies of supervised runs as a table."""
    rows = [",".join(baseline.COLUMNS)]
    for card in cards:
        rate = {name: entry["hits"] / entry["n"] for name, entry in card["accuracy"].items()}
        recipe = card["recipe"]
        cells = [card["name"].split("_")[1], card["seed"], recipe["images"], recipe["steps"]]
        cells += [f"{rate[name]:.5f}" for name in ("val", *world.SHIFTS)]
        rows.append(",".join(str(cell) for cell in cells))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    part.replace(path)


def next_job(waiting: Sequence[Training], unfinished: Sequence[Training]) -> Training | None:
    """Returns the first waiting job whose start model is already trained.

    Args:
        waiting: Jobs that have not begun.
        unfinished: Waiting and running jobs.
    """
    ahead = {(job.recipe.name, job.seed) for job in unfinished}
    for job in waiting:
        if job.start is None or (job.start.name, job.seed) not in ahead:
            return job
    return None


def run_jobs(
    jobs: Sequence[Training], work: Callable[[Training], Result], pool: Executor, limit: int
) -> Iterator[tuple[Training, Result]]:
    """Runs up to `limit` jobs at a time, and yields each as it ends.

    Raises the first failure; no further job starts after it.
    """
    waiting, running = list(jobs), dict[Future[Result], Training]()
    while waiting or running:
        while len(running) < limit and (job := next_job(waiting, [*waiting, *running.values()])):
            waiting.remove(job)
            running[pool.submit(work, job)] = job
        if not running:
            raise ValueError(f"{waiting[0].recipe.name} waits for a training that waits for it")
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future.result()


def train_all(
    models: Sequence[Training],
    others: Sequence[Training],
    folder: Path,
    output: Path | None,
    *,
    jobs: int,
    threads: int = 1,
    images: int | None = None,
) -> dict[Training, Card]:
    """Trains models side by side and returns their cards.

    Args:
        models: Trainings whose files go to `output`.
        others: Trainings that begin when no model is waiting for a process.
        folder: Cache folder.
        output: Where files go; None leaves them in the cache.
        jobs: Processes.
        threads: Of each.
        images: Images per set for evaluation; by default all published ones.
    """
    wanted = list(dict.fromkeys([*models, *others]))
    render(wanted, folder, images)
    cards: dict[Training, Card] = {}
    work = partial(make, folder=folder, images=images)
    # Spawned, not forked: a fork of a process that runs torch's threads may hang.
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _prepare, (threads,)) as pool:
        try:
            for job, card in run_jobs(wanted, work, pool, jobs):
                cards[job] = card
                if output is not None and job in models:
                    publish(job, folder, output)
                print(json.dumps(card), flush=True)
        except BaseException as error:
            for child in active_children():  # else the others would train to their end first
                child.terminate()
            if isinstance(error, BrokenProcessPool):
                raise RunError(
                    "A training process died, perhaps of too little memory (see --jobs); the "
                    "same command goes on from its last checkpoint."
                ) from error
            raise
    return cards


def main() -> None:
    """Trains what the command line asks for."""
    args = arguments().parse_args()
    unknown = [name for name in args.models if name not in RECIPES]
    if unknown:
        sys.exit(f"Unknown model {unknown[0]!r}; there are {', '.join(RECIPES)}.")
    if args.jobs < 1:
        sys.exit(f"--jobs {args.jobs}: at least one training has to run.")
    everything = not args.models and args.seed is None
    output = args.output or (weights.FOLDER if args.seed is None else None)
    wanted = jobs_for(args.models, args.seed)
    models = [job for job in wanted if job.recipe in MODELS]
    others = baseline_jobs() if everything else [job for job in wanted if job not in models]
    try:
        cards = train_all(models, others, args.cache, output, jobs=args.jobs, threads=args.threads)
    except TuiprobeError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        sys.exit(130)
    if everything and output is not None:
        write_baseline((cards[job] for job in others), output / baseline.FILE)

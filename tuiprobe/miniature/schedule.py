"""Which training runs when, where several run side by side and one may wait for another."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import TypeVar

from tuiprobe.miniature.recipes import Recipe

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        recipe: What is trained.
        seed: Of initial weights and batch order.
        start: Recipe of the model it starts from (of the same seed), where it starts from one.
    """

    recipe: Recipe
    seed: int
    start: Recipe | None = None


def next_job(waiting: Sequence[Job], unfinished: Sequence[Job]) -> Job | None:
    """Return the first job in the order given whose start is not still to be trained.

    Args:
        waiting: Jobs that did not begin.
        unfinished: These and the running ones.
    """
    ahead = {(job.recipe.name, job.seed) for job in unfinished}
    for job in waiting:
        if job.start is None or (job.start.name, job.seed) not in ahead:
            return job
    return None


def run_jobs(
    jobs: Sequence[Job], work: Callable[[Job], Result], pool: Executor, limit: int
) -> Iterator[tuple[Job, Result]]:
    """Run jobs side by side, as many as `limit` at a time, and yield each as it ends.

    The first that fails raises here; no other begins after it.
    """
    waiting, running = list(jobs), dict[Future[Result], Job]()
    while waiting or running:
        while len(running) < limit and (job := next_job(waiting, [*waiting, *running.values()])):
            waiting.remove(job)
            running[pool.submit(work, job)] = job
        if not running:
            raise ValueError(f"{waiting[0].recipe.name} waits for a training that waits for it")
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future.result()

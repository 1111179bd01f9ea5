"""Figures of a training, logged step by step."""

from typing import Any

import pytest
import torch

import tuiprobe
from tests.watching.networks import LAYERS, network, pictures


class Board:
    """Keeps scalars as TensorBoard's writer takes them."""

    def __init__(self) -> None:
        self.scalars: dict[tuple[str, int], float] = {}

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars[name, step] = value


class Run:
    """Keeps values as the runs of Weights & Biases take them."""

    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, Any], int]] = []

    def log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((values, step))


def test_each_logged_point_describes_what_was_seen_since_the_one_before() -> None:
    model, board = network(), Board()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    with tuiprobe.watch(model, LAYERS, every=2) as watched:
        for step in range(8):
            model(pictures(16, step)).square().mean().backward()
            optimiser.step()
            if step % 4 == 3:
                watched.log(step, board)
    assert "the last one at step 7" in watched.table()
    names = {name for name, _ in board.scalars}
    assert names == {
        f"tuiprobe/{layer}/{figure}"
        for layer in ("stem", "blocks.0", "blocks.1", "blocks.2", "head")
        for figure in (
            "kurtosis",
            "persistence",
            "share",
            "images",
            "outlier_channels",
            "nonfinite",
        )
    }
    assert board.scalars["tuiprobe/head/images", 3] == 32  # two of four calls of 16
    with tuiprobe.watch(model, "head") as now:
        model(pictures(16))
    last = now.figures()[0].scalars()["kurtosis"]
    assert board.scalars["tuiprobe/head/kurtosis", 7] == pytest.approx(last, rel=0.2)
    assert board.scalars["tuiprobe/head/kurtosis", 3] != board.scalars["tuiprobe/head/kurtosis", 7]


def test_after_a_log_the_figures_stay_and_another_writer_is_refused() -> None:
    model, run = network(), Run()
    with tuiprobe.watch(model, "head") as watched:
        model(pictures(8))
        before = watched.figures()
        with pytest.raises(TypeError, match="list has none"):
            watched.log(1, [])
        watched.log(1, run)  # nothing was lost
        assert watched.figures() == before
        watched.log(2, run)  # nothing new
        model(pictures(4))
    assert [step for _, step in run.logged] == [1]
    assert run.logged[0][0]["tuiprobe/head/images"] == 8
    assert watched.figures()[0].images == 4


class Logger:
    """Takes metrics as the loggers of Lightning do; `log` of another kind is not called."""

    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, float], int | None]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.logged.append((metrics, step))

    def log(self, name: str, value: float) -> None:
        raise AssertionError(name)


def test_loggers_of_lightning_are_writers() -> None:
    model, logger = network(), Logger()
    with tuiprobe.watch(model, "head") as watched:
        model(pictures(8))
        watched.log(3, logger)
    [(metrics, step)] = logger.logged
    assert (metrics["tuiprobe/head/images"], step) == (8, 3)


def test_the_share_of_values_that_are_not_finite_is_logged() -> None:
    model, run, x = network(), Run(), pictures(8)
    x[:2] = torch.nan
    with tuiprobe.watch(model, LAYERS) as watched:
        model(x)
        watched.log(1, run)
    assert {run.logged[0][0][f"tuiprobe/{name}/nonfinite"] for name in ("stem", "head")} == {0.25}


def test_training_and_evaluation_are_logged_apart() -> None:
    model, run = network().train(), Run()
    with tuiprobe.watch(model, "head") as watched:
        for step in range(2):
            model.train()(pictures(8))
            model.eval()(pictures(3))
            watched.log(step, run)
    for values, _ in run.logged:
        assert values["tuiprobe/head/images"] == 8
        assert values["tuiprobe/head-eval/images"] == 3

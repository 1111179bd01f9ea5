"""Figures of a training, logged step by step."""

from __future__ import annotations

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
    names = {name for name, _ in board.scalars}
    assert names == {
        f"tuiprobe/{layer}/{figure}"
        for layer in ("stem", "blocks.0", "blocks.1", "blocks.2", "head")
        for figure in ("kurtosis", "persistence", "share", "images", "outlier_channels")
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
        with pytest.raises(TypeError, match="list has neither"):
            watched.log(1, [])
        watched.log(1, run)  # nothing was lost
        assert watched.figures() == before
        watched.log(2, run)  # nothing new
        model(pictures(4))
    assert [step for _, step in run.logged] == [1]
    assert run.logged[0][0]["tuiprobe/head/images"] == 8
    assert watched.figures()[0].images == 4

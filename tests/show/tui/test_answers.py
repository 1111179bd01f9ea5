"""Lines of the live screen: the accuracy of a model, whatever the roles and the order of sets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import Summary
from tuiprobe.measure.run.view import RunView
from tuiprobe.results import is_known
from tuiprobe.show.tui.control import run_mark
from tuiprobe.show.tui.widgets.forest import model_row

RIGHT = {"val": 96, "a": 40, "b": 70, "concepts": 10, "street": None}
"""Right answers of 100 by set: in distribution, two shifts, the concept set, a target."""


def view_of(run: Path, planned: list[str], answered: list[str]) -> RunView:
    """Reads a run that measures sets, of which some have answers, in the order of `answered`."""
    (run / "status").mkdir(parents=True)
    (run / "key").write_text("0" * 64 + "\n")
    sets = [
        {"name": name, "planned": 200, "shards": 2, "target": RIGHT[name] is None}
        for name in planned
    ]
    (run / "plan.json").write_text(json.dumps({"sets": sets, "concept_set": "concepts"}))
    answers = {name: {"images": 100, "right": RIGHT[name]} for name in answered}
    status = {"host": "node", "sequence": 1, "phase": "extract", "set": "val", "answers": answers}
    (run / "status" / "0.json").write_text(json.dumps(status))
    return RunView.read(RunDir(run), live=True)


@pytest.mark.parametrize(
    "order", [("a", "b", "concepts", "street"), ("street", "b", "a", "concepts")]
)
def test_the_mean_is_over_the_shifts_alone_whatever_the_order_of_sets(order, tmp_path):
    shares = np.array([(40 + 2) / 104, (70 + 2) / 104])
    half = 1.96 * np.sqrt((shares * (1 - shares) / 100).sum()) / 2
    for number, answered in enumerate(([*sorted(RIGHT)], [*order, "val"])):
        row = model_row(view_of(tmp_path / str(number), ["val", *order], answered), run_mark(0))
        assert row.ends == pytest.approx((0.55 - half, 0.55, 0.55 + half), abs=1e-4)
        assert row.evidence == "100 images each"
    row = model_row(view_of(tmp_path / "some", ["val", *order], ["val", "a"]), run_mark(0))
    assert row.ends.value == 0.4
    assert row.evidence == "100 images of 1 of 2 sets"
    row = model_row(view_of(tmp_path / "none", ["val", *order], ["val", "concepts"]), run_mark(0))
    assert row.ends is None


def test_without_shifts_a_model_is_judged_by_its_first_set(tmp_path: Path) -> None:
    row = model_row(view_of(tmp_path / "run", ["val", "street"], ["street", "val"]), run_mark(0))
    assert row.ends.value == 0.96


def test_the_last_live_figures_are_those_of_the_results(default_run):
    done = RunView.read(RunDir(default_run[1]), live=True)
    live = replace(done, state="running", summary=Summary.absent())
    assert live.answers
    assert is_known(done.summary.shifts)
    lines = [model_row(view, run_mark(0)) for view in (live, done)]
    assert lines[0].figure == lines[1].figure
    assert lines[0].ends == lines[1].ends

import math
from pathlib import Path

import pytest
import scipy.stats

from tuiprobe.errors import WeightsError
from tuiprobe.miniature.baseline import (
    COLUMNS,
    FILE,
    BaselineRow,
    baseline_rows,
    effective_robustness,
    fit_line,
)
from tuiprobe.miniature.profiles import SHIFTS
from tuiprobe.miniature.train import write_baseline


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def row(val: float, shift: float) -> BaselineRow:
    return BaselineRow("m", 0, 1, 1, val, dict.fromkeys(SHIFTS, shift))


def card(val: float, shift: float, n: int = 100_000) -> dict:
    accuracy = {name: {"hits": round(shift * n), "n": n} for name in SHIFTS}
    return {"val": {"hits": round(val * n), "n": n}, **accuracy}


def test_the_line_is_least_squares_in_logits() -> None:
    rows = tuple(row(v, s) for v, s in ((0.3, 0.2), (0.5, 0.3), (0.7, 0.5), (0.9, 0.6)))
    line = fit_line(rows)
    wanted = scipy.stats.linregress(
        [logit(r.val) for r in rows], [logit(r.shifts["a"]) for r in rows]
    )
    assert (line.a, line.b) == pytest.approx((wanted.slope, wanted.intercept))


def test_a_planted_effective_robustness_comes_back() -> None:
    # logit(shift) = logit(val) - 1, with a little scatter
    points = [
        (v, 1 / (1 + math.exp(-(logit(v) - 1 + e))))
        for v, e in ((0.3, 0.01), (0.5, -0.01), (0.7, -0.01), (0.9, 0.01))
    ]
    line = fit_line(tuple(row(v, s) for v, s in points))
    beta = 1 / (1 + math.exp(-(logit(0.8) - 1)))
    above = effective_robustness(card(0.8, beta + 0.2), line)
    assert above["effective_robustness"] == pytest.approx(0.2, abs=0.005)
    assert above["prediction_low"] > 0
    on_the_line = effective_robustness(card(0.8, beta), line)
    assert on_the_line["prediction_low"] < 0 < on_the_line["prediction_high"]
    assert effective_robustness(card(0.95, 0.5), line)["extrapolated"]


def test_the_table_is_written_and_read_back(tmp_path: Path) -> None:
    recipe = {"images": 2000, "steps": 120}
    cards = [{"name": "mini_tiny", "seed": 4, "recipe": recipe, "accuracy": card(0.5, 0.25)}]
    write_baseline(cards, tmp_path / FILE)
    (found,) = baseline_rows(tmp_path)
    assert (found.model, found.seed, found.images, found.steps) == ("tiny", 4, 2000, 120)
    assert (found.val, found.shifts["sketch"]) == (0.5, 0.25)


@pytest.mark.parametrize(
    "text", [None, "model,seed\nx,1\n", ",".join(COLUMNS) + "\nx,y" + ",1" * 8]
)
def test_a_missing_or_damaged_table_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(WeightsError, match="Cannot read the baseline"):
        baseline_rows(tmp_path)


def test_the_shipped_runs_fit_a_line() -> None:
    rows = baseline_rows()
    assert len(rows) >= 6
    line = fit_line(rows)
    assert line.a > 0
    assert line.scatter < 0.5

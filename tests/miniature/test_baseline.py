from pathlib import Path

import pytest

from tools.train.command import write_baseline
from tuiprobe.errors import WeightsError
from tuiprobe.miniature.baseline import COLUMNS, FILE, baseline_rows
from tuiprobe.miniature.profiles import SHIFTS


def card(val: float, shift: float, n: int = 100_000) -> dict:
    accuracy = {name: {"hits": round(shift * n), "n": n} for name in SHIFTS}
    return {"val": {"hits": round(val * n), "n": n}, **accuracy}


def test_the_table_is_written_and_read_back(tmp_path: Path) -> None:
    recipe = {"images": 2000, "steps": 120}
    cards = [{"name": "mini_tiny", "seed": 4, "recipe": recipe, "accuracy": card(0.5, 0.25)}]
    write_baseline(cards, tmp_path / FILE)
    (row,) = baseline_rows(tmp_path)
    assert (row.model, row.seed, row.images, row.steps) == ("tiny", 4, 2000, 120)
    assert (row.val, row.shifts["sketch"]) == (0.5, 0.25)


@pytest.mark.parametrize(
    "text", [None, "model,seed\nx,1\n", ",".join(COLUMNS) + "\nx,y" + ",1" * 8]
)
def test_a_missing_or_damaged_table_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(WeightsError, match="Cannot read the baseline"):
        baseline_rows(tmp_path)


def test_the_shipped_runs_are_enough_for_a_line() -> None:
    rows = baseline_rows()
    assert len(rows) >= 7
    assert len({row.val for row in rows}) == len(rows)
    assert all(0 < value < row.val < 1 for row in rows for value in row.shifts.values())

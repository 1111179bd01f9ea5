from tools.train.command import write_baseline
from tuiprobe.miniature import weights
from tuiprobe.miniature.data import BASELINE, baseline_rows
from tuiprobe.miniature.scene import SHIFTS


def card(val: float, shift: float, n: int = 100_000) -> dict:
    accuracy = {name: {"hits": round(shift * n), "n": n} for name in SHIFTS}
    return {"val": {"hits": round(val * n), "n": n}, **accuracy}


def test_the_table_is_written_and_read_back(tmp_path, monkeypatch):
    recipe = {"images": 2000, "steps": 120}
    cards = [{"name": "mini_tiny", "seed": 4, "recipe": recipe, "accuracy": card(0.5, 0.25)}]
    write_baseline(cards, tmp_path / BASELINE)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    (row,) = baseline_rows()
    assert (row.model, row.tag, row.imagenet) == ("tiny", "seed 4", 0.5)
    assert row.shifts["sketch"] == 0.25


def test_the_shipped_runs_are_enough_for_a_line() -> None:
    rows = baseline_rows()
    assert len(rows) >= 7
    assert len({row.imagenet for row in rows}) == len(rows)
    assert all(0 < value < (row.imagenet or 0) < 1 for row in rows for value in row.shifts.values())

"""Agreement on the line in `tuiprobe compare`: tables, JSON, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.measure.fake_run import KEY, FakeSet, model, vouch, write_run
from tests.report.samples import report
from tuiprobe.answer.per_image import image_values
from tuiprobe.cli.app import run_cli
from tuiprobe.probes.reader import RunReader
from tuiprobe.results import Weights
from tuiprobe.run.directory import RunDir
from tuiprobe.run.per_image import write_per_image
from tuiprobe.run.results import write_results

CLASSES, IMAGES, MODELS = 6, 3000, 5


def written(folder: Path, number: int, noise: float, *, images: int = IMAGES, **about: str) -> str:
    """Writes a run of one model: a shared scene plus its own noise, and unlabelled images."""
    shared = np.random.default_rng(0).standard_normal((3, IMAGES, CLASSES))
    own = np.random.default_rng(number + 1).standard_normal((2, IMAGES, CLASSES))
    labels = (shared[0] + 0.5 * shared[2]).argmax(axis=1)
    val, street = shared[0] + noise * own[0], 0.5 * shared[1] + noise * own[1]
    sets = {
        "val": FakeSet(val.astype("f4"), labels),
        "street": FakeSet(street[:images].astype("f4"), None, more={"target": True}),
    }
    weights = Weights(kind="pretrained", source="x", digest=f"{number:064x}")
    more = {"name": f"m{number}", "training": "zero-shot", "weights": weights, **about}
    run = write_run(
        folder / f"m{number}", sets, np.eye(CLASSES), about=more,
        extra_head={"answers/street": np.arange(CLASSES)},
    )  # fmt: skip
    write_results(run, report(key=run.read_key(), model=model(width=CLASSES, **more)))
    vouch(run)
    write_per_image(run, KEY, image_values(RunReader(run)))
    vouch(run)  # the report is of other sets
    return str(run.path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("agreement")
    return [written(folder, i, noise) for i, noise in enumerate(np.linspace(0.2, 1.0, MODELS))]


def block(runs: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert run_cli(["compare", *runs, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["agreement"]


@pytest.mark.slow
def test_a_row_a_model_as_table_page_and_json(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    content = block(runs, capsys)
    (street,) = content["sets"]
    assert (content["first"], street["data"], street["images"]) == ("val", "street", IMAGES)
    assert (street["pairs"], street["refused"]) == (10, "")
    assert street["r2"] >= 0.95
    assert [row["model"] for row in street["models"]] == [f"m{i}" for i in range(MODELS)]
    for more, place in (((), "Agreement on the line\n"), (("--html",), "")):
        assert run_cli(["compare", *runs, *more]) == 0
        out = capsys.readouterr().out.partition(place)[2] if place else capsys.readouterr().out
        assert "10 pairs of models on 3,000 images" in out


def test_too_few_models_are_told_what_is_needed(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["compare", *runs[:4]]) == 0
    out = capsys.readouterr().out
    assert "takes 5 to 40 models with heads on the same labelled and target images, not 4" in out
    assert block(runs[:2], capsys) is None


@pytest.mark.slow
def test_what_does_not_fit_is_a_line_and_no_error(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(number: int, gone: str = "", **about: Any) -> str:
        run = written(tmp_path, number, 0.5, **about)
        if gone:
            getattr(RunDir(Path(run)), gone).path.unlink()
        content = block([*runs[:4], run], capsys)
        (street,) = content["sets"] or [{"r2": None, "models": [], "refused": ""}]
        assert (street["r2"], street["models"]) == (None, [])
        reason = content["refused"] or street["refused"]
        assert isinstance(reason, str)
        return reason

    assert "of one training kind, not 2" in refused(8, training="supervised")
    assert all(refused(5 + i, gone=f"{name}_file") for i, name in enumerate(("head", "plan")))
    apart = [written(tmp_path, 20 + i, 0.5) for i in range(MODELS)]
    assert "the agreement line has R^2" in block(apart, capsys)["sets"][0]["refused"]

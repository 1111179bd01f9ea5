"""`tuiprobe agreement`: tables, JSON, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.measure.fake_run import FakeSet, write_run
from tuiprobe.cli.app import run_cli
from tuiprobe.results import Weights

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
    return str(run.path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("agreement")
    return [written(folder, i, noise) for i, noise in enumerate(np.linspace(0.2, 1.0, MODELS))]


@pytest.mark.slow
def test_a_row_a_model_as_table_and_as_json(
    runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["agreement", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (street,) = found["sets"]
    assert (found["first"], street["data"], street["images"]) == ("val", "street", IMAGES)
    assert (street["pairs"], street["refused"]) == (10, "")
    assert street["r2"] >= 0.95
    assert [one["model"] for one in street["models"]] == [f"m{i}" for i in range(MODELS)]
    assert run_cli(["agreement", *runs]) == 0
    out = capsys.readouterr().out
    assert "10 pairs of models on 3,000 images" in out
    assert "| m4 |" in out


def test_too_few_models_are_refused(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["agreement", *runs[:4]]) == 2
    assert "takes 5 to 40 models, not 4" in capsys.readouterr().err


@pytest.mark.slow
def test_other_images_and_kinds_are_refused(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = written(tmp_path, 9, 0.5, images=2500)
    assert run_cli(["agreement", *runs[:4], other]) == 2
    assert "2 different samples of street" in capsys.readouterr().err
    supervised = written(tmp_path, 8, 0.5, training="supervised")
    assert run_cli(["agreement", *runs[:4], supervised]) == 2
    assert "of one training kind, not 2: supervised, zero-shot" in capsys.readouterr().err


def test_agreement_off_the_line_ends_with_data_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [written(tmp_path, i, 0.5) for i in range(MODELS)]
    assert run_cli(["agreement", *paths]) == 4
    said = capsys.readouterr()
    assert "Refused: the agreement line has R^2" in said.out
    assert "refused for every set" in said.err

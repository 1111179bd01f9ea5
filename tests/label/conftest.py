"""Finished runs of two models on a few pictures, with two target sets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tuiprobe import miniature, probe

MODELS = ("mini_clip_soft", "mini_finetuned")
PICTURES = 40


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a run of each model, and the pictures of its target `photos`."""
    place = tmp_path_factory.mktemp("labelled")
    miniature.export(place / "all", sets=("street",), layouts=("imagefolder",), images=PICTURES)
    shutil.move(place / "all/imagefolder/street", place / "photos")
    targets = ("miniature:street", f"imagefolder:{place / 'photos'}")
    for model in MODELS:
        output = str(place / "runs" / model)
        probe(
            model, "miniature:val", output=output, target=targets, sample=PICTURES, concepts="none"
        )
    return place


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> list[Path]:
    """Returns the run directories in a folder of the test's own."""
    for model in MODELS:
        target = tmp_path / "runs" / model
        shutil.copytree(finished / "runs" / model, target, copy_function=os.link)
    return [tmp_path / "runs" / model for model in MODELS]

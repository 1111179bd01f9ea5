"""Shared fixtures: no network, real photographs as files."""

import fcntl
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

from tests.prepared import Prepared
from tests.settled import settled
from tuiprobe.measure.engine.stopping import SIGNALS

os.environ["HF_HUB_OFFLINE"] = "1"
# Compiled files are kept even where the environment forbids it: otherwise each process that a test
# starts compiles the program, and each test process compiles all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.setdefault("NO_COLOR", "1")
os.environ.pop("COLUMNS", None)  # set by pytest-xdist; tests of widths set it
# Read when torch and numpy are imported. A thread that spins for another one keeps it from its core
# where two test processes share two cores: the same run takes twice the time. No figure depends on
# it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")


@pytest.fixture(scope="session", autouse=True)
def one_command_line() -> Iterator[None]:
    """Builds the command line once: 20 ms that a process spends once, and tests by the thousand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    """Lets a run that names no number of threads take one: each core has a test process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
        yield


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Restores the handlers that a program, which would end, leaves behind."""
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def keys_have_their_effect() -> Iterator[None]:
    """Lets a key that a test presses have its whole effect, however busy the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("app", "pilot"):
            patch.setattr(f"textual.{module}.wait_for_idle", settled)
        yield


class Printed(NamedTuple):
    """What a command wrote to its two streams."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        """The value that a command with `--json` wrote."""
        return json.loads(self.out)


Program = Callable[..., Printed]


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    """Returns a function that runs the program in process and checks its exit code."""
    from tuiprobe.show.cli.app import run_cli

    def run(*words: str, code: int = 0) -> Printed:
        capsys.readouterr()
        assert run_cli([*words]) == code
        return Printed(*capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def prepared() -> Iterator[Prepared]:
    """Yields a process that runs of the program are forked from."""
    with Prepared() as process:
        yield process


@contextmanager
def shared(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """Yields a folder of all test processes to one of them at a time; the first one fills it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@pytest.fixture(scope="session")
def default_run(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Returns how the default run of few images ended, and its directory, for all its readers."""
    words = ["--headless", "--sample", "60", "--concept-sample", "320", "--threads", "1"]
    with shared(tmp_path_factory, "default") as folder:
        ended = folder / "ended.json"
        if not ended.exists():
            first = prepared.run(*words, cwd=folder)
            ended.write_text(json.dumps([first.returncode, first.stdout, first.stderr]))
    done = subprocess.CompletedProcess(words, *json.loads(ended.read_text()))
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs").iterdir()
    return done, run


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of two class folders with crops of real photographs as JPEG files."""
    from skimage import data

    root = tmp_path_factory.mktemp("photographs", numbered=False)
    pictures = {
        "animal": [data.astronaut(), data.chelsea()],
        "thing": [data.coffee(), data.rocket()],
    }
    for name, images in pictures.items():
        write_crops(root / name, images, crops=9)
    return root


@pytest.fixture(scope="session")
def runs_on_targets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with runs of two models on 40 pictures of the targets street and photos.

    `photos` beside them has files: the first pictures of the street.
    """
    from tuiprobe import miniature, probe

    place = tmp_path_factory.mktemp("targets")
    miniature.export(place / "all", sets=("street",), layouts=("imagefolder",), images=40)
    shutil.move(place / "all/imagefolder/street", place / "photos")
    targets = ("miniature:street", f"imagefolder:{place / 'photos'}")
    for model in ("mini_clip_soft", "mini_finetuned"):
        output = str(place / "runs" / model)
        probe(
            model, "miniature:val", output=output, target=targets, sample=40, concepts="none",
            threads=1, workers=0,
        )  # fmt: skip
    return place


@pytest.fixture
def label_runs(runs_on_targets: Path, tmp_path: Path) -> list[Path]:
    """Returns these run directories in a folder of the test's own, for labels beside them."""
    for run in sorted((runs_on_targets / "runs").iterdir()):
        shutil.copytree(run, tmp_path / "runs" / run.name, copy_function=os.link)
    return sorted((tmp_path / "runs").iterdir())


def write_crops(folder: Path, images: list, crops: int) -> None:
    """Writes crops of several sizes and places of each picture."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(len(folder.name))
    for number, image in enumerate(images):
        height, width = image.shape[:2]
        for crop in range(crops):
            size = int(draws.integers(120, min(height, width)))
            top, left = draws.integers(0, height - size), draws.integers(0, width - size)
            picture = Image.fromarray(image[top : top + size, left : left + size])
            picture.save(folder / f"{number}-{crop}.jpg", quality=90)


def pytest_collection_finish() -> None:
    """Leaves what is imported and collected out of collections of garbage: 0.3 s in each."""
    gc.freeze()

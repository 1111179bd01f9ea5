"""Real encoders from checkpoint files that the tests write, and the program as a subprocess."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.prepared import Forked, Prepared
from tuiprobe.measure.engine.opening import RunOutcome
from tuiprobe.measure.run.status import Event, Listener
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest, make_spec

SMALL = "timm:test_resnet.r160_in1k"
"""A real, tiny timm architecture: fast enough to run whole jobs in a test."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns weights for SMALL, random from a fixed seed."""
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "small.safetensors")


def write_checkpoint(path: Path) -> Path:
    """Writes random weights for SMALL from a fixed seed."""
    import timm
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = timm.create_model(SMALL.removeprefix("timm:"), pretrained=False)
    save_file(model.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns 96 small images in three class folders."""
    root = tmp_path_factory.mktemp("data") / "pictures0"  # the name of the set in files of runs
    write_pictures(root, 96)
    return root


@pytest.fixture(scope="session")
def one_red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns 48 images and a red one, at which `faulty` fails to decode."""
    root = tmp_path_factory.mktemp("data") / "photos"
    write_pictures(root, 48)
    Image.new("RGB", (16, 16), (255, 0, 0)).save(root / "class0" / "red.png")
    return root


def write_pictures(root: Path, count: int, classes: int = 3) -> None:
    """Writes smooth random images, as PNG, in class folders."""
    import numpy as np

    draws = np.random.default_rng(5)
    for number in range(count):
        folder = root / f"class{number % classes}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = draws.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((48, 48)).save(folder / f"{number:05d}.png")


@pytest.fixture
def tuiprobe(prepared: Prepared, tmp_path: Path) -> Run:
    """Returns a function that runs the program in an empty folder."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return prepared.run(*arguments, cwd=tmp_path, **options)

    return run


def job(checkpoint: Path, data: Path, output: Path, *more: str | Path) -> list[str | Path]:
    """Returns the arguments of a small headless run."""
    return [
        "--headless", "--model", SMALL, "--checkpoint", checkpoint,
        "--data", f"imagefolder:{data}", "--output", output,
        "--batch-size", "4", "--threads", "1", "--workers", "0", *more,
    ]  # fmt: skip


def small_job(
    data: Path, output: Path, *more: str, model: str = "colors", workers: int = 0
) -> list[str]:
    """Returns the arguments of a headless run of an encoder of this folder, in small batches."""
    return [
        "--headless", "--model", f"py:tests.measure.engine.{model}:build",
        "--data", f"imagefolder:{data}", "--output", str(output),
        "--batch-size", "4", "--threads", "1", "--workers", str(workers), *more,
    ]  # fmt: skip


def measured(
    data: Path | str, output: Path, *, listen: Listener = lambda event: None, mix: bool = False,
    model: str = "colors", **options: Any,
) -> RunOutcome:  # fmt: skip
    """Does in this process what `small_job` describes, and lets a test hear the events."""
    source = data if isinstance(data, str) else f"imagefolder:{data}"
    given = {"batch_size": 4, "threads": 1, "workers": 0, **options}
    spec = make_spec(f"py:tests.measure.engine.{model}:build", source, given)
    request = RunRequest(spec=spec, output=output, mix=mix)
    return run([request], listen=lambda _, event: listen(event))[0]


def when_measuring(act: Callable[[], object]) -> Listener:
    """Returns a listener that acts once, as the first image is about to be measured."""
    waiting = [act]

    def hear(event: Event) -> None:
        if event.data.get("stage") == "extract" and waiting:
            waiting.pop()()

    return hear


def results(run: Path) -> dict[str, Any]:
    """Returns the results of a run, without the time that it took."""
    report: dict[str, Any] = json.loads((run / "results.json").read_text())
    del report["timings"]
    return report


def shard_files(run: Path) -> list[Path]:
    """Returns the published shards of a run, in order."""
    return sorted(run.glob("shards/[!.]*"))


def until(condition: Callable[[], object], *processes: Forked, seconds: float = 120) -> None:
    """Waits for a condition, as long as one of the processes lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        messages = [process.stderr for process in processes]
        assert time.monotonic() < deadline, messages
        assert any(process.poll() is None for process in processes), messages
        time.sleep(0.01)

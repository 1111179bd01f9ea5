"""Real encoders from checkpoint files that the tests write, and the program as a subprocess."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.prepared import Prepared

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
    root = tmp_path_factory.mktemp("pictures")
    write_pictures(root, 96)
    return root


def write_pictures(root: Path, count: int, classes: int = 3) -> None:
    """Writes smooth random images, as PNG, in class folders."""
    import numpy as np
    from PIL import Image

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


def command(*arguments: str | Path) -> list[str]:
    """Returns the command line of the program under test."""
    return [sys.executable, "-m", "tuiprobe", *map(str, arguments)]


def job(checkpoint: Path, data: Path, output: Path, *more: str | Path) -> list[str | Path]:
    """Returns the arguments of a small headless run."""
    return [
        "--headless", "--model", SMALL, "--checkpoint", checkpoint,
        "--data", f"imagefolder:{data}", "--output", output,
        "--batch-size", "4", "--threads", "1", "--workers", "0", *more,
    ]  # fmt: skip


def without_override() -> None:
    """Makes a root subprocess obey file permissions like an ordinary user.

    Changing the user instead would lock it out of interpreters that live in root's home.
    """
    import ctypes

    bounding_set_drop, dac_override, dac_read_search = 24, 1, 2
    for capability in (dac_override, dac_read_search):
        ctypes.CDLL(None).prctl(bounding_set_drop, capability, 0, 0, 0)

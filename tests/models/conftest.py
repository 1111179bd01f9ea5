"""Checkpoint files of full-size architectures, written once a session."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tuiprobe.models.quiet import quiet


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def open_clip_state() -> Callable[[str], dict[str, torch.Tensor]]:
    """Returns the random state of an open_clip architecture, other than our own seed gives."""
    states: dict[str, dict[str, torch.Tensor]] = {}

    def state(architecture: str) -> dict[str, torch.Tensor]:
        if architecture not in states:
            import open_clip

            with quiet(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(7)
                model = open_clip.create_model(architecture, load_weights=False)
            states[architecture] = {k: v.clone() for k, v in model.state_dict().items()}
        return dict(states[architecture])

    return state


@pytest.fixture(scope="session")
def rn50_file(
    open_clip_state: Callable[[str], dict[str, torch.Tensor]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Returns a safetensors file of RN50-quickgelu."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("weights") / "rn50.safetensors"
    save_file(open_clip_state("RN50-quickgelu"), path)
    return path

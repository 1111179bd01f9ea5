"""TorchScript archives: the same tensors as torch.jit.load gives, and nothing that runs."""

import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.models.conftest import Saved
from tuiprobe.errors import WeightsError
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.checkpoints import read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")


class Holder(nn.Module):
    """A scriptable module that holds tensors under given names."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def holder(state: dict[str, Tensor]) -> Holder:
    root = Holder()
    for name, tensor in state.items():
        *path, leaf = name.split(".")
        module: nn.Module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, Holder())
            module = module.get_submodule(part)
        module.register_buffer(leaf, tensor)
    return root


def save(state: dict[str, Tensor], path: Path) -> None:
    torch.jit.script(holder(state)).save(str(path))


def test_tensors_are_those_of_torch(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    state = {
        "visual.conv1.weight": torch.randn(2, 3).half(),
        "logit_scale": torch.tensor(4.6),
        "input_resolution": torch.tensor(224),
        "a.b.c.transposed": whole.t(),
        "a.view": whole[1:, 1:],
        "empty": torch.empty(0, 3),
        "flags": torch.tensor([True, False]),
    }
    save(state, tmp_path / "w.pt")
    expected = torch.jit.load(tmp_path / "w.pt").state_dict()
    loaded = read_checkpoint(tmp_path / "w.pt")
    assert loaded.keys() == expected.keys() == state.keys()
    for name, tensor in expected.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_an_openai_file_loads(tiny: Saved, tmp_path: Path) -> None:
    """Half precision, three integers beside the weights, as OpenAI published them."""
    half = {n: t.half() if t.is_floating_point() else t for n, t in tiny.state.items()}
    extra = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    save({**half, **{n: torch.tensor(v) for n, v in extra.items()}}, tmp_path / "RN50.pt")
    encoder = load_encoder(f"open_clip:local-dir:{tiny.path}", checkpoint=tmp_path / "RN50.pt")
    loaded = encoder.module.state_dict()
    assert all(torch.equal(loaded[n], t.to(loaded[n].dtype)) for n, t in half.items())
    assert encoder.weights.kind == "checkpoint"


def replaced(path: Path, entry: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries[next(name for name in entries if name.endswith(entry))] = content
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("entry", "content"),
    [
        ("/data/0", b"\x80\x02"),
        ("/data.pkl", b"\x80\x02"),
        # `__torch__` names give a placeholder, whatever follows them: nothing is called into.
        ("/data.pkl", b"\x80\x02c__torch__.os\nsystem\nX\x04\x00\x00\x00echo\x85R."),
    ],
)
def test_a_damaged_archive_is_named(entry: str, content: bytes, tmp_path: Path) -> None:
    save({"w": torch.zeros(64)}, tmp_path / "w.pt")
    replaced(tmp_path / "w.pt", entry, content)
    with pytest.raises(WeightsError, match=r"w\.pt"):
        read_checkpoint(tmp_path / "w.pt")

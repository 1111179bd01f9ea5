"""What is handed over in place of weights is recognised, and the next step said."""

import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.heads import head_from_file
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.checkpoints import read_checkpoint


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("net.onnx", "answers:FILE.csv"),
        ("net.pt2", "py:FILE.py:NAME"),
        ("adapter/adapter_config.json", "merge_and_unload"),
        ("clip/open_clip_config.json", "open_clip:local-dir:"),
        ("folder/config.json", "transformers:"),
    ],
)
def test_models_of_other_kinds(name: str, step: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    path = tmp_path / name.partition("/")[0]
    with pytest.raises(WeightsError, match=step):
        read_checkpoint(path)
    with pytest.raises(UsageError, match=step):
        load_encoder(str(path))
    if path.is_dir() and name != "folder/config.json" and find_spec("transformers"):
        with pytest.raises(WeightsError, match=step):
            load_encoder(f"transformers:{path}")


def test_pickled_models(tmp_path: Path) -> None:
    (tmp_path / "clf.pkl").write_bytes(pickle.dumps(LogisticRegression()))
    with pytest.raises(WeightsError, match=r"coef_=clf\.coef_"):
        head_from_file(tmp_path / "clf.pkl", width=4)
    for module in (torch.nn.Linear(4, 3), timm.create_model("test_resnet")):
        torch.save(module, tmp_path / "module.pt")
        with pytest.raises(WeightsError, match=r"module\.state_dict\(\)"):
            head_from_file(tmp_path / "module.pt", width=4)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "old.pt"])
def test_only_a_file_that_is_cut_short_is_to_be_copied_again(name: str, tmp_path: Path) -> None:
    path, state = tmp_path / name, {"weight": torch.ones(30, 4)}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name == "w.pt")
    content = path.read_bytes()
    for size in (len(content) - 4, len(content) // 2, 0):
        path.write_bytes(content[:size])
        with pytest.raises(WeightsError, match=rf"{name}.*download it again"):
            read_checkpoint(path)
    path.write_bytes(b"\x10" + b"hello" * 20)
    with pytest.raises(WeightsError, match="are read") as error:
        read_checkpoint(path)
    assert "again" not in str(error.value)

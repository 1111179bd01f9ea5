"""Checkpoint files: what is read, what is refused, and what the message says."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from tests.models.hostile import Harmful
from tuiprobe.errors import WeightsError
from tuiprobe.models.info import state_digest
from tuiprobe.models.weights import load_into, read_checkpoint, resolve


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def wrappers(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    prefixed = {f"module.{k}": v for k, v in state.items()}
    other = {k: torch.zeros_like(v) for k, v in state.items()}
    return {
        "bare": state,
        "state_dict": {"epoch": 3, "state_dict": state},
        "data_parallel": {"state_dict": prefixed},
        "model": {"model": state, "optimizer": {"lr": 0.1}},
        "compiled_parallel": {f"_orig_mod.module.{k}": v for k, v in state.items()},
        "ema": {"state_dict": other, "state_dict_ema": state},
    }


@pytest.mark.parametrize("kind", sorted(wrappers({})))
def test_wrappers_and_prefixes_are_removed(kind: str, tmp_path: Path) -> None:
    state = model().state_dict()
    path = tmp_path / "w.pt"
    torch.save(wrappers(dict(state))[kind], path)
    assert same(read_checkpoint(path), dict(state))


def test_safetensors_and_pt_give_the_same_digest(tmp_path: Path) -> None:
    state = dict(model().state_dict())
    save_file(state, tmp_path / "w.safetensors")
    torch.save({"state_dict": state}, tmp_path / "w.bin")
    first = read_checkpoint(tmp_path / "w.safetensors")
    second = read_checkpoint(tmp_path / "w.bin")
    assert state_digest(first) == state_digest(second) == state_digest(state)


@given(st.integers(0, 3), st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
def test_digest_sees_every_bit_name_shape_and_dtype(index: int, dtype: torch.dtype) -> None:
    tensor = torch.arange(4).to(dtype)
    digest = state_digest({"w": tensor})
    changed = tensor.clone()
    changed[index] += 1
    variants = [{"w": changed}, {"v": tensor}, {"w": tensor.view(2, 2)}, {"w": tensor.double()}]
    assert digest not in [state_digest(v) for v in variants]
    assert digest == state_digest({"w": tensor.clone()})
    assert digest == state_digest({"w": torch._neg_view(-tensor)})


@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    plain: bool, tmp_path: Path
) -> None:
    harm = tmp_path / "harm"
    path = tmp_path / "w.pt"
    if plain:
        path.write_bytes(pickle.dumps({"state_dict": Harmful(harm)}))
    else:
        torch.save({"state_dict": Harmful(harm)}, path)
    with pytest.raises(WeightsError, match=r"w\.pt .*could run code.*safetensors") as error:
        read_checkpoint(path)
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)
    assert not harm.exists()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "w.bin"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", "half"])
def test_damaged_files_are_named(name: str, content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content == "half":
        state = dict(model().state_dict())
        save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    assert isinstance(content, bytes)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=name) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_one_without_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no file .* of weights or of a head"):
        read_checkpoint(tmp_path / "none.pt")
    torch.save({"epoch": 3, "note": "hello"}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="holds no weights; its entries are epoch, note"):
        read_checkpoint(tmp_path / "w.pt")
    torch.save([torch.zeros(3)], tmp_path / "l.pt")
    with pytest.raises(WeightsError, match="holds a list"):
        read_checkpoint(tmp_path / "l.pt")


def test_missing_left_over_and_misshapen_weights_are_named_and_nothing_is_loaded() -> None:
    target = model()
    before = {k: v.clone() for k, v in target.state_dict().items()}
    state = {k: torch.ones_like(v) for k, v in target.state_dict().items()}
    del state["1.running_mean"]
    state["visual.proj"] = torch.zeros(1)
    state["2.weight"] = torch.zeros(5, 4)
    with pytest.raises(WeightsError) as error:
        load_into(target, state, source="w.pt", target="net")
    message = str(error.value)
    assert "1 missing (1.running_mean)" in message
    assert "1 not part of it (visual.proj)" in message
    assert "2.weight is (5, 4) in the file, (2, 4) in the model" in message
    assert same(dict(target.state_dict()), before)


def test_bookkeeping_buffers_may_be_absent_or_extra() -> None:
    target = model()
    state = {k: torch.ones_like(v) for k, v in target.state_dict().items()}
    del state["1.num_batches_tracked"]
    state["text.embeddings.position_ids"] = torch.arange(3)
    load_into(target, state, source="w.pt", target="net")
    assert bool((target.state_dict()["2.weight"] == 1).all())


def test_a_library_that_cannot_download_becomes_one_message() -> None:
    def fetch() -> str:
        raise ConnectionError("no route to host\nwith a second line")

    with pytest.raises(WeightsError, match=r"no route to host\).*tuiprobe fetch x") as error:
        resolve(fetch, what="x")
    assert "\n" not in str(error.value)


def test_any_prefix_that_leaves_the_models_own_names_is_removed() -> None:
    source, target = model(), model()
    wrapped = {f"net.backbone.{k}": v for k, v in source.state_dict().items()}
    load_into(target, wrapped, source="w.pt", target="it")
    assert same(dict(target.state_dict()), dict(source.state_dict()))
    wrapped["head.weight"] = torch.zeros(1)  # not a prefix of all: nothing is guessed
    with pytest.raises(WeightsError, match=r"not part of it \(net\.backbone\.0\.weight"):
        load_into(target, wrapped, source="w.pt", target="it")


def test_the_reason_is_the_cause_and_no_advice_to_trust_the_file(tmp_path: Path) -> None:
    torch.save(model(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"it refers to torch\.nn\.\S+Sequential") as error:
        read_checkpoint(tmp_path / "w.pt")
    assert "safe_globals" not in str(error.value)
    (tmp_path / "t.pt").write_text("hello")
    with pytest.raises(WeightsError, match=r"checkpoint \(its pickle is damaged\); it may be"):
        read_checkpoint(tmp_path / "t.pt")

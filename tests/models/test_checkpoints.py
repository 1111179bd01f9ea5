"""Checkpoint files: what is read, what is refused, and what the message says."""

import argparse
import logging
import pickle
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from tests.models.conftest import load_saved
from tests.models.hostile import Harmful, archive
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import state_digest
from tuiprobe.models.load import load_encoder
from tuiprobe.models.loaders.checkpoints import load_into, read_checkpoint, seeded
from tuiprobe.models.loaders.published_weights import resolve, unavailable
from tuiprobe.models.loaders.wrappers import class_names


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_wrappers_and_prefixes_are_removed_from_any_format(tmp_path: Path) -> None:
    state = dict(model().state_dict())
    other = {k: torch.zeros_like(v) for k, v in state.items()}
    for content in (
        state,
        {"epoch": 3, "state_dict": state},
        {"state_dict": {f"module.{k}": v for k, v in state.items()}},
        {"model": state, "optimizer": {"lr": 0.1}},
        {f"_orig_mod.module.{k}": v for k, v in state.items()},
        {k.replace("0.", "0._orig_mod."): v for k, v in state.items()},
        {"state_dict": other, "state_dict_ema": state},
        {"net": {f"module.{k}": v for k, v in state.items()}, "args": {"lr": 0.1}},
    ):
        torch.save(content, tmp_path / "w.pt")
        checkpoint = read_checkpoint(tmp_path / "w.pt")
        assert same(checkpoint, state)
        several = ("state_dict_ema", "state_dict") if "state_dict_ema" in content else ()
        assert checkpoint.entries == several
    save_file(state, tmp_path / "w.safetensors")
    assert state_digest(read_checkpoint(tmp_path / "w.safetensors")) == state_digest(state)


def test_every_set_of_weights_of_a_file_is_named_and_averaged_ones_are_read(tmp_path):
    state = dict(model().state_dict())
    other = {k: torch.zeros_like(v) for k, v in state.items()}
    for content, entries in (
        ({"model": other, "ema": {"module": state, "updates": 3}}, ("ema", "model")),
        ({"model": state, "ema": {"decay": 0.9}, "optimizer": {"state": {0: other}}}, ()),
        (
            {"model_state_dict": other, "ema_state_dict": state},
            ("ema_state_dict", "model_state_dict"),
        ),
        ({"state_dict": state, "last": other}, ("state_dict", "last")),
        ({"net": state, "metrics": {"accuracy": torch.tensor(0.5)}, "best": torch.ones(1)}, ()),
    ):
        torch.save(content, tmp_path / "w.pt")
        checkpoint = read_checkpoint(tmp_path / "w.pt")
        assert same(checkpoint, state)
        assert checkpoint.entries == entries


def test_a_model_is_read_beside_losses_and_metrics_of_its_training_module() -> None:
    target = model()
    state = {f"net.{k}": torch.ones_like(v) for k, v in target.state_dict().items()}
    beside = state | {"loss.weight": torch.ones(2), "n_averaged": torch.tensor(3)}
    assert load_into(target, beside, source="w.pt", target="net") == ("net", "loss", "n_averaged")
    assert bool((target.state_dict()["2.weight"] == 1).all())
    average = {f"average.{name}": 2 * tensor for name, tensor in state.items()}
    with pytest.raises(WeightsError, match=r"that do not belong to net \(average\.net\.0"):
        load_into(target, state | average, source="w.pt", target="net")
    assert bool((target.state_dict()["2.weight"] == 1).all())


def test_what_training_code_stores_beside_weights_is_not_read(tmp_path: Path) -> None:
    state = dict(model().state_dict())
    for beside in (
        argparse.Namespace(lr=0.1, folder=tmp_path),  # timm's and torchvision's scripts
        {"folder": PurePosixPath("a/b"), "other": PureWindowsPath("a")},
        np.float64(0.5),
        defaultdict(list, {"loss": [0.5]}),
        np.random.get_state(),
        torch.torch_version.TorchVersion("2.10.0"),
    ):
        torch.save({"state_dict": state, "beside": beside}, tmp_path / "w.pt")
        assert same(read_checkpoint(tmp_path / "w.pt"), state)


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


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    harm, path = tmp_path / "harm", tmp_path / "w.pt"
    writers: list[Callable[[object], object]] = [
        lambda value: path.write_bytes(pickle.dumps(value)),
        partial(torch.save, f=path),
        lambda value: archive(path, pickle.dumps(value), script=True),
    ]
    for write in writers:
        write({"state_dict": Harmful(harm)})
        with pytest.raises(WeightsError, match=r"w\.pt .*could run code.*safetensors") as error:
            read_checkpoint(path)
        assert error.value.exit_code == 3
        assert "\n" not in str(error.value)
        assert not harm.exists()


def test_a_file_that_holds_no_weights_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no file .* of weights or of a head"):
        read_checkpoint(tmp_path / "none.pt")
    for content, message in (
        ({"epoch": 3, "note": "hello"}, "holds no weights; its entries are epoch, note$"),
        (
            {"student": dict(model().state_dict()), "teacher": dict(model().state_dict())},
            r"several sets of weights \(student, teacher\)",
        ),
        ([torch.zeros(3)], "holds a list"),
        (model(), r"it is a whole module of torch.*module\.state_dict\(\)"),
    ):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(WeightsError, match=message):
            read_checkpoint(tmp_path / "w.pt")
    (tmp_path / "w.pt").write_text("hello")
    with pytest.raises(WeightsError, match=r"checkpoint \(its pickle is damaged\); safetensors"):
        read_checkpoint(tmp_path / "w.pt")
    torch.save({"stat\ne_dict": 1, "a\x1b[31m": 2, "\u202e": 3}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="holds no weights") as error:
        read_checkpoint(tmp_path / "w.pt")
    assert str(error.value).isprintable()


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


@pytest.mark.parametrize(
    ("source", "names", "remedy"),
    [
        ("w.pt", {"2.weight": "base.2.lora_A.weight"}, "merge_and_unload"),
        ("w.pt", {"2.weight": "2.weight_orig", "2.bias": "2.weight_mask"}, r"prune\.remove"),
        ("w-00001-of-00002.safetensors", {"2.weight": "3.weight"}, "one of several shards"),
        ("w.pt", {"2.weight": "3.weight"}, "py:FILE"),
    ],
)
def test_weights_that_do_not_fit_say_what_to_do(source, names, remedy):
    state = {names.get(name, name): tensor for name, tensor in model().state_dict().items()}
    with pytest.raises(WeightsError, match=remedy):
        load_into(model(), state, source=source, target="net")


def test_bookkeeping_buffers_may_be_absent_or_extra() -> None:
    target = model()
    state = {k: torch.ones_like(v) for k, v in target.state_dict().items()}
    del state["1.num_batches_tracked"]
    state["text.embeddings.position_ids"] = torch.arange(3)
    load_into(target, state, source="w.pt", target="net")
    assert bool((target.state_dict()["2.weight"] == 1).all())


def test_a_library_that_cannot_download_becomes_one_message(caplog, monkeypatch):
    def fetch() -> str:
        logging.getLogger("huggingface_hub").warning("Retrying in 1s")
        raise ConnectionError("no route to host\nwith a second line")

    with pytest.raises(WeightsError, match=r"no route to host\).*tuiprobe fetch x") as error:
        resolve(fetch, name="x")
    assert "\n" not in str(error.value)
    assert not caplog.records
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert "--offline" in str(unavailable("x", "no route to host"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "--offline" not in str(unavailable("x", "no route to host"))


def test_any_prefix_that_leaves_the_models_own_names_is_removed() -> None:
    source, target = model(), model()
    wrapped = {f"net.backbone.{k}": v for k, v in source.state_dict().items()}
    load_into(target, wrapped, source="w.pt", target="it")
    assert same(dict(target.state_dict()), dict(source.state_dict()))
    wrapped["head.weight"] = torch.zeros(2, 4)  # which of the heads counts is not guessed
    with pytest.raises(WeightsError, match=r"that do not belong to net\.backbone \(head\.weight\)"):
        load_into(target, wrapped, source="w.pt", target="it")


def test_weights_that_a_file_replaces_are_not_drawn() -> None:
    with seeded(drawn=False):
        before = torch.get_rng_state()
        nn.Sequential(nn.Linear(4, 4), nn.Embedding(3, 4), nn.Conv2d(3, 4, 3))
        nn.init.zeros_(zeros := torch.ones(3))
        assert torch.equal(torch.get_rng_state(), before)
        nn.init.trunc_normal_(bounded := torch.full((5,), 9.0))  # draws until all are within bounds
    assert not bool(zeros.any())
    assert bool((bounded.abs() <= 2).all())
    with seeded():
        before = torch.get_rng_state()
        nn.Linear(4, 4)
        assert not torch.equal(torch.get_rng_state(), before)


def names_beside(beside: dict[str, object], rows: int = 3) -> tuple[str, ...]:
    return class_names(beside, rows, "w.pt")[0]


def test_names_of_classes_in_the_forms_of_training_code() -> None:
    names = ("cat", "dog", "cow")
    by_name, by_number = {"cow": 2, "cat": 0, "dog": 1}, {2: "cow", "0": "cat", 1: "dog"}
    forms: tuple[dict[str, object], ...] = (
        {"class_to_idx": by_name},
        {"args": 3, "hyper_parameters": {"idx_to_class": by_number}},
        {"meta": {"dataset_meta": {"CLASSES": names}}},
        {"id2label": by_number, "label2id": by_name},
        {"classes": list(names), "class_names": ["a", "b"]},  # of other rows
    )
    for beside in forms:
        assert names_beside(beside) == names
    nested: dict[str, object] = {"classes": names}
    nested["self"] = nested
    assert names_beside(nested) == names
    for value in (
        3,
        "cat",
        {"a": 0, "b": 1, "c": 3},
        [1, 2, 3],
        ["LABEL_0", "1", "2"],
        ["", "a", "b"],
    ):
        assert names_beside({"classes": value}) == ()
    with pytest.raises(WeightsError, match=r"'dog' by .* and 'cow' by"):
        names_beside({"classes": names, "class_names": ("cat", "cow", "dog")})


@pytest.mark.parametrize("spec", ["timm:test_resnet", "torchvision:resnet18", "py"])
def test_loaders_name_the_rows_as_the_file_does(spec: str, tmp_path: Path) -> None:
    if spec == "py":
        model: Any = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
        model.class_to_idx = {"tree": 1, "bus": 0}
        preprocess = torchvision.transforms.Compose(
            [torchvision.transforms.Resize((8, 8)), torchvision.transforms.ToTensor()]
        )
        head = Encoder.from_module(model, preprocess=preprocess).head()
        with pytest.raises(UsageError, match="'lorry', and class_to_idx of Sequential says 'tree'"):
            Encoder.from_module(model, preprocess=preprocess, classes=["bus", "lorry"])
    else:
        loader, _, name = spec.partition(":")
        library = timm.create_model if loader == "timm" else torchvision.models.get_model
        state = library(name, num_classes=2).state_dict()
        of_two = {"model": state, "classes": ["bus", "tree"]}
        head = load_saved(spec, of_two, tmp_path / "w.pt").head()
        metadata = {"class_to_idx": '{"bus": 0, "tree": 1}'}
        save_file(state, tmp_path / "w.safetensors", metadata)
        same = load_encoder(spec, checkpoint=tmp_path / "w.safetensors").head()
        assert same.classes == head.classes
    assert head.classes == ("bus", "tree")


@pytest.mark.parametrize(
    ("spec", "layer"), [("timm:test_resnet", "fc"), ("torchvision:resnet18", "fc"),
                        ("timm:test_vit", "head"), ("torchvision:convnext_tiny", "classifier.2")]
)  # fmt: skip
def test_a_classifier_behind_a_layer_that_the_file_does_not_tell(spec, layer, tmp_path):
    loader, _, name = spec.partition(":")
    library = timm.create_model if loader == "timm" else torchvision.models.get_model
    model = library(name, num_classes=2)
    state = {n.replace(f"{layer}.", f"{layer}.1."): t for n, t in model.state_dict().items()}
    head = load_saved(spec, state, tmp_path / "w.pt").head()
    assert torch.equal(head.weight, model.get_submodule(layer).weight)
    read_as = "a dropout or ReLU" if layer == "fc" else "a dropout, not a ReLU"
    assert f"{layer}.1 read as behind {read_as}" in head.source

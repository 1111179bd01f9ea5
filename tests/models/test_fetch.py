"""Fetching and loading without a network, from a folder in the real layout of the hub's cache."""

import hashlib
import sys

import pytest
from huggingface_hub import constants

import tuiprobe
from tests.hub_cache import put
from tuiprobe.catalog.model_list import cached_file
from tuiprobe.catalog.published_models import all_published
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.load import fetch
from tuiprobe.models.loaders.from_open_clip import tokenizer_files
from tuiprobe.models.loaders.published_weights import verified

pytestmark = pytest.mark.slow

SOCKETS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind")


def test_cached_looks_where_the_libraries_keep_files(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    model = all_published()["timm:resnet50.a1_in1k"]
    assert cached_file(model) is None
    put(tmp_path, "timm/resnet50.a1_in1k", "model.safetensors", b"x")
    assert cached_file(model) is not None
    by_url = all_published()["timm:gcvit_tiny.in1k"]
    assert cached_file(by_url) is None
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "gcvit_tiny_224_nvidia-ac783954.pth").write_bytes(b"x")
    assert cached_file(by_url) is not None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://openaipublic.azureedge.net/clip/models/{}/RN50.pt",
        "https://github.com/mlfoundations/open_clip/releases/download/v0/rn50-cc12m-{:.8}.pt",
    ],
)
def test_weights_are_compared_with_the_digest_in_their_name_or_url(tmp_path, url):
    blob = put(tmp_path, "a/b", "RN50.pt", b"content")
    file = next(tmp_path.rglob("snapshots/*/RN50.pt")) if not url else blob
    where = url.format(hashlib.sha256(b"content").hexdigest())
    assert verified(file, where) == file
    blob.write_bytes(b"Content")
    with pytest.raises(WeightsError, match="is damaged"):
        verified(file, where)
    unnamed = "https://dl.fbaipublicfiles.com/ijepa/IN1K-vit.h.14-300e.pth.tar"
    assert verified(blob, unnamed) == blob


def test_files_of_a_tokenizer_are_fetched_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    names = ("tokenizer.json", "vocab.txt", "spiece.model", "README.md", "code.py", "model.bin")
    for name in names:
        put(tmp_path, "timm/ViT-B-16-SigLIP", name, name.encode())
    files = tokenizer_files("timm/ViT-B-16-SigLIP")
    assert {file.name for file in files} == {"tokenizer.json", "vocab.txt", "spiece.model"}


def test_python_goes_offline_although_the_library_was_imported_before(tmp_path, monkeypatch):
    opened: list[str] = []
    sys.addaudithook(lambda event, arguments: opened.append(event) if event in SOCKETS else None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    output = str(tmp_path / "run")
    with pytest.raises(WeightsError, match="are not available"):
        tuiprobe.probe("timm:hf-hub:nobody/nothing", "miniature:val", offline=True, output=output)
    assert constants.HF_HUB_OFFLINE
    assert opened == []


@pytest.mark.parametrize(
    "name", ["rn50_yfcc15m", "timm:resnet18.a1_in1k", "open_clip:hf-hub:nobody/nothing"]
)
def test_a_hub_that_does_not_answer_is_asked_once(name, tmp_path, monkeypatch):
    """The library asks five times a file, which took a minute without a word."""
    opened: list[str] = []
    sys.addaudithook(lambda event, arguments: opened.append(event) if event in SOCKETS else None)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9 does not answer: "):
        fetch(name)
    assert opened.count("socket.connect") == 1
    assert not constants.HF_HUB_OFFLINE


def test_what_cannot_be_fetched_says_so() -> None:
    with pytest.raises(WeightsError, match="rn101_cc12m has no public checkpoint"):
        fetch("rn101_cc12m")
    with pytest.raises(UsageError, match="names no published weights"):
        fetch("py:module:function")
    assert fetch("mini_clip") == ()

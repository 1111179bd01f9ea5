"""Fetching and loading without a network, from a folder in the real layout of the hub's cache."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

import tuiprobe
from tests.hub_cache import TINY, put, put_tiny
from tests.models.test_sources import MEAN, timm_folder
from tuiprobe.catalog.cached import cached_file
from tuiprobe.catalog.published_models import all_published
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.models.fetch import fetch
from tuiprobe.models.from_open_clip import tokenizer_files
from tuiprobe.models.info import state_digest
from tuiprobe.models.published_weights import verified

pytestmark = pytest.mark.slow

SOCKETS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind")

# Counts every use of a socket, also one that fails, from the first import on.
GUARD = f"""
import json, sys
opened = []
def hook(event, arguments):
    if event in {SOCKETS}:
        opened.append([event, str(arguments)])
sys.addaudithook(hook)
from tuiprobe.models.published_weights import set_offline
set_offline()
from tuiprobe.errors import TuiprobeError
from tuiprobe.models import load_encoder
from tuiprobe.models.fetch import fetch
results = []
for name in sys.argv[1:]:
    try:
        if name.startswith("fetch:"):
            results.append([[f.sha256, f.size] for f in fetch(name.removeprefix("fetch:"))])
            continue
        encoder = load_encoder(name)
        results.append([encoder.weights.kind, encoder.weights.digest, encoder.preprocessing.mean])
    except TuiprobeError as error:
        results.append(["error", error.exit_code, str(error)])
print(json.dumps([opened, results]))
"""


def offline(home: Path, *names: str) -> tuple[list[object], list[list[object]]]:
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    environment |= {"HF_HOME": str(home), "TORCH_HOME": str(home / "torch")}
    done = subprocess.run(
        [sys.executable, "-c", GUARD, *names], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    opened, answers = json.loads(done.stdout.splitlines()[-1])
    return opened, answers


def test_what_was_fetched_loads_without_a_socket_unless_it_is_damaged(tmp_path: Path) -> None:
    state, name = put_tiny(tmp_path), "open_clip_model.safetensors"
    put(tmp_path, "timm/resnet50_clip.openai", name, b"weights")
    put(tmp_path, "timm/resnet50_clip.yfcc15m", name, b"weights").write_bytes(b"weightz")
    folder = tmp_path / "folder"
    other = timm_folder(folder)
    for file in folder.iterdir():
        put(tmp_path, "someone/resnet", file.name, file.read_bytes())
    opened, answers = offline(
        tmp_path,
        "fetch:rn50_openai",
        TINY,
        "timm:hf-hub:someone/resnet",
        "rn50_yfcc15m",
        "rn50_cc12m",
        "timm:resnet18.a1_in1k",
        "torchvision:resnet18/IMAGENET1K_V1",
        "open_clip:hf-hub:nobody/nothing",
    )
    assert opened == []
    assert answers[0] == [[hashlib.sha256(b"weights").hexdigest(), 7]]
    assert answers[1][:2] == ["pretrained", state_digest(state)]
    assert answers[2] == ["pretrained", state_digest(other), MEAN]
    assert answers[3][:2] == ["error", 3]
    assert "is damaged" in str(answers[3][2])
    assert "fetch it again" in str(answers[3][2])
    for kind, code, message in answers[4:]:
        assert (kind, code) == ("error", 3)
        assert "are not available" in str(message)
        assert "tuiprobe fetch" in str(message)


def test_cached_looks_where_the_libraries_keep_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_weights_are_compared_with_the_digest_in_their_name_or_url(
    tmp_path: Path, url: str
) -> None:
    blob = put(tmp_path, "a/b", "RN50.pt", b"content")
    file = next(tmp_path.rglob("snapshots/*/RN50.pt")) if not url else blob
    where = url.format(hashlib.sha256(b"content").hexdigest())
    assert verified(file, where) == file
    blob.write_bytes(b"Content")
    with pytest.raises(WeightsError, match="is damaged"):
        verified(file, where)
    unnamed = "https://dl.fbaipublicfiles.com/ijepa/IN1K-vit.h.14-300e.pth.tar"
    assert verified(blob, unnamed) == blob


def test_files_of_a_tokenizer_are_fetched_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    names = ("tokenizer.json", "vocab.txt", "spiece.model", "README.md", "code.py", "model.bin")
    for name in names:
        put(tmp_path, "timm/ViT-B-16-SigLIP", name, name.encode())
    files = tokenizer_files("timm/ViT-B-16-SigLIP")
    assert {file.name for file in files} == {"tokenizer.json", "vocab.txt", "spiece.model"}


def test_python_goes_offline_although_the_library_was_imported_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_a_hub_that_does_not_answer_is_asked_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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

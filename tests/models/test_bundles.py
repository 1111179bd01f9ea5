"""Bundles: what is written is what runs, and a damaged or hostile one ends with one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants as hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from tests.hub_cache import TINY, put, put_tiny
from tuiprobe.catalog.cached import cached_file
from tuiprobe.catalog.names import all_published
from tuiprobe.cli.app import run_cli
from tuiprobe.errors import WeightsError
from tuiprobe.models.bundle import UNUSED_DAYS, build_head, bundle_models, look_for_weights
from tuiprobe.models.bundle_file import open_bundle
from tuiprobe.models.fetch import fetch, tokenizer_files
from tuiprobe.models.load import load_encoder

PRESET, FILE = "rn50_openai", "open_clip_model.safetensors"
SPEC = "open_clip:RN50-quickgelu/openai"


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gives every test caches of its own, and the usual ones back."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name, value in (("HF_HUB_CACHE", str(tmp_path / "hub")), ("HF_HUB_OFFLINE", True)):
        monkeypatch.setattr(hub, name, value)
    yield
    look_for_weights(None, None, offline=False)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Returns a bundle of a preset; its weights are only as real as their digest."""
    put(tmp_path, "timm/resnet50_clip.openai", FILE, b"weights")
    path = tmp_path / "bundle.tar"
    bundle_models(path, {PRESET: fetch(PRESET)}, {})
    (tmp_path / "hub").rename(tmp_path / "elsewhere")
    return path


def member(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        found = tar.extractfile(next(one for one in tar.getmembers() if one.name.endswith(name)))
        assert found is not None
        return found.read()


def test_an_encoder_with_its_head_is_the_same_from_a_bundle(tmp_path: Path) -> None:
    put_tiny(tmp_path)
    path, names = tmp_path / "bundle.tar", tmp_path / "names.txt"
    names.write_text("cat\ndog\n")
    templates = ("a {}.", "the {}.")
    (tmp_path / "templates.txt").write_text("\n".join(templates))
    usual = load_encoder(TINY)
    built = build_head(TINY, device="cpu", classes=names, templates=tmp_path / "templates.txt")
    assert built is not None
    bundle_models(path, {TINY: fetch(TINY)}, dict([built]))
    (tmp_path / "hub").rename(tmp_path / "elsewhere")
    (tmp_path / "own").rename(tmp_path / "elsewhere" / "own")
    with pytest.raises(WeightsError, match="could not be had"):
        load_encoder(TINY)

    look_for_weights(TINY, path, offline=False)
    one = load_encoder(TINY)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(one.encode(images), usual.encode(images))
    assert one.weights == usual.weights
    assert one.preprocessing == usual.preprocessing
    assert one.prompts_left(("cat", "dog"), templates) == 0
    head = one.head(("cat", "dog"), templates)
    assert head is not None
    assert torch.equal(head.weight, built[1].weight)
    assert head.source == f"{built[1].source}, from the bundle"
    assert one.prompts_left(("cat", "cow"), templates) == 4
    other = load_encoder(TINY, dtype="float16")
    assert other.prompts_left(("cat", "dog"), templates) == 4

    look_for_weights(None, None, offline=False)  # the next run has no bundle
    assert one.prompts_left(("cat", "dog"), templates) == 4
    with pytest.raises(WeightsError, match="could not be had"):
        load_encoder(TINY)


def test_a_preset_is_found_under_each_of_its_names(written: Path, tmp_path: Path) -> None:
    for name in (PRESET, SPEC, f"{SPEC}@gelu"):
        look_for_weights(name, written, offline=False)
        file = cached_file(all_published()[SPEC])
        assert file is not None
        assert file.is_relative_to(tmp_path / "own" / "tuiprobe" / "bundles")
        assert file.read_bytes() == b"weights"
        look_for_weights(None, None, offline=False)
        assert cached_file(all_published()[SPEC]) is None
    with pytest.raises(WeightsError, match=f"does not hold timm:resnet18; it holds {SPEC}"):
        look_for_weights("timm:resnet18", written, offline=False)


def test_a_damaged_cache_of_a_bundle_is_written_again(written: Path) -> None:
    look_for_weights(PRESET, written, offline=False)
    file = cached_file(all_published()[SPEC])
    assert file is not None
    for content in (b"Weights", b"weigh"):
        file.write_bytes(content)
        look_for_weights(PRESET, written, offline=False)
        assert file.read_bytes() == b"weights"


def test_caches_of_bundles_that_no_run_uses_any_more_are_removed(
    written: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own/tuiprobe/bundles"
    day = 24 * 3600
    old, new = time.time() - (UNUSED_DAYS + 1) * day, time.time() - (UNUSED_DAYS - 1) * day
    ages = {"a": (old, old), "b": (old, new), "c": (old, None), "d": (new, None)}
    for name, (made, used) in ages.items():
        place = folder / (name * 24)
        (place / "hub").mkdir(parents=True)
        (place / "hub/model.safetensors").write_bytes(b"weights")
        if used is not None:
            (place / "used").touch()
            os.utime(place / "used", (used, used))
        os.utime(place, (made, made))
    others = [folder / "e", folder / ("f" * 24)]
    others[0].mkdir()
    others[1].symlink_to(tmp_path / "hub", target_is_directory=True)
    os.utime(others[0], (old, old))
    os.utime(others[1], (old, old), follow_symlinks=False)
    look_for_weights(PRESET, written, offline=False)
    own = open_bundle(written).key[:24]
    assert {one.name for one in folder.iterdir()} == {
        own, "b" * 24, "d" * 24, *(one.name for one in others)
    }  # fmt: skip
    os.utime(folder / own / "used", (old, old))
    look_for_weights(PRESET, written, offline=False)
    assert (folder / own / "used").stat().st_mtime > new


def test_equal_contents_give_equal_bundles(tmp_path: Path) -> None:
    put(tmp_path, "timm/resnet50_clip.openai", FILE, b"weights")
    path = tmp_path / "b.tar"
    first = bundle_models(path, {PRESET: fetch(PRESET)}, {})
    content = path.read_bytes()
    assert first.sha256 == hashlib.sha256(content).hexdigest()
    assert first.size == len(content)
    assert bundle_models(path, {PRESET: fetch(PRESET)}, {}) == first
    assert json.loads(member(path, "manifest.json"))["models"].keys() == {SPEC}


def test_files_of_a_tokenizer_are_bundled_and_nothing_else(tmp_path: Path) -> None:
    names = ("tokenizer.json", "vocab.txt", "spiece.model", "README.md", "code.py", FILE)
    for name in names:
        put(tmp_path, "timm/ViT-B-16-SigLIP", name, name.encode())
    found = tokenizer_files("timm/ViT-B-16-SigLIP")
    assert {file.name for file in found} == {"tokenizer.json", "vocab.txt", "spiece.model"}


def test_a_file_that_changes_while_it_is_bundled_leaves_no_bundle(tmp_path: Path) -> None:
    blob = put(tmp_path, "timm/resnet50_clip.openai", FILE, b"weights")
    found = fetch(PRESET)
    blob.write_bytes(b"Weights")
    with pytest.raises(WeightsError, match="it changed; fetch it again"):
        bundle_models(tmp_path / "b.tar", {PRESET: found}, {})
    assert [one.name for one in tmp_path.iterdir()] == ["hub"]


def test_every_cut_and_every_flipped_byte_is_noticed(written: Path, tmp_path: Path) -> None:
    whole = written.read_bytes()
    at_weights = whole.index(b"weights\0")
    rng = np.random.default_rng(0)
    for cut in (0, 511, at_weights, at_weights + 6, len(whole) - 1024, *rng.integers(0, 9000, 30)):
        assert "\n" not in refused(written, whole[: min(cut, len(whole) - 1024)])
    header = at_weights - 512
    flips = (*rng.integers(0, 512, 20), *rng.integers(header, at_weights, 20))
    for at in (at_weights, at_weights + 6, *flips):
        assert "\n" not in refused(written, _flipped(whole, at))
    assert not (tmp_path / "own").exists() or not list((tmp_path / "own").rglob(FILE))


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(WeightsError) as error:
        look_for_weights(PRESET, path, offline=False)
    return str(error.value)


def _flipped(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


Change = Callable[[dict[str, Any], list[tarfile.TarInfo | bytes]], None]


def forged(path: Path, change: Change) -> None:
    """Writes a bundle again after a change of its list or members."""
    manifest = json.loads(member(path, "manifest.json"))
    with tarfile.open(path) as tar:
        rest: list[Any] = [(one, tar.extractfile(one).read()) for one in tar.getmembers()[1:]]
    change(manifest, rest)
    content = json.dumps(manifest).encode()
    first = tarfile.TarInfo("manifest.json")
    first.size = len(content)
    with tarfile.open(path, "w") as tar:
        tar.addfile(first, io.BytesIO(content))
        for info, data in rest:
            tar.addfile(info, io.BytesIO(data))


def add(name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE) -> Change:
    """Adds a member that the list names, with the right checksum."""

    def change(manifest: dict[str, Any], rest: list[Any]) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
        rest.append((info, data))
        digest = hashlib.sha256(data).hexdigest()
        manifest["files"][name] = {"size": len(data), "sha256": digest}
        manifest["models"][SPEC].append(name)

    return change


def edit(**values: Any) -> Change:
    return lambda manifest, rest: manifest.update(values)


def claim_size(manifest: dict[str, Any], rest: list[Any]) -> None:
    for one in manifest["files"].values():
        one["size"] += 1


def name_twice(manifest: dict[str, Any], rest: list[Any]) -> None:
    rest.append(rest[-1])


def unlisted(manifest: dict[str, Any], rest: list[Any]) -> None:
    rest.append((tarfile.TarInfo("hub/more.json"), b""))


def lose_one(manifest: dict[str, Any], rest: list[Any]) -> None:
    rest.pop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (add("../../evil.json"), "no model needs"),
        (add("/tmp/evil.json"), "no model needs"),
        (add("hub/../../evil.json"), "no model needs"),
        (add("hub/run.py"), "no model needs"),
        (add("other/x.json"), "no model needs"),
        (add("hub/" + 300 * "x" + ".json"), "no model needs"),
        (add("hub/\x1b[31m.json"), "no model needs"),
        (add("hub/a.json", b"", tarfile.SYMTYPE), "does not name as a file"),
        (add("hub/a.json", b"", tarfile.LNKTYPE), "does not name as a file"),
        (add("hub/a.json", b"", tarfile.FIFOTYPE), "does not name as a file"),
        (add("hub/a.json", b"", tarfile.DIRTYPE), "does not name as a file"),
        (claim_size, "differs from its list"),
        (name_twice, "differs from its list"),
        (unlisted, "does not name as a file"),
        (lose_one, "it lacks hub/"),
        (edit(version=2), "is a bundle of version 2"),
        (edit(format="zip"), "its list is wrong at format"),
        (edit(extra=1), "its list is wrong at extra"),
        (edit(heads=["heads/a.safetensors"]), "does not hold it"),
        (edit(files={"hub/a.json": {"size": -1, "sha256": 64 * "0"}}), "its list is wrong"),
    ],
)
def test_a_forged_bundle_is_refused(
    written: Path, tmp_path: Path, change: Change, said: str
) -> None:
    forged(written, change)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(WeightsError, match=said) as error:
        look_for_weights(PRESET, written, offline=False)
    assert error.value.exit_code == 3
    assert set(tmp_path.rglob("*")) == before


def test_a_file_below_a_file_is_refused(written: Path) -> None:
    forged(written, add("hub/a.json"))
    forged(written, add("hub/a.json/b.json"))
    with pytest.raises(WeightsError, match="below a file"):
        open_bundle(written)


def test_a_pickle_that_runs_code_reaches_no_library(written: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(1), "evil": Evil()}, stream, pickle_module=pickle)
    forged(written, add("torch/hub/checkpoints/resnet18-f37072fd.pth", stream.getvalue()))
    with pytest.raises(WeightsError, match="could run code"):
        look_for_weights(PRESET, written, offline=False)
    assert not (tmp_path / "ran").exists()
    assert not list((tmp_path / "own").rglob("*.pth"))


def test_a_head_of_another_shape_is_refused(tmp_path: Path) -> None:
    put_tiny(tmp_path)
    built = build_head(TINY, device="cpu", classes=_lines(tmp_path / "names", "cat", "dog"))
    assert built is not None
    key, head = built
    path = tmp_path / "bundle.tar"
    bundle_models(path, {TINY: fetch(TINY)}, {key: head})
    look_for_weights(TINY, path, offline=False)
    (file,) = (tmp_path / "own").rglob(f"bundles/*/heads/{key}.safetensors")
    assert load_file(file)["weight"].shape == (2, 16)
    file.write_bytes(save({"weight": torch.zeros(2, 8)}))
    encoder = load_encoder(TINY)
    with pytest.raises(WeightsError, match="is not the head that its name says"):
        encoder.head(("cat", "dog"), encoder.text.templates)


def _lines(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("content", [b"", b"no tar", bytes(10240), b"PK\3\4" + bytes(600)])
def test_another_file_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is no bundle; pass a file that tuiprobe fetch"):
        open_bundle(path)
    with pytest.raises(WeightsError, match="there is no bundle"):
        open_bundle(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="named pipe"):
        open_bundle(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fetch", "mini_clip", "--bundle", "b", "--classes", "c"], "belong to --head zero-shot"),
        (["doctor", "--bundle", "b"], "name the one to check by --model"),
        (["--headless", "--embeddings", "v.npy", "--bundle", "b"], "--bundle is about images"),
    ],
)
def test_options_that_do_not_go_together_are_usage(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(arguments) == 2
    assert said in capsys.readouterr().err


def test_the_command_bundles_the_heads_of_models_with_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _lines(tmp_path / "names", "cat", "dog")
    _lines(tmp_path / "templates", "a {}.")
    given = ["--head", "zero-shot", "--classes", "names", "--templates", "templates"]
    assert run_cli(["fetch", "mini_clip", "mini_supervised", "--bundle", "b.tar", *given]) == 0
    said = capsys.readouterr()
    assert "mini_supervised: no text tower, so no zero-shot head" in said.err
    assert said.out.split("\t")[0] == "bundle"
    manifest = open_bundle(tmp_path / "b.tar").manifest
    assert len(manifest.heads) == 1
    look_for_weights("mini_clip", tmp_path / "b.tar", offline=False)
    head = load_encoder("mini_clip").head(("cat", "dog"), ("a {}.",))
    assert head is not None
    assert head.source.endswith(", from the bundle")

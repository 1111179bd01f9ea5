"""models, doctor, fetch and a headless run, offline, as a user types them.

A folder stands in for the hub's cache, in its real layout, and every use of a socket is recorded.
One process runs all of them, since the libraries take seconds to import.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.hub_cache import CONFIG, TINY, put, put_tiny

pytestmark = pytest.mark.slow

MODEL = "timm:test_resnet.r160_in1k"
REPOSITORY = "timm/test_resnet.r160_in1k"

DRIVER = """
import contextlib, io, json, os, socket, sys

opened = []
def hook(event, arguments):
    if event == "import" and arguments[0] == "huggingface_hub.constants" and not PRELUDE:
        if os.environ.get("HF_HUB_OFFLINE") != "1":
            opened.append([event, str(arguments)])
    # Processes on one machine may talk through AF_UNIX; nothing may leave it.
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        opened.append([event, str(arguments)])
    if event in ("socket.connect", "socket.bind") and arguments[0].family != socket.AF_UNIX:
        opened.append([event, str(arguments)])
sys.addaudithook(hook)
exec(PRELUDE)
from tuiprobe.cli.app import run_cli
said = []
for arguments in json.loads(sys.stdin.read()):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_cli(arguments)
    said.append([code, out.getvalue(), err.getvalue()])
sys.__stdout__.write(json.dumps([opened, said]))
"""


def cached(home: Path, data: bytes) -> Path:
    return put(home, REPOSITORY, "model.safetensors", data)


def typed(
    home: Path, *commands: list[str], prelude: str = ""
) -> tuple[list[Any], list[tuple[int, str, str]]]:
    """Runs command lines; returns the sockets used, and exit code, stdout and stderr of each.

    The first one should be offline: a hub's library that is imported before it knows counts as a
    socket. A prelude is code that runs first, and may import what it likes.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
    environment |= {
        "HF_HOME": str(home), "TORCH_HOME": str(home / "torch"), "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(home / "cache"), "XDG_DATA_HOME": str(home / "data"),
        "HOME": str(home),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", f"PRELUDE = {prelude!r}{DRIVER}"], input=json.dumps(commands),
        capture_output=True, text=True, env=environment, cwd=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    opened, said = json.loads(done.stdout)
    return opened, [tuple(one) for one in said]


@pytest.fixture(scope="module")
def weights() -> bytes:
    import timm
    import torch
    from safetensors.torch import save

    with torch.random.fork_rng():
        torch.manual_seed(4)
        return save(timm.create_model(MODEL.removeprefix("timm:"), pretrained=False).state_dict())


def write_pictures(home: Path) -> None:
    for name in ("n01440764", "n01443537"):
        (home / "photos" / name).mkdir(parents=True)
        for i in range(6):
            colour = (40 * i, 20 * i, 255 - 40 * i)
            Image.new("RGB", (48, 40), colour).save(home / "photos" / name / f"{i}.png")


def test_what_was_fetched_serves_every_command(tmp_path: Path, weights: bytes) -> None:
    cached(tmp_path, weights)
    write_pictures(tmp_path)
    run = [
        "--headless", "--offline", "--model", MODEL, "--data", "imagefolder:photos",
        "--output", "run", "--threads", "1", "--workers", "0",
    ]  # fmt: skip
    opened, said = typed(
        tmp_path,
        ["fetch", "--offline", MODEL],
        ["models", "test_resnet", "--json"],
        ["doctor", "--model", MODEL, "--data", "imagefolder:photos", "--offline", "--json"],
        run,
        ["models", "--published", "resnet50.a1_in1k", "--json"],
    )
    assert opened == []
    assert [code for code, _, _ in said] == [0] * 5, said
    fetched, models, doctor, ran, published = (out for _, out, _ in said)
    digest = hashlib.sha256(weights).hexdigest()
    assert fetched.split("\t")[:3] == [MODEL, digest, str(len(weights))]
    rows = {row["name"]: row for row in json.loads(models)}
    assert rows[MODEL]["cached"] == "yes"
    examination = json.loads(doctor)
    shown = examination["encoder"]
    assert shown["weights"]["kind"] == "pretrained"
    assert shown["taps"][-1]["name"] == "embedding"
    assert shown["cost"]["images_per_second"] > 0
    assert shown["cost"]["prompts_per_second"] is None  # has no text tower
    checks = {check["name"]: check for check in examination["checks"]}
    assert checks["class mask"]["detail"].startswith("2 of 1,000 classes")
    assert "fail" not in {check["status"] for check in checks.values()}
    assert "Top-1 " in ran

    # The preflight stands in the results, in the report and in the status of the run.
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    (preflight,) = [part for part in results["parts"] if part["probe"] == "preflight"]
    checks = preflight["result"]["checks"]
    counted = next(check for check in checks if check["name"] == "image count")
    assert (counted["status"], counted["data"]) == ("warn", "photos")
    assert any("no complete ImageNet set" in warning for warning in results["warnings"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "image count" in page.partition("<summary>Preflight (")[2]
    status = (tmp_path / "run" / "status" / "0.json").read_text()
    assert "preflight, image count of photos" in status

    assert {row["size"] for row in json.loads(published)["rows"]} == {224, 288}


def test_weights_that_are_not_to_be_had_end_with_three(tmp_path: Path, weights: bytes) -> None:
    blob = cached(tmp_path, weights)
    flipped = bytearray(weights)
    flipped[-3] ^= 1
    blob.write_bytes(flipped)
    (tmp_path / "other.safetensors").write_bytes(weights)
    write_pictures(tmp_path)
    other = ["--checkpoint", "other.safetensors"]
    cases = [
        (["doctor", "--model", MODEL, "--offline"], "is damaged"),
        (["fetch", "--offline", MODEL], "is damaged"),
        (["--headless", "--model", MODEL, "--data", "imagefolder:photos", "--offline"], "damaged"),
        (["fetch", "--offline", "vitb16_openai"], "they are not cached, and downloads are off"),
        (["fetch", "open_clip:RN50-quickgelu/nope", "--offline"], "the tags of RN50-quickgelu are"),
        (
            ["doctor", "--model", "timm:resnet18.nope", "--offline"],
            "has no tag 'nope'; its tags are",
        ),
        (["doctor", "--model", "open_clip:RN50/nope", "--offline"], "has no tag 'nope'"),
        (["doctor", "--model", "timm:resnet18", "--offline", *other], "does not fit timm:resnet18"),
        (["doctor", "--model", "rn50_in1k", "--offline", *other], "Name the architecture"),
        (
            ["doctor", "--model", "timm:hf-hub:nobody/nothing", "--offline"],
            "Fetch them where there is a",
        ),
        (
            ["doctor", "--model", "torchvision:resnet18/IMAGENET1K_V1", "--offline"],
            "tuiprobe fetch",
        ),
    ]
    opened, said = typed(tmp_path, *(arguments for arguments, _ in cases))
    assert opened == []
    for (arguments, cause), (code, out, err) in zip(cases, said, strict=True):
        assert code == 3, (arguments, code, err)
        assert out == ""
        assert cause in err, (arguments, err)
        assert "Traceback" not in err
        assert len([line for line in err.splitlines() if line.startswith("error")]) == 1


BY_URL = "open_clip:tiny/ours"

AN_OPEN_CLIP_WITHOUT_THE_HUB = """
import open_clip
from open_clip import pretrained
open_clip.add_model_config("tiny.json")
pretrained._PRETRAINED["tiny"] = {"ours": pretrained._pcfg(url=open("url").read())}
"""


def put_by_url(home: Path) -> None:
    """Writes weights into open_clip's own folder, and how open_clip and tuiprobe list them."""
    import torch

    from tuiprobe.catalog.names import FILE

    stream = io.BytesIO()
    torch.save({"state_dict": put_tiny(home)}, stream)
    (home / ".cache/clip").mkdir(parents=True)
    (home / ".cache/clip/tiny.pt").write_bytes(stream.getvalue())
    digest = hashlib.sha256(stream.getvalue()).hexdigest()
    url = f"https://openaipublic.azureedge.net/clip/models/{digest}/tiny.pt"
    (home / "url").write_text(url)
    (home / "tiny.json").write_text(json.dumps(CONFIG["model_cfg"]))
    (home / "cache/tuiprobe").mkdir(parents=True)
    (home / "cache/tuiprobe/names.tsv").write_text(
        FILE.read_text() + f"open_clip\ttiny\tours\t0\t\t\t{url}\n"
    )


def test_copied_caches_serve_a_machine_without_a_network(tmp_path: Path, weights: bytes) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    cached(here, weights)
    put_by_url(here)
    (here / "names").write_text("tench\ngoldfish\n")
    (here / "templates").write_text("a {}.\nthe {}.\n")
    write_pictures(here)
    shutil.copytree(here / "photos", there / "photos")
    for name in ("names", "templates", "tiny.json", "url", "cache/tuiprobe/names.tsv"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(here / name, there / name)
    head = ["--head", "zero-shot", "--classes", "names", "--templates", "templates"]
    run = [
        "--headless", "--offline", "--model", BY_URL, "--data", "imagefolder:photos", *head,
        "--output", "run", "--threads", "1", "--workers", "0",
    ]  # fmt: skip
    fetch = ["fetch", "--offline", MODEL, TINY, BY_URL, *head, "--device", "cpu"]
    prelude = AN_OPEN_CLIP_WITHOUT_THE_HUB
    opened, said = typed(here, fetch, run, prelude=prelude)
    assert opened == []
    assert [code for code, _, _ in said] == [0, 0], said
    assert f"{MODEL}: no text tower" in said[0][2]
    rows = [line.split("\t") for line in said[0][1].splitlines()]
    folders = {Path(row[3]): int(row[2]) for row in rows if row[0] == "folder"}
    assert {str(folder.relative_to(here)).rpartition("/")[0] for folder in folders} == {
        "hub", ".cache", "cache/tuiprobe/heads"
    }  # fmt: skip
    assert len(folders) == 5  # of two models of the hub, one by URL, and two heads
    for folder, size in folders.items():
        files = [one for one in folder.rglob("*") if one.is_file() and not one.is_symlink()]
        assert size == sum(one.stat().st_size for one in files)
        shutil.copytree(folder, there / folder.relative_to(here), symlinks=True)
    for row in rows:
        if row[0] != "folder":
            assert row[1] == hashlib.sha256(Path(row[3]).read_bytes()).hexdigest()
    here.rename(tmp_path / "gone")

    opened, again = typed(there, run, [*fetch, "mini_clip"], prelude=prelude)
    assert opened == []
    assert [code for code, _, _ in again] == [0, 0], again
    assert again[1][1].splitlines()[:2] == [
        line.replace(str(here), str(there)) for line in said[0][1].splitlines()[:2]
    ]
    texts = [(home / "run/results.json").read_text() for home in (tmp_path / "gone", there)]
    results = [json.loads(texts[0].replace(str(here), str(there))), json.loads(texts[1])]
    for one in results:
        del one["timings"]
    assert results[0] == results[1]
    assert "built by tuiprobe fetch" in json.dumps(results[1])

    (by_url,) = there.glob(".cache/clip/tiny.pt")
    for file in (by_url, *there.glob("cache/tuiprobe/heads/*/*.safetensors")):
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
    of_head = [TINY if word == BY_URL else word for word in run]
    of_head[of_head.index("run")] = "other"
    opened, heads = typed(there, of_head, ["fetch", "--offline", TINY, *head])
    again, weights_by_url = typed(
        there, ["fetch", "--offline", BY_URL], [*run, "--fresh"], prelude=prelude
    )
    assert opened == again == []
    for code, _, err in (*heads, *weights_by_url):
        assert (code, "is damaged" in err, "Traceback" in err) == (3, True, False), err

"""models, doctor, fetch and a headless run, offline, as a user types them.

A folder stands in for the hub's cache, in its real layout, and every use of a socket is recorded.
One process a machine runs all of them, since the libraries take seconds to import.
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
from tests.models.test_sources import MEAN, timm_folder
from tuiprobe.models.info import state_digest

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
from tuiprobe.show.cli.app import run_cli
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_cli(json.loads(line))
    sys.__stdout__.write(json.dumps([code, out.getvalue(), err.getvalue(), opened]) + "\\n")
    sys.__stdout__.flush()
"""


class Machine:
    """A process that runs command lines in a home of its own; a context manager.

    The first one should be offline: a hub's library that is imported before it knows counts as a
    socket. A prelude is code that runs first, and may import what it likes.
    """

    def __init__(self, home: Path, prelude: str = "") -> None:
        self._home, self._code = home, f"PRELUDE = {prelude!r}{DRIVER}"

    def __enter__(self) -> Machine:
        home = str(self._home)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
        places = {
            "HF_HOME": home, "TORCH_HOME": f"{home}/torch", "HOME": home,
            "XDG_CACHE_HOME": f"{home}/cache", "XDG_DATA_HOME": f"{home}/data",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=home, env={**kept, **places, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Runs a command line, which uses no socket; returns exit code, stdout and stderr."""
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        code, out, err, opened = json.loads(self._process.stdout.readline())
        assert opened == [], arguments
        return code, out, err


def flip(file: Path) -> None:
    """Turns a bit near the end of a file."""
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


@pytest.fixture(scope="module")
def weights() -> bytes:
    import timm
    import torch
    from safetensors.torch import save

    with torch.random.fork_rng():
        torch.manual_seed(4)
        return save(timm.create_model(MODEL.removeprefix("timm:"), pretrained=False).state_dict())


def write_pictures(home: Path) -> None:
    for number, name in enumerate(("n01440764", "n01443537")):
        (home / "photos" / name).mkdir(parents=True)
        for i in range(6):
            colour = (40 * i, 20 * i + number, 255 - 40 * i)  # no two pictures are copies
            Image.new("RGB", (48, 40), colour).save(home / "photos" / name / f"{i}.png")


RUN = (
    "--headless", "--offline", "--data", "imagefolder:photos", "--threads", "1", "--workers", "0",
    "--output", "run",
)  # fmt: skip


def test_what_was_fetched_serves_every_command_and_nothing_else_does(tmp_path, weights):
    blob = put(tmp_path, REPOSITORY, "model.safetensors", weights)
    write_pictures(tmp_path)
    (tmp_path / "other.safetensors").write_bytes(weights)
    of_hub = {TINY: put_tiny(tmp_path), "timm:hf-hub:me/resnet": timm_folder(tmp_path / "resnet")}
    for file in (tmp_path / "resnet").iterdir():
        put(tmp_path, "me/resnet", file.name, file.read_bytes())
    clip = "timm/resnet50_clip.", "open_clip_model.safetensors"
    put(tmp_path, f"{clip[0]}openai", clip[1], b"weights")
    put(tmp_path, f"{clip[0]}yfcc15m", clip[1], b"weights").write_bytes(b"weightz")
    with Machine(tmp_path) as run:

        def succeeds(*words: str) -> str:
            code, out, err = run(*words)
            assert code == 0, err
            return out

        digest = hashlib.sha256(weights).hexdigest()
        fetched = succeeds("fetch", "--offline", MODEL)
        assert fetched.split("\t")[:3] == [MODEL, digest, str(len(weights))]
        rows = json.loads(succeeds("models", "test_resnet", "--json"))
        assert {row["name"]: row for row in rows}[MODEL]["cached"] == "yes"
        doctor = succeeds(
            "doctor", "--model", MODEL, "--data", "imagefolder:photos", "--offline", "--json"
        )
        check_doctor(json.loads(doctor))
        for name, state in of_hub.items():
            encoder = json.loads(succeeds("doctor", "--model", name, "--offline", "--json"))[
                "encoder"
            ]
            assert encoder["weights"]["kind"] == "pretrained"
            assert encoder["weights"]["digest"] == state_digest(state)
        assert encoder["preprocessing"]["mean"] == MEAN
        digest = hashlib.sha256(b"weights").hexdigest()
        assert succeeds("fetch", "--offline", "rn50_openai").split("\t")[1:3] == [digest, "7"]
        assert "50 % right on photos" in succeeds(*RUN, "--model", MODEL)
        check_preflight(tmp_path / "run")

        flip(blob)
        other = ("--checkpoint", "other.safetensors")
        for words, cause in (
            (("doctor", "--model", MODEL), "is damaged"),
            (("fetch", MODEL), "is damaged"),
            (("--headless", "--model", MODEL, "--data", "imagefolder:photos"), "damaged"),
            (("doctor", "--model", "rn50_yfcc15m"), "is damaged"),
            (("fetch", "vitb16_openai"), "they are not cached, and downloads are off"),
            (("doctor", "--model", "timm:resnet18.a1_in1k"), "are not available"),
            (("doctor", "--model", "open_clip:hf-hub:nobody/nothing"), "are not available"),
            (("fetch", "open_clip:RN50-quickgelu/nope"), "the tags of RN50-quickgelu are"),
            (("doctor", "--model", "timm:resnet18.nope"), "has no tag 'nope'; its tags are"),
            (("doctor", "--model", "timm:resnet18", *other), "does not fit timm:resnet18"),
            (("doctor", "--model", "rn50_in1k", *other), "Name the architecture"),
            (("doctor", "--model", "timm:hf-hub:nobody/nothing"), "Fetch them where there is a"),
            (("doctor", "--model", "torchvision:resnet18/IMAGENET1K_V1"), "tuiprobe fetch"),
        ):
            code, out, err = run(*words, "--offline")
            assert (code, out) == (3, ""), (words, err)
            assert cause in err, (words, err)
            assert "Traceback" not in err
            assert len([line for line in err.splitlines() if line.startswith("error")]) == 1


def check_doctor(examination: Any) -> None:
    encoder = examination["encoder"]
    assert encoder["weights"]["kind"] == "pretrained"
    assert encoder["taps"][-1]["name"] == "embedding"
    assert encoder["cost"]["images_per_second"] > 0
    checks = {check["name"]: check for check in examination["checks"]}
    assert checks["class mask"]["detail"].startswith("2 of 1,000 classes")
    assert "fail" not in {check["status"] for check in checks.values()}


def check_preflight(run: Path) -> None:
    """The preflight stands in the results, in the report and in the status of the run."""
    results = json.loads((run / "results.json").read_text())
    (preflight,) = [part for part in results["parts"] if part["probe"] == "preflight"]
    checks = {check["name"]: check for check in preflight["result"]["checks"]}
    assert (checks["image count"]["status"], checks["image count"]["data"]) == ("warn", "photos")
    assert any("no complete ImageNet set" in warning for warning in results["warnings"])
    assert "image count" in (run / "report.html").read_text().partition("<summary>Preflight (")[2]
    assert "preflight, image count of photos" in (run / "status" / "0.json").read_text()


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

    from tuiprobe.catalog.published_models import FILE

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


def carrying_lines() -> list[str]:
    """Returns the three lines of the documentation that carry caches to another machine."""
    page = (Path(__file__).parents[3] / "docs/howto/install.md").read_text()
    return page.partition("```sh weights network\n")[2].partition("\n```")[0].splitlines()


@pytest.mark.nightly
def test_copied_caches_serve_a_machine_without_a_network(tmp_path: Path, weights: bytes) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    put(here, REPOSITORY, "model.safetensors", weights)
    put_by_url(here)
    (here / "names").write_text("tench\ngoldfish\n")
    (here / "templates").write_text("a {}.\nthe {}.\n")
    write_pictures(here)
    shutil.copytree(here / "photos", there / "photos")
    for name in ("names", "templates", "tiny.json", "url", "cache/tuiprobe/names.tsv"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(here / name, there / name)
    head = ("--head", "zero-shot", "--classes", "names", "--templates", "templates")
    fetch = ("fetch", "--offline", MODEL, TINY, BY_URL, *head, "--device", "cpu")
    with Machine(here, AN_OPEN_CLIP_WITHOUT_THE_HUB) as run:
        code, fetched, err = run(*fetch)
        assert code == 0, err
        assert run(*RUN, "--model", BY_URL, *head)[0] == 0
    assert f"{MODEL}: no text tower" in err
    rows = [line.split("\t") for line in fetched.splitlines()]
    folders = {Path(row[3]): int(row[2]) for row in rows if row[0] == "folder"}
    assert {str(folder.relative_to(here)).rpartition("/")[0] for folder in folders} == {
        "hub", ".cache", "cache/tuiprobe/heads"
    }  # fmt: skip
    assert len(folders) == 5  # of two models of the hub, one by URL, and two heads
    for folder, size in folders.items():
        files = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
        assert size == sum(file.stat().st_size for file in files)
    (here / "fetched.txt").write_text(fetched)
    _, pack, unpack = carrying_lines()
    home = {**os.environ, "HOME": str(here)}
    for line in (pack, unpack.replace("ssh node tar", f"tar -C {there}")):
        subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, cwd=here, env=home)
    for row in rows:
        if row[0] != "folder":
            assert row[1] == hashlib.sha256(Path(row[3]).read_bytes()).hexdigest()
    here.rename(tmp_path / "gone")

    with Machine(there, AN_OPEN_CLIP_WITHOUT_THE_HUB) as run:
        assert run(*RUN, "--model", BY_URL, *head)[0] == 0
        code, again, _ = run(*fetch)
        assert code == 0
        assert again.splitlines()[:2] == [
            line.replace(str(here), str(there)) for line in fetched.splitlines()[:2]
        ]
        texts = [(home / "run/results.json").read_text() for home in (tmp_path / "gone", there)]
        results = [json.loads(texts[0].replace(str(here), str(there))), json.loads(texts[1])]
        for result in results:
            del result["timings"]
        assert results[0] == results[1]
        assert "built by tuiprobe fetch" in texts[1]

        (by_url,) = there.glob(".cache/clip/tiny.pt")
        for file in (by_url, *there.glob("cache/tuiprobe/heads/*/*.safetensors")):
            flip(file)
        for words in (
            (*RUN[:-1], "other", "--model", TINY, *head), ("fetch", "--offline", TINY, *head),
            ("fetch", "--offline", BY_URL), (*RUN, "--model", BY_URL, *head, "--fresh"),
        ):  # fmt: skip
            code, _, err = run(*words)
            assert (code, "is damaged" in err, "Traceback" in err) == (3, True, False), err

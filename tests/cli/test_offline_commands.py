"""models, inspect, doctor, fetch and a headless run, offline, as a user types them.

A folder stands in for the hub's cache, in its real layout, and every use of a socket is recorded.
One process runs all of them, since the libraries take seconds to import.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.hub_cache import put
from tests.models.test_bundles import TINY, put_tiny

pytestmark = pytest.mark.slow

MODEL = "timm:test_resnet.r160_in1k"
REPOSITORY = "timm/test_resnet.r160_in1k"

DRIVER = """
import contextlib, io, json, socket, sys

opened = []
def hook(event, arguments):
    # Processes on one machine may talk through AF_UNIX; nothing may leave it.
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        opened.append([event, str(arguments)])
    if event in ("socket.connect", "socket.bind") and arguments[0].family != socket.AF_UNIX:
        opened.append([event, str(arguments)])
sys.addaudithook(hook)
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


def typed(home: Path, *commands: list[str]) -> tuple[list[Any], list[tuple[int, str, str]]]:
    """Runs command lines; returns the sockets used, and exit code, stdout and stderr of each."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
    environment |= {
        "HF_HOME": str(home), "TORCH_HOME": str(home / "torch"), "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(home / "cache"), "XDG_DATA_HOME": str(home / "data"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(commands), capture_output=True,
        text=True, env=environment, cwd=home,
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
        ["inspect", MODEL, "--offline", "--json"],
        ["doctor", "--model", MODEL, "--data", "imagefolder:photos", "--offline", "--json"],
        run,
        ["models", "--published", "resnet50.a1_in1k", "--json"],
    )
    assert opened == []
    assert [code for code, _, _ in said] == [0] * 6, said
    fetched, models, inspected, doctor, ran, published = (out for _, out, _ in said)
    digest = hashlib.sha256(weights).hexdigest()
    assert fetched.split("\t")[:3] == [MODEL, digest, str(len(weights))]
    rows = {row["name"]: row for row in json.loads(models)}
    assert rows[MODEL]["cached"] == "yes"
    shown = json.loads(inspected)
    assert shown["weights"]["kind"] == "pretrained"
    assert shown["taps"][-1]["name"] == "embedding"
    assert shown["cost"]["images_per_second"] > 0
    assert shown["cost"]["prompts_per_second"] is None  # has no text tower
    checks = {check["name"]: check for check in json.loads(doctor)}
    assert checks["class mask"]["detail"].startswith("2 of 1,000 classes")
    assert "fail" not in {check["status"] for check in checks.values()}
    assert "Top-1 " in ran

    # The preflight stands in the results, in the report and in the events of the run.
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    (preflight,) = [part for part in results["parts"] if part["probe"] == "preflight"]
    checks = preflight["result"]["checks"]
    counted = next(check for check in checks if check["name"] == "image count")
    assert (counted["status"], counted["data"]) == ("warn", "photos")
    assert any("no complete ImageNet set" in warning for warning in results["warnings"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "image count" in page.partition("<summary>Preflight (")[2]
    events = (tmp_path / "run" / "events-0.jsonl").read_text()
    assert "preflight, image count of photos" in events

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
        (["fetch", "--offline", MODEL], "is damaged"),
        (["inspect", MODEL, "--offline"], "is damaged"),
        (["doctor", "--model", MODEL, "--offline"], "is damaged"),
        (["--headless", "--model", MODEL, "--data", "imagefolder:photos", "--offline"], "damaged"),
        (["fetch", "--offline", "vitb16_openai"], "they are not cached, and downloads are off"),
        (["fetch", "open_clip:RN50-quickgelu/nope", "--offline"], "the tags of RN50-quickgelu are"),
        (["inspect", "timm:resnet18.nope", "--offline"], "has no tag 'nope'; its tags are"),
        (["inspect", "open_clip:RN50/nope", "--offline"], "has no tag 'nope'"),
        (["inspect", "timm:resnet18", "--offline", *other], "does not fit timm:resnet18"),
        (["doctor", "--model", "rn50_in1k", "--offline", *other], "Name the architecture"),
        (["inspect", "timm:hf-hub:nobody/nothing", "--offline"], "Fetch them where there is a"),
        (["inspect", "torchvision:resnet18/IMAGENET1K_V1", "--offline"], "tuiprobe fetch"),
    ]
    opened, said = typed(tmp_path, *(arguments for arguments, _ in cases))
    assert opened == []
    for (arguments, cause), (code, out, err) in zip(cases, said, strict=True):
        assert code == 3, (arguments, code, err)
        assert out == ""
        assert cause in err, (arguments, err)
        assert "Traceback" not in err
        assert len([line for line in err.splitlines() if line.startswith("error")]) == 1


def test_a_bundle_goes_on_with_a_run_where_no_cache_is(tmp_path: Path, weights: bytes) -> None:
    cached(tmp_path, weights)
    put_tiny(tmp_path)
    write_pictures(tmp_path)
    run = [
        "--headless", "--model", MODEL, "--data", "imagefolder:photos", "--output", "run",
        "--threads", "1", "--workers", "0", "--batch-size", "4", "--shard-batches", "1",
    ]  # fmt: skip
    opened, said = typed(
        tmp_path,
        ["fetch", "--offline", MODEL, TINY, "mini_clip", "--bundle", "models.tar"],
        [*run, "--offline"],
    )
    assert opened == []
    assert [code for code, _, _ in said] == [0, 0], said
    whole = (tmp_path / "models.tar").read_bytes()
    digest = hashlib.sha256(whole).hexdigest()
    assert said[0][1].splitlines()[-1] == f"bundle\t{digest}\t{len(whole)}\tmodels.tar"
    key = (tmp_path / "run" / "key").read_text()
    before = json.loads((tmp_path / "run" / "results.json").read_text())

    (tmp_path / "hub").rename(tmp_path / "elsewhere")
    (tmp_path / "cut.tar").write_bytes(whole[:-200_000])
    shards = sorted((tmp_path / "run" / "shards").rglob("*.safetensors"))
    assert len(shards) == 3
    results, measured = (tmp_path / "run" / name for name in ("results.json", "measured.json"))
    for lost in (shards[1], results, measured):
        lost.unlink()
    opened, said = typed(
        tmp_path,
        [*run, "--bundle", "models.tar"],
        ["inspect", TINY, "--bundle", "models.tar", "--no-cost", "--json"],
        [*run, "--offline"],
        [*run, "--bundle", "cut.tar"],
        [*run, "--bundle", "run/results.json"],
        ["inspect", "rn50_openai", "--bundle", "models.tar"],
    )
    assert opened == []
    assert [code for code, _, _ in said] == [0, 0, 3, 3, 3, 3], said
    assert json.loads(said[1][1])["weights"]["kind"] == "pretrained"
    causes = ("they are not cached", "is cut short", "is no bundle", "does not hold")
    for (_, out, err), cause in zip(said[2:], causes, strict=True):
        assert (out, cause in err) == ("", True), err
    assert (tmp_path / "run" / "key").read_text() == key
    after = json.loads((tmp_path / "run" / "results.json").read_text())
    for one in (before, after):
        del one["timings"], one["sha256"]
        del one["spec"]["bundle"], one["spec"]["offline"]
    assert after == before

"""`--models`: many models in one command, resumable, with a list of the gaps."""

import json
import os
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.conftest import Program
from tuiprobe import miniature
from tuiprobe.catalog.published_models import presets
from tuiprobe.errors import UsageError
from tuiprobe.inside.outliers.describe import OutlierFeatures
from tuiprobe.measure.engine.machine import (
    BYTES_A_PARAMETER,
    FILE_SIZES,
    SHARE_OF_MEMORY,
    affordable,
)
from tuiprobe.measure.engine.plan import Plan, make_plan
from tuiprobe.miniature.weights import FOLDER
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.load import load_encoder
from tuiprobe.request import RunRequest, make_spec
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.cli.headless import paper_models, read_models

OPENING = "tuiprobe.measure.engine.opening"

LIST = """
mini_clip        # of the package

rn101_cc12m
mini_supervised
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 24 pictures of two classes, and a list of three models."""
    rng = np.random.default_rng(0)
    for i in range(24):
        place = tmp_path / "pictures" / ("cat", "dog")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(place / f"{i}.png")
    (tmp_path / "models.txt").write_text(LIST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the models whose weights are loaded, in order; the runs are real."""
    models = []

    def load(model: str, **options: Any) -> Encoder:
        models.append(model)
        return load_encoder(model, **options)

    monkeypatch.setattr(f"{OPENING}.load_encoder", load)
    return models


def probe(*more: str) -> int:
    words = ("--models", "models.txt", "--data", "imagefolder:pictures", "--output", "out")
    return run_cli(["--headless", *words, "--threads", "1", "--workers", "0", *more])


@pytest.mark.slow
def test_an_undecided_list_ends_with_the_command_that_decides(folder, capsys, program):
    names = ",".join(miniature.class_names())
    assert probe("--data", "imagefolder:pictures/cat", "--classes", names) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[0] not in output.err  # the title stands in the terminal once
    last = output.err.splitlines()[-1]
    following = last.removeprefix("next: tuiprobe ")
    assert following.startswith("label out/mini_clip-cat-")
    assert probe("--data", "imagefolder:pictures/cat", "--classes", names, "--json") == 0
    *lines, end = capsys.readouterr().out.splitlines()  # of runs that were finished
    assert [json.loads(line)["model"]["name"] for line in lines] == ["mini_clip", "mini_supervised"]
    compared = program("compare", *shlex.split(following)[1:], "--json").json
    assert json.loads(end) == {name: compared[name] for name in ("schema_version", "decision")}
    assert program("compare", *shlex.split(following)[1:]).err.splitlines() == [last]
    err = program(*shlex.split(following)).err
    assert err.startswith("next: the same command with --page FILE")
    state = program(*shlex.split(following), "--json").json
    assert len(state["candidates"]) == 2


@pytest.mark.slow
def test_what_is_there_is_measured_once_and_the_rest_is_a_gap(folder, opened, capsys, monkeypatch):
    assert probe() == 0
    output = capsys.readouterr()
    assert opened == ["mini_clip", "mini_supervised"]
    gap = "rn101_cc12m: no public weights exist; write checkpoint=FILE after the name"
    assert output.err.splitlines()[-1] == f"not measured: {gap}"
    assert "next:" not in output.err  # without pictures of one's own
    (comparison,) = (folder / "out").glob("comparison-*.md")
    table = comparison.read_text()
    decision, _, cards = output.out.partition(f"- {gap}\n\n")
    assert decision.startswith("Decision\n")
    assert cards.count("Your images") == 2
    assert "| mini\\_supervised |" in table
    assert "# Not measured\n\n- rn101\\_cc12m: no public weights exist" in table
    assert len([path for path in (folder / "out").iterdir() if path.is_dir()]) == 2

    opened.clear()
    assert probe() == 0
    again = capsys.readouterr()
    assert opened == []
    assert output.out.startswith(again.out)
    assert again.out.startswith("Decision\n========\n")
    assert "mini_clip: finished earlier, in out/mini_clip-" in again.err
    assert probe("--json") == 0
    lines = capsys.readouterr().out.splitlines()[:-1]  # then the decision
    models = [json.loads(line)["model"]["name"] for line in lines]
    assert models == ["mini_clip", "mini_supervised"]

    # of equal runs the latest
    first = next((folder / "out").glob("mini_clip-*"))
    for name, later in (("a", -9), ("later", 9), ("z", -9)):
        shutil.copytree(first, folder / "out" / name)
        results = folder / "out" / name / "results.json"
        os.utime(results, (results.stat().st_mtime + later,) * 2)
    assert probe() == 0
    assert "mini_clip: finished earlier, in out/later" in capsys.readouterr().err
    for name in ("a", "later", "z"):
        shutil.rmtree(folder / "out" / name)

    # altered results and another version: opened again
    run = next((folder / "out").glob("mini_clip-*"))
    text = (run / "results.json").read_text()
    (run / "results.json").write_text(text.replace("mini_clip", "mini_klip"))
    assert probe() == 0
    assert opened == ["mini_clip"]
    opened.clear()
    (folder / "models.txt").write_text("mini_supervised\n")
    monkeypatch.setattr("tuiprobe.measure.engine.earlier.__version__", "0.0.1")
    assert probe() == 0
    assert opened == ["mini_supervised"]


@pytest.mark.slow
def test_what_changed_is_measured_again(folder: Path, opened: list[str]) -> None:
    weights, names = folder / "my weights" / "w.safetensors", folder / "names.txt"
    weights.parent.mkdir()
    state = load_file(FOLDER / "mini_supervised.safetensors")
    save_file(state, weights)
    names.write_text("cat\ndog\n")
    (folder / "models.txt").write_text("mini_supervised 'checkpoint=my weights/w.safetensors'\n")
    more = ("--head", "probe", "--classes", "names.txt", "--sample", "12")

    def changed_weights() -> None:
        status = weights.stat()
        save_file({name: tensor * 1.01 for name, tensor in state.items()}, weights)
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))  # as `cp -p` does
        assert weights.stat().st_size == status.st_size

    def turned_images() -> None:
        for path in (folder / "pictures").glob("*/*.png"):
            Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)

    assert probe(*more) == 0
    assert probe(*more) == 0
    assert len(opened) == 1
    changes: list[Any] = [lambda: names.write_text("Cat\ndog\n"), turned_images, changed_weights]
    for number, change in enumerate(changes, 2):
        change()
        assert probe(*more) == 0
        assert len(opened) == number
    assert probe(*more, "--fresh") == 0
    assert probe("--sample", "12") == 0  # another option
    assert len(opened) == 6
    assert len(list((folder / "out").glob("mini_supervised-*"))) == 3  # by weights and images
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutlierFeatures, "compute", lambda *_: [][0])
        assert probe("--sample", "12", "--fresh") == 5
    assert probe("--sample", "12") == 0  # a run whose probe failed is not finished
    assert len(opened) == 8


@pytest.mark.slow
def test_an_interrupted_list_goes_on_with_the_same_command(folder, opened, capsys, monkeypatch):
    (folder / "models.txt").write_text("mini_clip\nmini_supervised\nmini_finetuned\n")
    monkeypatch.setattr("tuiprobe.measure.engine.machine.free_memory", lambda device: None)  # alone

    def stopped(*given: Any, **named: Any) -> Plan:
        if len(opened) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return make_plan(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(f"{OPENING}.make_plan", stopped)
        assert probe() == 130
    assert opened == ["mini_clip", "mini_supervised"]
    messages = capsys.readouterr().err
    assert "not measured: mini_supervised: stopped before" in messages
    assert "not measured: mini_finetuned: stopped before" in messages
    assert probe() == 0
    assert opened[2:] == ["mini_supervised", "mini_finetuned"]
    assert "not measured" not in capsys.readouterr().err


def test_the_paper_with_empty_caches_measures_nothing_and_lists_every_gap(
    folder: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(folder / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "empty"))
    words = ["--headless", "--models", "paper", "--offline", "--output", "out"]
    output = program(*words, "--data", "imagefolder:pictures", code=3)
    assert output.out == ""
    assert not (folder / "out").exists()
    lines = [line for line in output.err.splitlines() if line.startswith("not measured: ")]
    assert {line.split(": ")[1] for line in lines} == set(paper_models())
    assert "error:" not in output.err


def test_mistakes_are_reported_once_before_anything_is_measured(folder, capsys, program):
    for more, cause in (
        (("--model", "mini_clip"), "leave out --model"),
        (("--checkpoint", "w.pt"), "write checkpoint=FILE after its name"),
    ):
        assert probe(*more) == 2
        assert cause in capsys.readouterr().err
    words = ["--headless", "--models", "models.txt", "--output", "out"]
    assert program(*words, "--suite", "gone.toml", code=4).err.count("gone.toml") == 1
    assert "cannot read the list of models" in program(*words, "--models", "gone.txt", code=2).err
    assert not (folder / "out").exists()


def test_a_list_names_models_and_their_weights(tmp_path: Path) -> None:
    path = tmp_path / "models.txt"
    path.write_text(
        "# mine\nrn50_openai\n\ntimm:resnet50.a1_in1k checkpoint='my weights/#1.pt' # tuned\n"
        "rn101_cc12m checkpoint=/abs/w.pt\nrn50_openai\nmini_clip checkpoint=~nobody-here/w.pt\n"
    )
    assert read_models(str(path)) == (
        ("rn50_openai", None),
        ("timm:resnet50.a1_in1k", f"{tmp_path}/my weights/#1.pt"),
        ("rn101_cc12m", "/abs/w.pt"),
        ("mini_clip", f"{tmp_path}/~nobody-here/w.pt"),  # a slip, which the weights' error shows
    )
    listed = read_models("paper")
    assert listed == tuple((name, None) for name in paper_models())
    trainings = [presets()[name].training for name, _ in listed]
    assert trainings.count("zero-shot") == 18
    assert trainings.count("captions") == 5


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "lists no model"),
        ("# nothing\n", "lists no model"),
        ("ok\nrn50_openai x.pt", "line 2: write MODEL or MODEL checkpoint=FILE"),
        ("rn50_openai checkpoint=", "line 1: write MODEL"),
        ("rn50_openai checkpoint=a checkpoint=b", "line 1: write MODEL"),
        ("'' checkpoint=a", "line 1: write MODEL"),
        ("'rn50_openai", "line 1: No closing quotation"),
        ("py:os:getcwd", "line 1: 'py:os:getcwd' runs code; name it by --model yourself"),
        ("\udcff", "is no list of models"),
        ("1," * 2**17 + "1", "holds 262,145 bytes, above the limit"),  # a minute for each megabyte
    ],
    ids=range(10),  # the last text is no name of a test
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, cause: str) -> None:
    path = tmp_path / "models.txt"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=rf"models\.txt.*{cause}"):
        read_models(str(path))


def test_models_are_opened_together_only_as_memory_allows(tmp_path: Path) -> None:
    names = ["mini_clip", "mini_supervised", "py:a:b", "mini_clip", "mini_finetuned", "mini_clip"]
    requests = [RunRequest(spec=make_spec(name, None, {})) for name in names]
    two = 2 * presets()["mini_clip"].parameters * BYTES_A_PARAMETER / SHARE_OF_MEMORY

    def sizes(available: float | None) -> list[int]:
        groups = affordable(requests, None if available is None else int(available))
        assert [request for group in groups for request in group] == requests
        return [len(group) for group in groups]

    assert sizes(None) == [1] * 6
    assert sizes(10) == [1] * 6
    assert sizes(two + 1) == [2, 1, 2, 1]
    assert sizes(1e12) == [2, 1, 3]

    file = tmp_path / "own.pt"
    file.write_bytes(bytes(1000))
    spec = make_spec("timm:resnet18", None, {"checkpoint": str(file)})
    requests = [RunRequest(spec=spec)] * 3
    assert sizes(2 * FILE_SIZES * 1000 / SHARE_OF_MEMORY + 1) == [2, 1]

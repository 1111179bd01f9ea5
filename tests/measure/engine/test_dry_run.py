"""What a run would do, beside what runs do."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Program
from tuiprobe.datasets.load import user_spec
from tuiprobe.measure.engine.dry_run import preview as preview_engine
from tuiprobe.measure.run.counting import images_done
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.preview import Preview, Unknown
from tuiprobe.options import OptionError
from tuiprobe.probes import BUILT_IN, registry
from tuiprobe.probes.hooks import HOOKS
from tuiprobe.probes.run import run as measure_run
from tuiprobe.request import FILES, RunRequest, make_spec
from tuiprobe.results import NotRun
from tuiprobe.results.report import Report
from tuiprobe.show.cli.app import run_cli

preview = partial(preview_engine, hooks=HOOKS)


def looked_at(
    model: str | None = "mini_clip", output: Path | None = None, **options: Any
) -> Preview:
    refused = list[OptionError]()
    spec = user_spec(model, options.pop("data", None), options, refused)
    return preview(RunRequest(spec=spec, output=output), refused)


def planned(result: Preview) -> dict[str, int]:
    return {record.name: record.planned for record in result.known_sets}


def wrong(result: Preview) -> dict[str, str]:
    return {each.option: each.reason for each in result.wrong}


def test_the_default_run_counts_concepts_and_target_and_options_change_it() -> None:
    result = looked_at()
    labelled = dict.fromkeys(("val", "v2", "r", "sketch", "a", "objectnet"), 2000)
    assert planned(result) == {**labelled, "concepts": 3000, "street": 500}
    assert result.images == 15_500
    assert (result.wrong, result.head, result.exit_code) == ((), "yes", 0)
    announced = {probe.id: probe.title for probe in result.probes}
    assert list(announced) == list(BUILT_IN)
    assert announced == {probe.id: probe.title for probe in registry().probes}
    assert looked_at("rn50_openai").images == 6 * 64  # without concepts
    assert looked_at(sample=64, concepts="none", target=["none"]).images == 6 * 64
    assert looked_at(sample=0, concept_sample=10).images == 14_000 + 10 + 500
    remote = looked_at(data="hf:owner/name:val")
    assert remote.sets == Unknown(depends_on="data")
    assert not remote.wrong
    assert any(download.name == "hf:owner/name:val" for download in remote.downloads)


def test_weights_that_are_missing_are_downloads_and_refused_offline(tmp_path, monkeypatch):
    monkeypatch.setattr("tuiprobe.catalog.model_list.cached_file", lambda model: None)
    (weights,) = looked_at("vitb16_openai").downloads
    assert (weights.kind, weights.name) == ("weights", "vitb16_openai")
    assert weights.least > 3e8
    offline = looked_at("vitb16_openai", offline=True)
    assert [(each.option, each.exit_code) for each in offline.wrong] == [("offline", 3)]
    assert looked_at("vitb16_openai", checkpoint="x.pt").downloads == ()


WRONG: list[tuple[str, list[str], str]] = [
    ("data", ["--data", "nonsense"], "unknown data source 'nonsense'"),
    ("data", ["--data", "imagefolder:/gone"], "/gone"),
    ("target", ["--target", "imagefolder:/gone"], "/gone"),
    ("concepts", ["--concepts", "broden:/gone"], "/gone"),
    ("baseline", ["--baseline", "/gone.csv"], "No such file"),
    ("classes", ["--classes", "/gone.txt"], "No such file"),
    ("templates", ["--templates", "/"], "is a directory, not a file"),
    ("head", ["--head", "/gone.pt"], "No such file"),
    ("checkpoint", ["--checkpoint", "/gone.pt"], "No such file"),
    ("max_unreadable", ["--max-unreadable", "7"], "at most 1"),
    ("batch_size", ["--batch-size", "0"], "at least 1"),
    ("probe", ["--probe", "x"], "write ID.KEY=VALUE"),
    ("labels", ["--labels", "/gone.csv", "--data", "miniature:val"], "No such file"),
    ("training", ["--training", "supervised"], "belongs to --embeddings"),
    ("data", ["--embeddings", "/gone.npy"], "/gone.npy"),
    ("output", ["--output", "."], "is not empty"),
]


@pytest.mark.parametrize(("option", "words", "message"), WRONG, ids=[w[1][1] for w in WRONG])
def test_what_is_wrong_is_named_with_the_exit_code_of_the_run(
    option, words, message, tmp_path, monkeypatch, capsys, program
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_text("of a user")
    code = run_cli(["--headless", *words, "--dry-run", "--json"])
    (named,) = json.loads(capsys.readouterr().out)["wrong"]
    assert named["option"] == option
    assert message in named["reason"]
    assert code == named["exit_code"]
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    small = (
        [] if words[0] in ("--embeddings", "--training") else ["--sample", "8", "--workers", "0"]
    )
    capsys.readouterr()
    out, err = program("--headless", *words, *small, code=code)
    assert out == ""
    assert "[Errno" not in err
    assert "loading" not in err or option not in FILES  # no model is loaded before


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("model,other\n")
    (tmp_path / "c.txt").write_text("one\ntwo\n")
    result = looked_at(
        target=["imagefolder:/gone"], concepts="broden:/gone", baseline=str(tmp_path / "b.csv"),
        classes=str(tmp_path / "c.txt"), batch_size=0, tokens="some",
    )  # fmt: skip
    assert wrong(result).keys() == {
        "target", "concepts", "baseline", "classes", "batch_size", "tokens",
    }  # fmt: skip
    assert "lacks the column" in wrong(result)["baseline"]
    unsure = {probe.id for probe in result.probes if probe.outcome == Unknown(depends_on="options")}
    assert {"targets", "concepts"} <= unsure


def test_vectors_are_counted_and_their_files_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((40, 16), dtype=np.float32))
    np.save(tmp_path / "narrow.npy", np.ones((5, 8), dtype=np.float32))
    (tmp_path / "l.txt").write_text("a\n" * 39)

    def vectors(**options: Any) -> Preview:
        return looked_at(None, embeddings=str(tmp_path / "x.npy"), **options)

    (rows,) = vectors().known_sets
    assert (rows.planned, rows.channels, rows.role) == (40, 16, "unlabelled")
    assert list(wrong(vectors(labels=str(tmp_path / "l.txt")))) == ["labels"]
    narrow = vectors(target_embeddings=[str(tmp_path / "narrow.npy")])
    assert "8 channels" in wrong(narrow)["target"]
    assert list(wrong(looked_at(None, embeddings="/gone.npy"))) == ["data"]


def test_it_needs_no_torch_and_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from tuiprobe.show.cli.app import run_cli; code = run_cli(sys.argv[1:]);"
        "assert not {'torch', 'open_clip', 'timm'} & set(sys.modules); sys.exit(code)"
    )
    np.save(tmp_path / "x.npy", np.ones((40, 16), dtype=np.float32))
    for words, images in (
        (["--layers", "layer*"], 15_500),
        (["--embeddings", "x.npy", "--threads", "1"], 40),
    ):
        command = [sys.executable, "-c", code, "--headless", *words, "--dry-run", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert Preview.model_validate_json(done.stdout).images == images
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_several_models_have_a_line_of_json_each(program: Program) -> None:
    words = ["--headless", "--model", "mini_clip", "--model", "mini_supervised", "--dry-run"]
    lines = program(*words, "--json").out.splitlines()
    assert [json.loads(line)["spec"]["model"] for line in lines] == words[2:5:2]
    assert "✗ --batch-size: " in program(*words, "--batch-size", "0", code=2).out


def test_the_directory_is_new_resumed_replaced_deleted_or_refused(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Path("runs") / "one"

    def request(output: Path | None = run, fresh: bool = False, **changes: Any) -> RunRequest:
        given = {"batch_size": 4, "threads": 1, "workers": 0, "layers": ["layer*"]}
        spec = make_spec("mini_clip", f"imagefolder:{pictures}", given)
        return RunRequest(spec=replace(spec, **changes), output=output, fresh=fresh)

    def state(**changes: Any) -> tuple[str, int, tuple[str, ...]]:
        directory = preview(request(**changes)).directory
        return directory.state, directory.done, directory.replaced

    before = preview(request())
    assert (before.directory.state, before.taps) == ("new", Unknown(depends_on="model"))
    assert preview(request(output=None)).directory.path.endswith("-*")
    measure_run([request()])
    images = preview(request()).images
    assert images > 0
    assert state() == ("replaced", images, ())
    assert state(answers_among="all") == ("replaced", images, ("answers_among",))
    taps = preview(request()).taps
    assert not isinstance(taps, Unknown)
    assert (taps[0], len(taps) > 1) == ("embedding", True)
    found = preview(request(output=None, workers=1)).directory
    assert (found.path, found.state) == ("runs/one", "replaced")
    assert state(fresh=True) == ("deleted", 0, ())
    min((run / "shards").iterdir()).unlink()
    assert state() == ("resumed", images_done(RunDir(run)).done, ())
    assert 0 < state()[1] < images
    other = preview(request(data="miniature:val"))
    assert [(each.option, each.exit_code) for each in other.wrong] == [("output", 4)]


RUNS: dict[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "all": ((), {"sample": 60, "concept_sample": 320}),
    "supervised": (
        ("--model", "mini_supervised", "--sample", "64", "--concepts", "none", "--target", "none"),
        {"sample": 64, "concepts": "none", "target": ["none"]},
    ),
    "unlabelled": (
        ("--data", "miniature:street", "--sample", "70"),
        {"data": "miniature:street", "sample": 70},
    ),
}
TRIALS: dict[str, dict[str, Any]] = {
    "all": {"text": {"templates": 8, "padded": False}, "head": None},
    "supervised": {"text": None, "head": {"classes": 40}},
    "unlabelled": {"text": {"templates": 8, "padded": False}, "head": None},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["all", *(pytest.param(n, marks=pytest.mark.nightly) for n in ("supervised", "unlabelled"))],
)
def test_a_run_measures_and_answers_what_was_announced(name, prepared, default_run, tmp_path):
    words, options = RUNS[name]
    model = "mini_supervised" if name == "supervised" else "mini_clip"
    if words:
        done = prepared.run("--headless", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (run,) = (tmp_path / "runs").iterdir()
    else:
        run = shutil.copytree(default_run[1], tmp_path / "run")
    result = looked_at(model, run, **options)
    report = Report.read(run / "results.json")
    counts = {dataset.name: dataset.measured for dataset in report.data}
    assert planned(result) == counts
    assert result.images == sum(counts.values()) == result.directory.done

    loaded = result.with_model({"taps": [], "cost": {"device": "cpu"}, **TRIALS[name]})
    announced = {probe.id for probe in loaded.probes if probe.outcome == "runs"}
    refused = {probe.id for probe in loaded.probes if isinstance(probe.outcome, NotRun)}
    ran = {p.probe for p in report.parts if p.result is not None}
    assert announced <= ran
    assert ran - announced <= {"ablation"}  # "if a channel stands out"
    not_run = {p.probe for p in report.parts if p.result is None}
    assert refused <= not_run
    assert not_run - refused <= {"ablation"}

    shards = sorted((run / "shards").iterdir())
    shards[0].unlink()
    left = images_done(RunDir(run)).done
    assert 0 < left < result.images
    again = looked_at(model, run, **options)
    assert (again.directory.state, again.directory.done) == ("resumed", left)

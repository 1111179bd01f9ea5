"""Reports hold the last part of each path; spec.json holds paths whole, so that a run resumes."""

from pathlib import Path

import pytest

from tests.conftest import Program
from tests.measure.engine.conftest import write_pictures
from tests.show.report.samples import model, report
from tuiprobe import probe
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.miniature import weights
from tuiprobe.probes.report import without_folders
from tuiprobe.results import Report, SetSummary, Skipped
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report.formats import RENDERED, export, write_reports
from tuiprobe.show.tui.child import resuming_arguments

HOME = "house of mine"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures and of every kind of file that a run of images reads."""
    home = tmp_path_factory.mktemp("street") / HOME
    for name in ("photos", "others"):
        write_pictures(home / name, 24, classes=3)
    (home / "photos" / "class1" / "broken.png").write_bytes(b"no picture")
    (home / "classes.txt").write_text("circle\nsquare\nstar\n")
    (home / "templates.txt").write_text("a photo of a {}\n")
    (home / "mine.safetensors").write_bytes((weights.FOLDER / "mini_clip.safetensors").read_bytes())
    return home


@pytest.fixture(scope="module")
def run(home: Path) -> RunDir:
    probe(
        "mini_clip", f"imagefolder:{home}/photos", target=(f"imagefolder:{home}/others",),
        checkpoint=str(home / "mine.safetensors"), classes=str(home / "classes.txt"),
        templates=str(home / "templates.txt"), concepts="none", output=str(home / "runs" / "a"),
        max_unreadable=0.5, workers=0, threads=1,
    )  # fmt: skip
    return RunDir(home / "runs" / "a")


def test_no_exported_file_holds_a_folder(run: RunDir, tmp_path: Path) -> None:
    written = export(Report.read(run.results_file.path), run, list(RENDERED), tmp_path)
    assert len(written) > 12
    for path in (*written, run.results_file.path, run.summary_file.path, run.path / "report.md"):
        assert HOME.encode() not in path.read_bytes(), path


def test_the_last_part_of_each_path_stays(run: RunDir) -> None:
    result = Report.read(run.results_file.path)
    assert [item.source for item in result.data] == ["imagefolder:photos", "imagefolder:others"]
    assert result.model.weights.source == "mine.safetensors"
    names = ("checkpoint", "classes", "templates")
    assert [result.spec[name] for name in names] == [
        "mine.safetensors", "classes.txt", "templates.txt",
    ]  # fmt: skip
    (skipped,) = result.data[0].skipped
    assert skipped.path == "class1/broken.png"
    text = (run.path / "report.md").read_text()
    assert "--data imagefolder:photos " in text
    assert "`tuiprobe runs NAME` prints the full command" in text


def test_the_spec_resumes_and_runs_print_the_whole_command(run: RunDir, program: Program) -> None:
    assert f"imagefolder:{run.path.parent.parent}/photos" in resuming_arguments(run.path)
    before = Report.read(run.results_file.path)
    assert run_cli(resuming_arguments(run.path)) == 0
    assert Report.read(run.results_file.path).without_timings() == before.without_timings()
    (row,) = program("runs", "--root", str(run.path.parent), "--json").json["runs"]
    assert f"--classes '{run.path.parent.parent}/classes.txt'" in row["command"]


def test_only_the_terminal_names_the_directory_in_the_next_step(run: RunDir) -> None:
    written = "".join(write_reports(run).split())
    assert f"tuiprobelabel'{run.path}'".replace(" ", "") in written
    assert "tuiprobe label RUN" in (run.path / "report.md").read_text()


def test_paths_are_cut_within_sentences_and_names_are_kept() -> None:
    result = report(
        model=model(name="local:/home/me/nets/secret"),
        data=(
            SetSummary(name="val", source="imagefolder:/home/me/photos", images=2, measured=1,
                    skipped=(Skipped(path="cat/c.png", reason="/home/me/photos/cat/c.png: cut"),)),
        ),
        spec={
            "model": "local:/home/me/nets/secret",
            "data": "imagefolder:/home/me/photos",
            "target": ["imagefolder:../lent/photos", "hf:org/birds:test"],
            "baseline": "~/tables/mine.csv",
        },
        warnings=(
            "/home/me/photos is small (/home/me/photos/cat), /home/me/photos-2 is not read",
            "no baseline applies to imagefolder:../lent/photos",
            "/m/01g317 is a class, https://arxiv.org/abs/2310.13040 a paper, and/or a word",
            "/srv/runs/a/plan.json is damaged",
        ),
    )  # fmt: skip
    short = without_folders(result, ["/srv/runs/a"])
    assert short.warnings == (
        "photos is small (photos/cat), photos-2 is not read",
        "no baseline applies to imagefolder:photos",
        *result.warnings[2:3],
        "a/plan.json is damaged",
    )
    assert short.spec == {
        "model": "local:secret",
        "data": "imagefolder:photos",
        "target": ["imagefolder:photos", "hf:org/birds:test"],
        "baseline": "mine.csv",
    }
    assert short.model.name == "local:secret"
    assert short.data[0].skipped == (Skipped(path="cat/c.png", reason="photos/cat/c.png: cut"),)
    assert [item.figures for item in short.parts] == [item.figures for item in result.parts]

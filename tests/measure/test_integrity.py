"""No altered, foreign or lost file counts as measured, and no success without results."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.measure.conftest import job
from tests.run.test_directory import other_process_holding
from tuiprobe.cli.app import run_cli
from tuiprobe.files import DamagedFileError, Entry
from tuiprobe.measure import extract
from tuiprobe.measure.fingerprint import current_fingerprint
from tuiprobe.results import Report
from tuiprobe.run.arrays import read_arrays, write_arrays
from tuiprobe.run.directory import RunDir
from tuiprobe.run.verify import Finding, verify

pytestmark = pytest.mark.slow

Harm = Callable[[RunDir, Path], None]
Capture = pytest.CaptureFixture[str]


def results(directory: Path) -> dict:
    found = json.loads((directory / "results.json").read_text())
    del found["timings"]
    return found


@pytest.fixture(scope="session")
def finished(
    small_checkpoint: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "run"
    assert run_cli(arguments(small_checkpoint, pictures, directory)) == 0
    return directory


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunDir:
    shutil.copytree(finished, tmp_path / "run")
    return RunDir(tmp_path / "run")


@pytest.fixture
def again(small_checkpoint: Path, pictures: Path, tmp_path: Path) -> Callable[..., int]:
    """Returns what runs the same command again in the copied directory."""

    def go(*more: str) -> int:
        return run_cli([*arguments(small_checkpoint, pictures, tmp_path / "run"), *more])

    return go


def arguments(checkpoint: Path, data: Path, output: Path) -> list[str]:
    return [str(one) for one in job(checkpoint, data, output, "--sample", "32", "--offline")]


def as_rank(monkeypatch: pytest.MonkeyPatch, number: int, world: int = 2) -> None:
    monkeypatch.setenv("RANK", str(number))
    monkeypatch.setenv("WORLD_SIZE", str(world))


def shards(run: RunDir) -> list[Path]:
    return sorted((run.path / "shards").iterdir())


def rewritten(run: RunDir, path: Path, **changes: str) -> None:
    """Writes a shard again with other metadata and a checksum that fits."""
    entry = run.at(f"shards/{path.name}")
    arrays, metadata = read_arrays(entry)
    write_arrays(entry, arrays, {**metadata, **changes})


# Shards, whichever rank they are of.


def of_another_run(run: RunDir, path: Path) -> None:
    rewritten(run, path, key="b" * 64)


def of_another_place(run: RunDir, path: Path) -> None:
    shutil.copy(shards(run)[3], path)


def with_arrays(**changes: Callable[[np.ndarray], np.ndarray]) -> Harm:
    """Writes a shard again with other arrays and a checksum that fits."""

    def harm(run: RunDir, path: Path) -> None:
        entry = run.at(f"shards/{path.name}")
        arrays, metadata = read_arrays(entry)
        for field, change in changes.items():
            name = field if field in arrays else f"embedding/state.{field.replace('__', '.')}"
            arrays[name] = change(arrays[name])
        write_arrays(entry, arrays, metadata)

    return harm


HOSTILE = [
    with_arrays(features=lambda a: a[:, :-1]),
    with_arrays(features=lambda a: a.astype("f8")),
    with_arrays(digests=lambda a: a[:-1]),
    with_arrays(images=lambda a: a * 0),
    with_arrays(moments__m4=lambda a: a[:-1]),
    with_arrays(moments__count=lambda a: -a),
    with_arrays(samples__kurtosis=lambda a: a * 0 + 1e308),
    with_arrays(samples__leading=lambda a: a * 0 + 2**30),
    with_arrays(largest__sample_ids=lambda a: a * 0 + 999),
    with_arrays(largest__values=lambda a: a * np.nan),
    with_arrays(smallest__sample_ids=lambda a: np.tile(a, 2)),
]


def damaged(run: RunDir, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def a_pipe(run: RunDir, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("harm", [of_another_run, of_another_place, damaged, HOSTILE[0]])
def test_a_rank_measures_again_what_another_ones_shard_should_have_held(
    harm: Callable[[RunDir, Path], None],
    run: RunDir,
    finished: Path,
    again: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    harm(run, shards(run)[1])
    (run.path / "results.json").unlink()
    as_rank(monkeypatch, 0)  # shard 1 is of rank 1, which does not run
    assert again() == 0
    assert "must be measured again" in capsys.readouterr().err
    assert results(run.path) == results(finished)
    assert all(one.sound for one in verify(run))


def test_shards_that_no_engine_wrote_are_measured_again(
    run: RunDir, finished: Path, again: Callable[..., int], capsys: Capture
) -> None:
    assert len(shards(run)) >= 6
    for part in (HOSTILE[:6], HOSTILE[6:]):
        for harm, path in zip(part, shards(run), strict=False):
            harm(run, path)
        (run.path / "results.json").unlink()
        assert again() == 0
        assert capsys.readouterr().err.count("must be measured again") == len(part)
        assert results(run.path) == results(finished)


def test_a_shard_damaged_while_the_run_goes_on_is_measured_again_at_the_merge(
    run: RunDir,
    finished: Path,
    again: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    shards(run)[-1].unlink()
    during(monkeypatch, lambda: damaged(run, shards(run)[0]))
    assert again() == 0
    assert "must be measured again" in capsys.readouterr().err
    assert results(run.path) == results(finished)


def test_a_damaged_shard_is_left_out_where_the_run_is_stopped(
    run: RunDir, again: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    shards(run)[-1].unlink()

    def stop() -> None:
        damaged(run, shards(run)[0])
        (run.path / "cancel").touch()

    during(monkeypatch, stop, before=True)
    assert again() == 130
    said = capsys.readouterr().err
    assert "merged without the shards that must be measured again" in said
    assert results(run.path)["data"][0]["measured"] == 24  # of 32, two shards of four are not there


def test_a_shard_of_another_fingerprint_is_refused_at_the_merge_unless_mixed(
    run: RunDir,
    again: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    shards(run)[-1].unlink()
    _, metadata = read_arrays(run.at(f"shards/{shards(run)[1].name}"))
    other = json.dumps({**json.loads(metadata["fingerprint"]), "threads": 7})
    during(monkeypatch, lambda: rewritten(run, shards(run)[1], fingerprint=other))
    (run.path / "results.json").unlink()
    assert again() == 4
    said = capsys.readouterr().err
    assert f"{shards(run)[1].name} was measured under other conditions" in said
    assert "threads 7 then, 1 now" in said
    assert not (run.path / "results.json").exists()
    assert again("--mix") == 0
    assert any("--mix" in warning for warning in results(run.path)["warnings"])


@pytest.mark.parametrize("name", ["pillow", "numpy", "timm", "onednn", "blas"])
def test_a_shard_of_other_libraries_is_refused_by_name_on_a_resume_unless_mixed(
    name: str, run: RunDir, again: Callable[..., int], capsys: Capture
) -> None:
    first, *_, last = shards(run)
    last.unlink()
    _, metadata = read_arrays(run.at(f"shards/{first.name}"))
    made = json.loads(metadata["fingerprint"])
    made["flags"][name] = "another"
    rewritten(run, first, fingerprint=json.dumps(made))
    assert again() == 4
    assert f"({name} another then, " in capsys.readouterr().err
    assert again("--mix") == 0


def test_a_shard_of_another_model_of_processor_is_used_and_told(
    run: RunDir, again: Callable[..., int]
) -> None:
    first, *_, last = shards(run)
    last.unlink()
    _, metadata = read_arrays(run.at(f"shards/{first.name}"))
    made = json.loads(metadata["fingerprint"]) | {"processor": "Another Model 9000"}
    rewritten(run, first, fingerprint=json.dumps(made))
    assert again() == 0
    (warning,) = (text for text in results(run.path)["warnings"] if "processor" in text)
    assert "Another Model 9000" in warning
    assert "last bits may differ" in warning


def test_the_fingerprint_holds_what_changes_the_last_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    found = current_fingerprint("cpu")
    assert found.flags["numpy"] == np.__version__
    assert "openblas" in found.flags["blas"] or "mkl" in found.flags["blas"]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert current_fingerprint("cpu").differences(found) == {
        "onednn": ("SSE41", found.flags["onednn"])
    }


def during(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, before: bool = False
) -> None:
    """Lets something happen once, while the engine publishes (or before it takes) a shard."""
    place = "take" if before else "publish"
    real, done = getattr(extract.Extraction, place), list[object]()

    def step(self: extract.Extraction, *more: object) -> None:
        if before and not done:
            done.append(act())
            self._stop._next_poll = 0.0
        real(self, *more)
        if not before and not done:
            done.append(act())

    monkeypatch.setattr(extract.Extraction, place, step)


# Sidecars.


def state_of(found: list[Finding], file: str) -> str:
    return next(one.state for one in found if one.file == file)


def flip_labels(run: RunDir) -> None:
    lines = run.samples_file.read_text().splitlines(keepends=True)
    for i in range(20):
        sample = json.loads(lines[i])
        lines[i] = json.dumps({**sample, "label": (sample["label"] + 1) % 3}) + "\n"
    run.samples_file.path.write_text("".join(lines))


def edited(name: str, old: str, new: str) -> Callable[[RunDir], None]:
    def edit(run: RunDir) -> None:
        text = (run.path / name).read_text()
        assert old in text
        (run.path / name).write_text(text.replace(old, new, 1))

    return edit


ALTERED = {
    "samples.jsonl": flip_labels,
    "plan.json": edited("plan.json", '"planned": 32', '"planned": 33'),
    "measured.json": edited("measured.json", '"pieces": 1', '"pieces": 2'),
    "preflight.json": edited("preflight.json", '"pass"', '"warn"'),
    "spec.json": edited("spec.json", '"seed": 0', '"seed": 1'),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_record_is_noticed_and_mended_by_the_same_command(
    name: str, run: RunDir, finished: Path, again: Callable[..., int], capsys: Capture
) -> None:
    ALTERED[name](run)
    assert run_cli(["reprobe", str(run.path)]) == 4
    assert f"{name} is damaged: its checksum" in capsys.readouterr().err
    assert state_of(verify(run), name) == "damaged"
    assert results(run.path) == results(finished)
    assert again() == 0
    assert results(run.path) == results(finished)
    assert all(one.state == "whole" for one in verify(run))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("preflight.json", "reprobe"),
        ("per_image.safetensors", "compare"),
        ("features/pictures0/images.safetensors", "reprobe"),
        ("results.json", "report"),
    ],
)
def test_a_file_that_the_manifest_names_and_that_is_gone_is_noticed(
    name: str, command: str, run: RunDir, finished: Path, capsys: Capture
) -> None:
    (run.path / name).unlink()
    words = [command, str(run.path), *([str(finished)] if command == "compare" else [])]
    assert run_cli(words) == 4
    assert name in capsys.readouterr().err
    assert state_of(verify(run), name) == "missing"


def test_a_baseline_that_the_manifest_does_not_name_is_refused(
    run: RunDir, capsys: Capture
) -> None:
    (run.path / "baseline.csv").write_text("model,val,r\n")
    assert state_of(verify(run), "baseline.csv") == "not named"
    assert run_cli(["reprobe", str(run.path)]) == 4
    assert "baseline.csv is damaged: its checksum is not in manifest.json" in (
        capsys.readouterr().err
    )


# The manifest.


def test_results_without_a_manifest_are_refused_and_finished_by_the_same_command(
    run: RunDir, finished: Path, again: Callable[..., int], capsys: Capture
) -> None:
    run.at("manifest.json").unlink()
    for command in ("report", "reprobe", "compare"):
        more = [str(finished)] if command == "compare" else []
        assert run_cli([command, str(run.path), *more]) == 4
        said = capsys.readouterr().err
        assert "has no manifest.json" in said
        assert "the command that made the run finishes it" in said
    assert run_cli(["runs", "--json", "--root", str(run.path)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert row["state"] == "damaged"
    assert state_of(verify(run), "manifest.json") == "missing"
    with pytest.raises(DamagedFileError, match="no manifest"):
        Report.read(run.results_file.path)
    assert again() == 0
    assert results(run.path) == results(finished)
    assert all(one.state == "whole" for one in verify(run))


def test_results_alone_need_no_manifest(run: RunDir, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(run.results_file.path, alone)
    assert run_cli(["report", str(alone), "--format", "md", "--to", str(tmp_path / "to")]) == 0


def test_a_manifest_of_before_a_reprobe_does_not_hold(
    run: RunDir, again: Callable[..., int], capsys: Capture
) -> None:
    before = run.at("manifest.json").read_bytes()
    assert run_cli(["reprobe", str(run.path), "--concept-share", "0.02"]) == 0
    run.at("manifest.json").path.write_bytes(before)
    assert run_cli(["report", str(run.path)]) == 4
    assert f"run `tuiprobe reprobe {run.path}` to write it again" in capsys.readouterr().err
    wrong = {one.file for one in verify(run) if not one.sound}
    assert wrong == {"spec.json", "results.json"}
    assert again() == 0
    assert all(one.state == "whole" for one in verify(run))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"spec.json": 3}'])
def test_a_manifest_that_cannot_be_read_is_damaged(
    content: str, run: RunDir, again: Callable[..., int], capsys: Capture
) -> None:
    run.at("manifest.json").path.write_text(content)
    assert run_cli(["report", str(run.path)]) == 4
    assert "manifest.json is damaged" in capsys.readouterr().err
    assert state_of(verify(run), "manifest.json") == "damaged"
    assert again() == 0
    assert all(one.state == "whole" for one in verify(run))


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("name", [
    "spec.json", "per_image.safetensors", "results.json", "summary.json", "manifest.json",
])  # fmt: skip
@pytest.mark.parametrize("after", [False, True])
def test_a_reprobe_that_is_killed_leaves_the_old_state_or_says_what_to_do(
    name: str, after: bool, run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """At each file that it writes; of the two manifests at the first one."""
    old, real = results(run.path), Entry._publish

    def publish(self: Entry, *chunks: object, **options: object) -> None:
        if after:
            real(self, *chunks, **options)  # type: ignore[arg-type]
        if self.name == name:
            raise Killed
        if not after:
            real(self, *chunks, **options)  # type: ignore[arg-type]

    changes = ["--concept-share", "0.02"]
    with monkeypatch.context() as patch:
        patch.setattr(Entry, "_publish", publish)
        with pytest.raises(Killed):
            run_cli(["reprobe", str(run.path), *changes])
    capsys.readouterr()
    code = run_cli(["report", str(run.path)])
    if name == "manifest.json" and not after:
        assert code == 0
        assert results(run.path) == old
        assert all(one.state == "whole" for one in verify(run))
    else:
        assert code == 4
        assert f"run `tuiprobe reprobe {run.path}` again" in capsys.readouterr().err
        assert state_of(verify(run), "manifest.json") == "unfinished"
        assert [one for one in verify(run) if not one.sound] == []
    assert run_cli(["reprobe", str(run.path), *changes]) == 0
    assert results(run.path)["spec"]["concept_share"] == 0.02
    assert all(one.state == "whole" for one in verify(run))


@pytest.mark.parametrize("command", ["report", "compare", "runs"])
def test_altered_results_are_noticed(
    command: str, run: RunDir, finished: Path, capsys: Capture
) -> None:
    value = Report.read(run.results_file).figure("kurtosis").value
    edited("results.json", str(value), str(value + 1))(run)
    asked = {"report": [], "compare": [str(finished)]}.get(command)
    if asked is None:
        assert run_cli(["runs", "--json", "--root", str(run.path)]) == 0
        (row,) = json.loads(capsys.readouterr().out)["runs"]
        assert row["state"] == "damaged"
        assert "checksum" in row["title"]
        return
    assert run_cli([command, str(run.path), *asked]) == 4
    assert "results.json is damaged: its checksum" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["statistics.safetensors", "features"])
def test_whole_files_of_another_merge_are_noticed(
    name: str,
    run: RunDir,
    small_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    again: Callable[..., int],
    capsys: Capture,
) -> None:
    before = results(run.path)
    other = [*arguments(small_checkpoint, pictures, tmp_path / "other"), "--seed", "3"]
    assert run_cli(other) == 0
    if name == "features":
        shutil.rmtree(run.path / name)
        shutil.copytree(tmp_path / "other" / name, run.path / name)
    else:
        shutil.copy(tmp_path / "other" / name, run.path / name)
    assert run_cli(["reprobe", str(run.path)]) == 4
    assert "belongs to another run or merge" in capsys.readouterr().err
    assert any(one.state == "damaged" and name in one.file for one in verify(run))
    assert again() == 0
    assert results(run.path) == before


FOREIGN = ["head.safetensors", "samples.jsonl", "measured.json", "plan.json"]


@pytest.mark.parametrize("name", FOREIGN)
def test_whole_files_of_another_run_are_noticed(
    name: str, run: RunDir, small_checkpoint: Path, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    other = [*arguments(small_checkpoint, pictures, tmp_path / "other"), "--seed", "3"]
    assert run_cli(other) == 0
    shutil.copy(tmp_path / "other" / name, run.path / name)
    assert run_cli(["reprobe", str(run.path)]) == 4
    assert f"{name} is damaged: its checksum is not the one" in capsys.readouterr().err


def test_verify_says_what_is_whole(run: RunDir, capsys: Capture) -> None:
    assert run_cli(["verify", str(run.path)]) == 0
    said = capsys.readouterr().out
    assert "samples.jsonl: 32 images" in said
    assert ": 8 of 8" in said
    assert said.endswith(f"{run.path} is whole\n")
    damaged(run, shards(run)[2])
    a_pipe(run, run.statistics_file.path)
    run.results_file.unlink()
    run.results_file.path.symlink_to("/etc/passwd")
    assert run_cli(["verify", str(run.path), "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    wrong = {one["file"] for one in found["files"] if one["state"] == "damaged"}
    assert not found["whole"]
    assert wrong == {
        next(one["file"] for one in found["files"] if one["file"].startswith("shards/")),
        "statistics.safetensors",
        "results.json",
    }


def test_verify_tells_an_unfinished_run_from_one_that_lost_shards(run: RunDir) -> None:
    shards(run)[0].unlink()
    lost = next(one for one in verify(run) if one.file.startswith("shards/"))
    assert (lost.state, lost.detail) == ("missing", "7 of 8, and 8 were merged")
    for file in (run.results_file, run.measured_file):
        file.unlink()
    assert any(not one.sound for one in verify(run))
    run.at("manifest.json").unlink()
    assert all(one.sound for one in verify(run))


def test_a_run_stopped_after_its_merge_is_unfinished_and_not_damaged(run: RunDir) -> None:
    for file in (run.at("manifest.json"), run.results_file, run.head_file):
        file.unlink()
    found = verify(run)
    assert all(one.sound for one in found)
    unfinished = {one.file for one in found if one.state == "unfinished"}
    assert unfinished == {"results.json", "manifest.json"}


# Names that are no text.


def test_undecodable_names_of_images_cost_no_results(
    small_checkpoint: Path, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    for number, picture in enumerate(sorted(data.rglob("*.png"))[::3]):
        picture.rename(os.fsdecode(os.fsencode(picture.parent) + b"/\xff%d.png" % number))
    (data / "class0" / os.fsdecode(b"not\xfd.png")).write_bytes(b"no image")
    directory = tmp_path / "run"
    command = [*arguments(small_checkpoint, data, directory), "--sample", "97"]
    command += ["--max-unreadable", "0.5"]
    assert run_cli(command) == 0
    found = results(directory)
    assert [one["path"] for one in found["data"][0]["skipped"]] == ["class0/not\\udcfd.png"]
    os.utime(data / "class1")
    assert run_cli([str(one) for one in command]) == 0
    assert "resuming: 97 of 97" in capsys.readouterr().err
    assert all(one.state == "whole" for one in verify(RunDir(directory)))


# Success without results.


def deleted(path: Path) -> None:
    shutil.rmtree(path)


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced(path: Path) -> None:
    moved(path)
    path.mkdir()


def emptied(path: Path) -> None:
    deleted(path)
    path.mkdir()


def without_key(path: Path) -> None:
    (path / "key").unlink()


def without_shards(path: Path) -> None:
    shutil.rmtree(path / "shards")


@pytest.mark.parametrize("harm", [deleted, moved, replaced, emptied, without_key, without_shards])
def test_a_directory_that_goes_away_ends_the_run_in_one_sentence(
    harm: Callable[[Path], None],
    small_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    path = tmp_path / "run"
    during(monkeypatch, lambda: harm(path))
    assert run_cli(arguments(small_checkpoint, pictures, path)) == 5
    said = capsys.readouterr().err
    assert "gone" in said
    assert "Traceback" not in said
    assert not (path / "results.json").exists()
    if harm in (deleted, moved):
        assert not path.exists()  # not made anew
    if harm in (replaced, emptied):
        assert not (path / "manifest.json").exists()


def test_a_rank_measures_its_share_alone_and_the_last_one_merges(
    finished: Path,
    small_checkpoint: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    command = arguments(small_checkpoint, pictures, tmp_path / "run")
    for rank, words in (
        (1, "waits for shards of ranks 0 and 2"),
        (0, "waits for shards of rank 2"),
    ):
        as_rank(monkeypatch, rank, world=3)
        assert run_cli(command) == 0
        assert words in capsys.readouterr().err
        assert not (tmp_path / "run" / "results.json").exists()
    as_rank(monkeypatch, 2, world=3)
    assert run_cli(command) == 0
    assert results(tmp_path / "run") == results(finished)


def test_fresh_leaves_a_run_alone_that_another_process_is_writing(
    run: RunDir, again: Callable[..., int], capsys: Capture
) -> None:
    before = {path: path.read_bytes() for path in shards(run)}
    for lock in ("lock", "lock-1"):
        with other_process_holding(run, lock):
            assert again("--fresh") == 5
        assert "is being written by process" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in shards(run)} == before
    run.at("log.txt").write_text("said before")
    assert again("--fresh") == 0
    assert "resuming" not in capsys.readouterr().err
    assert run.at("log.txt").read_text() == "said before"


@pytest.mark.parametrize("key", ["my house key", "a" * 64])
def test_fresh_and_delete_touch_nothing_that_merely_holds_a_key(
    key: str, again: Callable[..., int], tmp_path: Path, capsys: Capture
) -> None:
    place = tmp_path / "run"
    place.mkdir()
    (place / "key").write_text(key)
    (place / "thesis.tex").write_text("precious")
    assert again("--fresh") == 4
    said = capsys.readouterr().err
    assert "no run directory" in said
    assert said.count("\n") <= 2
    assert run_cli(["runs", "run", "--root", str(tmp_path), "--delete", "--yes"]) == 4
    assert "is no run directory" in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == ["key", "thesis.tex"]

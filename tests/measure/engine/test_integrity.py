"""No altered, foreign or lost file counts as measured, and no success without results."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Program
from tests.hooks import probe_installed
from tests.measure.engine.conftest import measured, results, shard_files, small_job, when_measuring
from tests.measure.run.test_directory import other_process_holding
from tuiprobe.errors import DataError, RunError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.engine.machine import current_fingerprint
from tuiprobe.measure.run.arrays import read_arrays, write_arrays
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.verify import verify
from tuiprobe.measure.run.view import RunView
from tuiprobe.probes import registry
from tuiprobe.results import Report
from tuiprobe.show.cli.app import run_cli

pytestmark = pytest.mark.slow

Harm = Callable[[RunDir, Path], None]
Again = Callable[..., int]
IMAGES = 32


def begun(pictures: Path, output: Path, *more: str) -> Path:
    assert run_cli(small_job(pictures, output, "--sample", str(IMAGES), *more)) == 0
    return output


@pytest.fixture(scope="session")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begun(pictures, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="session")
def foreign(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run of another order, whose files are whole too."""
    return begun(pictures, tmp_path_factory.mktemp("runs") / "run", "--seed", "3")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunDir:
    shutil.copytree(finished, tmp_path / "run")
    return RunDir(tmp_path / "run")


@pytest.fixture
def again(pictures: Path, tmp_path: Path) -> Again:
    """Makes a function that runs the same command again in the copied directory."""
    command = small_job(pictures, tmp_path / "run", "--sample", str(IMAGES))
    return lambda *more: run_cli([*command, *more])


@pytest.fixture
def resume(pictures: Path, run: RunDir) -> Callable[..., None]:
    """Makes a function that measures the last shard, and acts as that begins."""

    def go(act: Callable[[], object]) -> None:
        shard_files(run.path)[-1].unlink()
        run.results_file.unlink()
        measured(pictures, run.path, sample=IMAGES, listen=when_measuring(act))

    return go


def as_rank(monkeypatch: pytest.MonkeyPatch, number: int, world: int) -> None:
    monkeypatch.setenv("RANK", str(number))
    monkeypatch.setenv("WORLD_SIZE", str(world))


def whole(run: RunDir) -> bool:
    return all(finding.state == "whole" for finding in verify(run))


def state_of(run: RunDir, file: str) -> str:
    return next(finding.state for finding in verify(run) if finding.file == file)


# Shards, whichever rank they are of.


def of_another_run(run: RunDir, path: Path) -> None:
    rewritten(run, path, key="b" * 64)


def of_another_place(run: RunDir, path: Path) -> None:
    shutil.copy(shard_files(run.path)[3], path)


def damaged(run: RunDir, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def rewritten(run: RunDir, path: Path, **changes: str) -> None:
    """Writes a shard again with other metadata and a checksum that fits."""
    entry = run.at(f"shards/{path.name}")
    arrays, metadata = read_arrays(entry)
    write_arrays(entry, arrays, {**metadata, **changes})


def fingerprinted(run: RunDir, path: Path, flags: dict[str, str] | None = None, **more: object):
    """Writes a shard again as if another machine had measured it."""
    _, metadata = read_arrays(run.at(f"shards/{path.name}"))
    made = json.loads(metadata["fingerprint"]) | more
    made["flags"] |= flags or {}
    rewritten(run, path, fingerprint=json.dumps(made))


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


HARMS = [
    of_another_place,
    of_another_run,
    damaged,
    with_arrays(features=lambda a: a[:, :-1]),
    with_arrays(features=lambda a: a.astype("f8")),
    with_arrays(digests=lambda a: a[:-1]),
    with_arrays(images=lambda a: a * 0),
    with_arrays(moments__m4=lambda a: a[:-1]),
    with_arrays(smallest__sample_ids=lambda a: np.tile(a, 2)),
]


@pytest.mark.parametrize("world", [1, 2])
def test_shards_that_no_engine_of_this_run_wrote_are_measured_again(
    world, run, finished, again, monkeypatch, capsys
):
    """Of two ranks the first does not run: what is its becomes clear as the other merges."""
    if world == 2:
        as_rank(monkeypatch, 0, 2)
    for some in (HARMS[:7], HARMS[7:]):
        for harm, path in zip(some, shard_files(run.path), strict=False):
            harm(run, path)
        run.results_file.unlink()
        assert again() == 0
        warned = [s for s in capsys.readouterr().err.splitlines() if "measured again" in s]
        for path in shard_files(run.path)[: len(some)]:
            assert any(path.name in line for line in warned), path.name
        assert results(run.path) == results(finished)
        assert whole(run)


def test_a_shard_damaged_while_the_run_goes_on_is_measured_again_at_the_merge(
    run, finished, resume
):
    resume(lambda: damaged(run, shard_files(run.path)[0]))
    assert results(run.path) == results(finished)


def test_a_damaged_shard_is_left_out_where_the_run_is_stopped(run: RunDir, resume) -> None:
    def stop() -> None:
        damaged(run, shard_files(run.path)[0])
        (run.path / "cancel").touch()

    resume(stop)
    partial = results(run.path)
    assert partial["partial"]
    assert partial["data"][0]["measured"] == IMAGES - 2 * 4  # two shards are not there


def test_a_stopped_run_leaves_out_probes_that_take_long_and_reprobe_makes_up_for_it(
    run: RunDir, resume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuiprobe.measure.engine.run._PARTIAL_SECONDS", 0)
    resume((run.path / "cancel").touch)
    left_out = {part["probe"] for part in results(run.path)["parts"] if part["not_run"]}
    assert left_out == {part["probe"] for part in results(run.path)["parts"]}
    remedies = {part["not_run"]["remedy"] for part in results(run.path)["parts"]}
    assert all("tuiprobe reprobe" in remedy for remedy in remedies)
    assert results(run.path)["data"][0]["measured"] == IMAGES - 4
    assert run_cli(["reprobe", str(run.path)]) == 0
    again = results(run.path)
    assert again["partial"]
    assert {part["probe"] for part in again["parts"] if not part["not_run"]} >= {"outliers"}


def test_a_shard_of_another_fingerprint_is_refused_unless_mixed(run, again, resume, capsys):
    """As the run begins by the name of the library; by the shard as it merges."""
    first, second, *_ = shard_files(run.path)
    fingerprinted(run, first, processor="Another Model 9000")
    assert again() == 0  # another model of processor is used and reported
    (warning,) = (text for text in results(run.path)["warnings"] if "processor" in text)
    assert "Another Model 9000" in warning
    assert "last bits may differ" in warning
    with pytest.raises(
        DataError, match=rf"{second.name} .* under other conditions .threads 7 then, 1 now"
    ):
        resume(lambda: fingerprinted(run, second, threads=7))
    assert not run.results_file.exists()
    fingerprinted(run, first, {"blas": "another"})
    assert again() == 4
    assert "(blas another then, " in capsys.readouterr().err
    assert again("--mix") == 0
    assert any("--mix" in warning for warning in results(run.path)["warnings"])
    assert again("--threads", "2") == 4
    assert "threads 1 then, 2 now" in capsys.readouterr().err


def test_the_fingerprint_holds_what_changes_the_last_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint = current_fingerprint("cpu")
    assert fingerprint.flags["numpy"] == np.__version__
    assert "openblas" in fingerprint.flags["blas"] or "mkl" in fingerprint.flags["blas"]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert current_fingerprint("cpu").differences(fingerprint) == {
        "onednn": ("SSE41", fingerprint.flags["onednn"])
    }


# Sidecars.


def flip_labels(text: str) -> str:
    samples = [json.loads(line) for line in text.splitlines()]
    return "".join(json.dumps({**s, "label": (s["label"] + 1) % 3}) + "\n" for s in samples)


ALTERED: dict[str, Callable[[str], str]] = {
    "samples.jsonl": flip_labels,
    "spec.json": lambda text: text.replace('"seed": 0', '"seed": 1'),
}
RECORD, MERGED = "is damaged: its checksum", "belongs to another run or merge"
FOREIGN = {
    "plan.json": RECORD, "measured.json": RECORD, "head.safetensors": RECORD,
    "statistics.safetensors": MERGED, "features/pictures0/images.safetensors": MERGED,
}  # fmt: skip


def test_an_altered_record_or_whole_file_of_another_run_is_noticed_and_mended(
    run: RunDir, finished: Path, foreign: Path, again: Again, program: Program
) -> None:
    for name, change in [*ALTERED.items(), *FOREIGN.items()]:
        file = run.path / name
        before = file.read_bytes()
        if callable(change):
            file.write_text(change(before.decode()))
        else:
            shutil.copy(foreign / name, file)
        assert file.read_bytes() != before
        err = program("reprobe", str(run.path), code=4).err
        assert name in err
        assert (RECORD if callable(change) else change) in err
        assert any(finding.state == "damaged" for finding in verify(run))
        assert results(run.path) == results(finished)
        if callable(change) or change is MERGED:
            assert again() == 0
            assert results(run.path) == results(finished)
            assert whole(run)
        else:
            file.write_bytes(before)


def test_a_file_that_the_manifest_names_and_that_is_gone_is_noticed(run, finished, program):
    for name, command in (
        ("preflight.json", ["reprobe"]),
        ("features/pictures0/images.safetensors", ["reprobe"]),
        ("per_image.safetensors", ["compare", str(finished)]),
        ("results.json", ["report"]),
    ):
        content = (run.path / name).read_bytes()
        (run.path / name).unlink()
        assert name in program(*command, str(run.path), code=4).err
        assert state_of(run, name) == "missing"
        (run.path / name).write_bytes(content)


def test_a_baseline_that_the_manifest_does_not_name_is_refused(pictures, tmp_path, capsys):
    run = measured(pictures, tmp_path / "run", model="partly_nan", sample=IMAGES).directory
    (run.path / "baseline.csv").write_text("model,val,r\n")
    assert state_of(run, "baseline.csv") == "not named"
    assert run_cli(["reprobe", str(run.path)]) == 4
    message = "baseline.csv is damaged: its checksum is not in manifest.json"
    assert message in capsys.readouterr().err


# The manifest.


def test_results_without_a_manifest_are_refused_and_finished_by_the_same_command(
    run, finished, again, tmp_path, capsys, program
):
    run.at("manifest.json").unlink()
    for command in (["report"], ["reprobe"], ["compare", str(finished)]):
        err = program(*command, str(run.path), code=4).err
        assert err.startswith(f"error: {run.path} has no manifest.json")
        assert "run the same command or loop again" in err
    assert listed_state(run, program) == "damaged"
    assert state_of(run, "manifest.json") == "missing"
    with pytest.raises(DamagedFileError, match="no manifest"):
        Report.read(run.results_file.path)
    assert again() == 0
    assert results(run.path) == results(finished)
    assert whole(run)
    (tmp_path / "alone").mkdir()  # results alone need none
    shutil.copy(run.results_file.path, tmp_path / "alone")
    assert run_cli(["report", str(tmp_path / "alone"), "--format", "md"]) == 0


def listed_state(run: RunDir, program: Program) -> str:
    (row,) = program("runs", "--json", "--root", str(run.path)).json["runs"]
    return str(row["state"])


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Returns words of `reprobe` that change `spec.json`, with the probe that they name."""
    monkeypatch.setattr(metadata, "entry_points", metadata.entry_points)  # put back at the end
    probe_installed()
    registry.cache_clear()
    yield ["--probe", "length.power=2"]
    registry.cache_clear()


def test_a_manifest_that_is_old_or_cannot_be_read_does_not_hold(run, again, changed, program):
    file = run.at("manifest.json").path
    before = file.read_bytes()
    assert run_cli(["reprobe", str(run.path), *changed]) == 0
    file.write_bytes(before)
    err = program("report", str(run.path), code=4).err
    assert f"run `tuiprobe reprobe {run.path}` to write it again" in err
    assert {finding.file for finding in verify(run) if not finding.sound} == {
        "spec.json",
        "results.json",
    }
    for content in ("", "{", "[]", '{"spec.json": 3}'):
        file.write_text(content)
        assert "manifest.json is damaged" in program("report", str(run.path), code=4).err
        assert state_of(run, "manifest.json") == "damaged"
    assert again() == 0
    assert whole(run)


@pytest.fixture
def unprivileged() -> Callable[[list[str]], int]:
    """Makes a function that runs a command as a user whom permissions bind, as they do not root."""

    def run(arguments: list[str]) -> int:
        user = os.geteuid()
        os.seteuid(65534 if user == 0 else user)
        try:
            return run_cli(arguments)
        finally:
            os.seteuid(user)

    return run


@pytest.mark.parametrize(
    ("closed", "unread"),
    [
        (".", None), ("..", None), ("shards", "shards/"), ("plan.json", "plan.json"),
        ("features", "features/pictures0/images.safetensors"), ("key", "manifest.json"),
    ],
)  # fmt: skip
def test_what_this_user_may_not_read_is_not_called_damaged(
    closed, unread, finished, unprivileged, capsys
):
    with tempfile.TemporaryDirectory() as name:  # others may not enter pytest's folders
        run = Path(name) / "runs" / "run"
        shutil.copytree(finished, run)
        for command in ("verify", "report", "open"):  # imports what it needs
            run_cli([command, str(run / "none")])
        for folder in (Path(name), run.parent, run):
            folder.chmod(0o755)
        (run / closed).chmod(0)
        capsys.readouterr()
        assert unprivileged(["verify", str(run), "--json"]) == 4
        printed = capsys.readouterr()
        if unread is None:
            assert "Permission denied" in printed.err
            for command in ("report", "open"):
                assert unprivileged([command, str(run)]) == 4
                assert f"cannot read {run}" in capsys.readouterr().err
            assert unprivileged(["runs", "--root", str(run.parent)]) == (4 if closed == ".." else 0)
        else:
            files = json.loads(printed.out)["files"]
            found = {file["file"] for file in files if file["state"] == "cannot be read"}
            assert found == {unread}
            assert not {"missing", "damaged"} & {file["state"] for file in files}
        (run / closed).chmod(0o755)


@pytest.mark.parametrize("record", ["spec.json", "plan.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_run_whose_records_cannot_be_read_is_listed_as_damaged(record, content, run):
    assert RunView.read(run).state == "done"
    (run.path / record).write_bytes(content)
    view = RunView.read(run)
    assert (view.state, view.results) == ("damaged", True)
    assert str(run.path / record) in view.reason


USUAL = {("spec.json", False), ("results.json", True)}
KILLS = [
    pytest.param(name, after, marks=() if (name, after) in USUAL else pytest.mark.nightly)
    for name in ("spec.json", "per_image.safetensors", "results.json", "summary.json")
    for after in (False, True)
]


@pytest.mark.parametrize(("name", "after"), [*KILLS, ("manifest.json", False)])
def test_a_reprobe_that_is_killed_leaves_the_old_state_or_says_what_to_do(
    name, after, run, changed, prepared, tmp_path, capsys
):
    """At each kind of file that it writes; of the two manifests at the first one."""
    old, changes = results(run.path), ["reprobe", str(run.path), *changed]
    hooks = [("tests.hooks:probe_installed", ()), ("tests.hooks:killed_at", (name, after))]
    assert prepared.run(*changes, cwd=tmp_path, before=hooks).returncode == -signal.SIGKILL
    code = run_cli(["report", str(run.path)])
    if name == "manifest.json":
        assert code == 0
        assert results(run.path) == old
        assert whole(run)
    else:
        assert code == 4
        assert f"run `tuiprobe reprobe {run.path}` again" in capsys.readouterr().err
        assert state_of(run, "manifest.json") == "unfinished"
        assert [finding for finding in verify(run) if not finding.sound] == []
    assert run_cli(changes) == 0
    assert results(run.path)["spec"]["probe"] == ["length.power=2"]
    assert whole(run)


def test_verify_says_what_is_whole_damaged_lost_and_unfinished(run, program):
    out = program("verify", str(run.path)).out
    assert "samples.jsonl: 32 images" in out
    assert ": 8 of 8" in out
    assert out.endswith(f"{run.path} is whole\n")
    damaged(run, shard_files(run.path)[2])
    run.statistics_file.path.unlink()
    os.mkfifo(run.statistics_file.path)
    run.results_file.unlink()
    run.results_file.path.symlink_to("/etc/passwd")
    report = program("verify", str(run.path), "--json", code=4).json
    shards = next(file["file"] for file in report["files"] if file["file"].startswith("shards/"))
    wrong = {file["file"] for file in report["files"] if file["state"] == "damaged"}
    assert wrong == {shards, "statistics.safetensors", "results.json"}
    assert not report["whole"]


def test_verify_tells_an_unfinished_run_from_one_that_lost_shards(run, finished, tmp_path):
    shard_files(run.path)[0].unlink()
    lost = next(finding for finding in verify(run) if finding.file.startswith("shards/"))
    assert (lost.state, lost.detail) == ("missing", "7 of 8, and 8 were merged")
    for file in (run.results_file, run.measured_file):
        file.unlink()
    assert any(not finding.sound for finding in verify(run))
    run.at("manifest.json").unlink()
    assert all(finding.sound for finding in verify(run))
    stopped = RunDir(shutil.copytree(finished, tmp_path / "after its merge"))
    for file in (stopped.at("manifest.json"), stopped.results_file, stopped.head_file):
        file.unlink()
    assert all(finding.sound for finding in verify(stopped))
    unfinished = {finding.file for finding in verify(stopped) if finding.state == "unfinished"}
    assert unfinished == {"results.json", "manifest.json"}


# Names that are no text.


def test_hostile_and_undecodable_names_of_images_cost_no_results(
    pictures, tmp_path, capsys, program
):
    data = shutil.copytree(pictures, tmp_path / "data")
    for number, picture in enumerate(sorted(data.rglob("*.png"))[::3]):
        picture.rename(os.fsdecode(os.fsencode(picture.parent) + b"/\xff%d.png" % number))
    (data / "class0" / os.fsdecode(b"\x1b[31mnot\xfd.png")).write_bytes(b"no image")
    command = small_job(data, tmp_path / "run", "--max-unreadable", "0.5")
    assert run_cli(command) == 0
    (skipped,) = results(tmp_path / "run")["data"][0]["skipped"]
    assert skipped["path"] == "class0/\x1b[31mnot\\udcfd.png"
    assert "\x1b" not in "".join(capsys.readouterr())
    os.utime(data / "class1")
    assert "resuming: 97 of 97" in program(*command).err
    assert whole(RunDir(tmp_path / "run"))


# Success without results.


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced(path: Path) -> None:
    moved(path)
    path.mkdir()


def emptied(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def without_key(path: Path) -> None:
    (path / "key").unlink()


def without_shards(path: Path) -> None:
    shutil.rmtree(path / "shards")


@pytest.mark.parametrize(
    "harm", [shutil.rmtree, moved, replaced, emptied, without_key, without_shards]
)
def test_a_directory_that_goes_away_ends_the_run_in_one_sentence(harm, run, resume):
    with pytest.raises(RunError, match=r"gone|was deleted or moved") as error:
        resume(lambda: harm(run.path))
    assert "\n" not in str(error.value)
    assert not (run.path / "results.json").exists()
    if harm in (shutil.rmtree, moved):
        assert not run.path.exists()  # not made anew
    if harm in (replaced, emptied):
        assert not (run.path / "manifest.json").exists()


def test_a_run_that_another_process_is_writing_is_left_alone(run, again, capsys):
    before = {path: path.read_bytes() for path in shard_files(run.path)}
    for lock in ("lock", "lock-1"):
        with other_process_holding(run, lock) as process:
            assert again("--fresh") == 5
            assert lock == "lock-1" or again() == 5
        assert f"is being written by process {process.pid} on" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in shard_files(run.path)} == before
    assert again("--sample", "20") == 4
    assert "holds another run" in capsys.readouterr().err
    run.at("log.txt").write_text("said before")
    assert again("--fresh") == 0
    assert "resuming" not in capsys.readouterr().err
    assert run.at("log.txt").read_text() == "said before"

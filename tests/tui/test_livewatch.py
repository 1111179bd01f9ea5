"""Reading a run while it is written: figures of all ranks, heartbeat, hostile directories."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.tui.live_run import CHANNELS, live_run, say, shares_of, write_live
from tuiprobe.files import Entry
from tuiprobe.tui.files import Tail
from tuiprobe.tui.livewatch import Watch, WatchThread, has_results, runs_of
from tuiprobe.tui.progress import state_line


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_running_run_is_read(tmp_path: Path) -> None:
    shot = Watch(live_run(tmp_path)).poll()
    assert (shot.state, shot.stage, shot.set) == ("running", "extract", "val")
    assert (shot.done, shot.total, shot.rate) == (640, 2000, 212.0)
    tap = shot.taps["val", "embedding"]
    assert (tap.kurtosis, tap.n, tap.persistence) == (54.0, 640, 0.93)
    assert np.array_equal(tap.shares, shares_of(13, 0.6))
    assert shot.top["val", 13] == (5, 6, 7)
    assert shot.log == ("loading mini_clip", "measuring 2000 images")
    assert [said.kind for said in shot.events] == ["warning", "stage"]


def test_ranks_are_merged_by_their_images(tmp_path: Path) -> None:
    write_live(tmp_path, 1, done=100, rank=0, loud=1, kurtosis=10.0)
    write_live(tmp_path, 1, done=300, rank=1, loud=2, kurtosis=20.0)
    shot = Watch(tmp_path).poll()
    assert (shot.done, shot.rate) == (400, 424.0)
    tap = shot.taps["val", "embedding"]
    expected = (shares_of(1, 0.6) + 3 * shares_of(2, 0.6)) / 4
    assert np.allclose(tap.shares, expected)
    assert tap.kurtosis == pytest.approx(17.5)
    # Each rank's half-width is 1.5; those of a weighted mean add in quadrature.
    assert tap.high is not None
    assert tap.high - 17.5 == pytest.approx(1.5 * np.hypot(0.25, 0.75))
    assert shot.top["val", 1] == (5, 6, 7)
    assert shot.top["val", 2] == (5, 6, 7)


def test_silence_counts_from_the_last_change_of_the_sequence(tmp_path: Path) -> None:
    clock = Clock()
    watch = Watch(live_run(tmp_path), now=clock)
    watch.poll()
    clock.now = 30.0
    assert watch.poll().silence == 30.0
    write_live(tmp_path, sequence=2, done=700)
    os.utime(tmp_path / "live" / "0.json", (0, 0))  # clocks of two hosts may differ: not looked at
    shot = watch.poll()
    assert (shot.silence, shot.done) == (0.0, 700)


def test_the_end_is_heard_and_a_new_start_too(tmp_path: Path) -> None:
    watch = Watch(live_run(tmp_path))
    assert watch.poll().state == "running"
    say(tmp_path, "interrupted", "stopped by SIGTERM")
    assert watch.poll().state == "running"  # it is still merged and probed
    say(tmp_path, "done", "a title")
    shot = watch.poll()
    assert (shot.state, shot.outcome) == ("ended", "done")
    say(tmp_path, "stage", "measuring 9 images", stage="extract")
    assert watch.poll().state == "running"


def test_a_directory_that_vanishes_keeps_its_log_on_the_screen(tmp_path: Path) -> None:
    run = live_run(tmp_path / "run")
    watch = Watch(run)
    watch.poll()
    shutil.rmtree(run)
    shot = watch.poll()
    assert (shot.state, shot.log[0]) == ("gone", "loading mini_clip")


def test_before_the_engine_writes_it_is_starting(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("loading")
    shot = Watch(tmp_path).poll()
    assert (shot.state, shot.log, shot.taps) == ("starting", (), {})


@pytest.mark.parametrize(
    "state",
    [
        "no json",
        "[]",
        '{"sequence": "x", "done": -1, "total": NaN, "rate": Infinity, "eta": "soon", "taps": 7}',
        '{"taps": {"val/embedding": 3, "x": {"n": "many"}}, "top": {"val": {"a": 1, "3": "x"}}}',
        '{"top": [1], "taps": {"val/embedding": {"kurtosis": [], "n": 1e300}}}',
        "[" * 100_000,
        '{"sequence": 1, "rate": 1e308, "eta": -1e308, "total": 1' + "0" * 400 + "}",
        '{"sequence": 1' + "0" * 5000 + "}",
        "",
    ],
)
def test_nonsense_is_left_out(state: str, tmp_path: Path) -> None:
    live_run(tmp_path)
    (tmp_path / "live" / "0.json").write_text(state)
    (tmp_path / "events-0.jsonl").write_text('nonsense\n[1]\n{"kind": 3}\n\xff\n')
    shot = Watch(tmp_path).poll()
    assert shot.done == 0
    assert shot.rate == 0
    assert all(np.isfinite(tap.shares).all() for tap in shot.taps.values())


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 100, (2**62).to_bytes(8, "little")])
def test_damaged_arrays_are_left_out(content: bytes, tmp_path: Path) -> None:
    live_run(tmp_path)
    (tmp_path / "live" / "0.safetensors").write_bytes(content)
    assert Watch(tmp_path).poll().taps == {}


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    run = live_run(tmp_path / "run")
    for name in ("log.txt", "live/0.json"):
        (run / name).unlink()
    (run / "log.txt").symlink_to(secret)
    os.mkfifo(run / "live" / "0.json")
    shot = Watch(run).poll()
    assert (shot.log, shot.state) == ((), "starting")


def test_a_tail_returns_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(Entry(tmp_path, "log"))
    assert tail.lines() == []
    path.write_text("a\nb")
    assert tail.lines() == ["a"]
    with path.open("a") as file:
        file.write("c\nd\n")
    assert tail.lines() == ["bc", "d"]
    path.write_text("new\n")
    assert tail.lines() == ["new"]


def test_a_long_log_is_entered_near_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("x" * 80 + "\n" + "line\n" * 200_000)
    lines = Tail(Entry(tmp_path, "log")).lines()
    assert 1000 < len(lines) < 200_000


def test_results_count_once_nothing_newer_is_measured(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    assert not has_results(run)
    (run / "results.json").write_text("{}")
    os.utime(run / "results.json", ns=(10**18, 2 * 10**18))
    assert has_results(run)
    os.utime(run / "live" / "0.json", ns=(10**18, 3 * 10**18))
    assert not has_results(run)


def test_a_group_holds_one_run_a_model(tmp_path: Path) -> None:
    assert runs_of(tmp_path) == [tmp_path]
    one, two = live_run(tmp_path / "a"), live_run(tmp_path / "b")
    assert runs_of(tmp_path) == [one, two]
    assert runs_of(one) == [one]


def test_the_thread_keeps_the_last_snapshot_and_stops(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    thread = WatchThread(Watch(run), seconds=0.01)
    deadline = time.monotonic() + 30
    while thread.latest.done != 640:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    write_live(run, 2, done=900)
    while thread.latest.done != 900:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    thread.stop()


@pytest.mark.parametrize("figure", ["1e308", "-1e308", "1" + "0" * 400, "1e999", "1e-320"])
def test_figures_out_of_range_are_left_out_and_the_screen_goes_on(
    figure: str, tmp_path: Path
) -> None:
    for rank in range(2):
        write_live(tmp_path, 1, rank=rank)
        path = tmp_path / "live" / f"{rank}.json"
        state = json.loads(path.read_text())
        for tap in state["taps"].values():
            tap |= {"kurtosis": "F", "low": "F", "high": "F", "persistence": "F"}
        path.write_text(json.dumps(state).replace('"F"', figure))
    tap = Watch(tmp_path).poll().taps["val", "embedding"]
    assert tap.kurtosis is None or abs(tap.kurtosis) < 1
    assert np.isfinite(tap.shares).all()


def test_a_thread_that_cannot_read_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(live_run(tmp_path))
    monkeypatch.setattr(watch, "poll", lambda: 1 / 0)
    thread = WatchThread(watch, seconds=0.01)
    deadline = time.monotonic() + 30
    while thread.latest.state != "unreadable":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "unreadable" in state_line(thread.latest, "run", None, False)
    monkeypatch.undo()
    while thread.latest.state == "unreadable":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    thread.stop()


def test_shapes_that_differ_between_ranks_do_not_mix(tmp_path: Path) -> None:
    write_live(tmp_path, 1, done=100, rank=0)
    write_live(tmp_path, 1, done=100, rank=1)
    from safetensors.numpy import save_file

    state = json.loads((tmp_path / "live" / "1.json").read_text())
    save_file(
        {f"{name}/share": np.ones(CHANNELS + 1) for name in state["taps"]},
        tmp_path / "live" / "1.safetensors",
    )
    assert len(Watch(tmp_path).poll().taps["val", "embedding"].shares) == CHANNELS

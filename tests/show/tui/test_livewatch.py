"""Reading a run while it is written: figures of all ranks, heartbeat, hostile directories."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.show.tui import live_run as by_hand
from tests.show.tui.live_run import CHANNELS, Watch, change, live_run, say, shares_of, write_live
from tuiprobe.files import Entry
from tuiprobe.measure.run import locks
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.locks import this_host
from tuiprobe.measure.run.status import Ends, LiveTap, StatusWriter
from tuiprobe.measure.run.view import RunView
from tuiprobe.show.tui import livewatch
from tuiprobe.show.tui.livewatch import Tail, WatchThread
from tuiprobe.show.tui.progress import ranks_line, title
from tuiprobe.show.tui.widgets.live_panels import outliers_of

Damage = Callable[[Path], object]


def seen(thread: WatchThread, fits: Callable[[RunView], bool]) -> RunView:
    """Waits until a thread shows what fits."""
    deadline = time.monotonic() + 120
    while (shot := thread.latest) is None or not fits(shot):
        assert time.monotonic() < deadline, shot
        time.sleep(0.002)
    return shot


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_figures_of_several_ranks_are_those_with_most_images(tmp_path):
    write_live(tmp_path, 1, done=100, rank=0, loud=1, kurtosis=10.0)
    write_live(tmp_path, 1, done=300, rank=1, loud=2, kurtosis=20.0)
    shot = Watch(tmp_path).look()
    assert shot.progress[:3:2] == (400, 424.0)
    tap = shot.taps["val", "embedding"]
    assert np.allclose(tap.shares, shares_of(2, 0.6))
    assert (tap.kurtosis, tap.n) == (20.0, 300)
    assert set(shot.ends) == {("val", 0), ("val", 1), ("val", 2)}
    assert shot.ends["val", 0].largest == ((8, 41.5),)  # of one rank, and one shard
    val, street = shot.answers["val"], shot.answers["street"]
    assert (val.images, val.right, street.images, street.value) == (400, 90 + 270, 400, 0.57)
    assert (shot.sets["val"].done, shot.sets["val"].total) == (400, 4000)
    assert outliers_of(tap) == {2}


def test_states_follow_the_statuses_and_silence_counts_from_their_last_change(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.txt").write_text("loading")
    clock = Clock()
    watch = Watch(tmp_path / "run", now=clock)
    shot = watch.look()
    assert (shot.state, shot.ranks, shot.taps) == ("unfinished", (), {})
    run = live_run(tmp_path / "run")
    assert watch.look().state == "running"
    clock.now = 30.0
    assert watch.look().silence == 30.0
    write_live(run, sequence=2, done=700)
    os.utime(run / "status" / "0.json", (0, 0))  # clocks of two hosts may differ: not looked at
    shot = watch.look()
    assert (shot.silence, shot.measured) == (0.0, 700)
    say(run, "interrupted", "stopped by SIGTERM", stopped=True, phase="merge")
    assert watch.look().state == "running"  # it is still merged and probed
    say(run, "done", "a title", phase="interrupted")
    shot = watch.look()
    assert (shot.state, shot.furthest.phase) == ("unfinished", "interrupted")
    say(run, "stage", "measuring 9 images", phase="extract")
    assert watch.look().state == "running"
    shutil.rmtree(run / "status")  # a deletion is seen halfway
    assert watch.look().ranks
    shutil.rmtree(run)
    shot = watch.look()
    assert (shot.vanished, shot.measured) == (True, 700)


def state(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Changes the state; a string in it that is `json:` and a text becomes that text."""

    def damage(run: Path) -> None:
        path = run / "status/0.json"
        status = json.loads(path.read_text())
        change(status)
        path.write_text(re.sub(r'"json:(.*?)"', r"\1", json.dumps(status)))

    return damage


def field(name: str, text: str) -> Damage:
    return state(lambda status: status.update({name: f"json:{text}"}))


def figure(name: str, text: str) -> Damage:
    return state(lambda status: status["taps"]["val/embedding"].update({name: f"json:{text}"}))


def content(file: str, change: Callable[[bytes], bytes]) -> Damage:
    path = f"status/0.{file}"
    return lambda run: (run / path).write_bytes(change((run / path).read_bytes()))


def arrays(change: Callable[[dict[str, np.ndarray]], object]) -> Damage:
    def damage(run: Path) -> None:
        tensors = dict(load_file(run / "status/0.safetensors"))
        change(tensors)
        save_file(tensors, run / "status/0.safetensors")

    return damage


SHARE, ABOVE = "val/embedding/shares", "val/embedding/above"
HOSTILE: list[Damage] = [
    *(figure("kurtosis", text) for text in ("1e308", "1" + "0" * 400, "NaN", "[]", "null")),
    *(figure("n", text) for text in ("-1", "1.5", "1e300", "null")),
    *(figure(name, text) for name, text in (("low", "null"), ("scanned", "-1"))),
    *(field("images", text) for text in ("-1", "NaN", "1" + "0" * 400, "[]", "2.5", "true")),
    *(field("sequence", text) for text in ("-1", "1" + "0" * 5000, "null", "1.5")),
    *(field(name, text) for name in ("rate", "eta") for text in ("1e308", "-1", "Infinity")),
    *(field(name, "NaN") for name in ("time", "begun", "built", "shard", "host")),
    *(field("taps", text) for text in ("7", "[]", "null")),
    *(field("world", text) for text in ("0", "1e9", "null")),
    *(field(name, "7") for name in ("phase", "messages", "set", "ends", "answers")),
    state(lambda status: status.update(taps={"val/embedding": 3})),
    state(lambda status: status.update(phase="rests")),
    state(lambda status: status.update(messages=[{"kind": "warning"}])),
    state(lambda status: status.update(unreadable=["x"] * 101)),
    state(lambda status: status.update(host="x" * 257)),
    state(lambda status: status.update(set="x" * 5000)),
    *(
        state(lambda status, ends=ends: status.update(ends={"val": {"3": {"largest": ends}}}))  # type: ignore[misc]
        for ends in ([5], [[-1, 2.0]], [[1, 1e308]], [[1]], [[1, 2.0]] * 65)
    ),
    *(
        state(lambda status, more=more: status.update(answers={"val": {"images": 9, **more}}))  # type: ignore[misc]
        for more in ({"right": 10}, {"right": -1}, {"value": 1.1}, {"estimated": -1})
    ),
    *(
        content("json", lambda _, text=text: text)  # type: ignore[misc]
        for text in (b"", b"no json", b"[]", b"[" * 100_000, b'{"taps":' * 1000)
    ),
    *(
        content("safetensors", lambda _, text=text: text)  # type: ignore[misc]
        for text in (b"", b"\xff" * 100, b"\0" * 8, (2**62).to_bytes(8, "little"))
    ),
    content("safetensors", lambda whole: whole[:-8]),
    *(arrays(lambda a, value=value: a[SHARE].fill(value)) for value in (np.nan, -1.0, 1e308)),  # type: ignore[misc]
    arrays(lambda a: a.update({SHARE: a[SHARE][None]})),
    arrays(lambda a: a.update({SHARE: a[SHARE][:0]})),
    arrays(lambda a: a.update({SHARE: a[SHARE].astype(np.int64)})),
    arrays(lambda a: a.update({SHARE: a[SHARE][:-1]})),
    arrays(lambda a: a.update({ABOVE: a[ABOVE][:-1]})),
    arrays(lambda a: a[ABOVE].fill(2.0)),
]


@pytest.mark.parametrize("damage", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_status_is_told_keeps_the_last_figures_and_whole_files_are_shown_again(
    damage: Damage, tmp_path: Path
) -> None:
    run = live_run(tmp_path)
    watch = Watch(run)
    whole = watch.look()
    write_live(run, sequence=2)  # arrays are read again once the status has changed
    damage(run)
    shot = watch.look()
    assert "status/0." in title("run", shot, None, 80)
    assert (bool(shot.unreadable), shot.measured, shot.taps) == (True, 640, whole.taps)
    (run / "status" / "0.json").unlink()
    write_live(run, sequence=3, done=900)
    shot = watch.look()
    assert (shot.state, shot.unreadable, shot.measured) == ("running", "", 900)


def test_a_tail_holds_the_last_whole_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(Entry(tmp_path, "log"))
    assert tail.lines() == ()
    path.write_text("a\nb")
    assert tail.lines() == ("a",)
    with path.open("a") as file:
        file.write("c\nd\n")
    assert tail.lines() == ("a", "bc", "d")
    path.write_text("new\n")
    assert tail.lines() == ("new",)
    path.write_text("x" * 80 + "\n" + "line\n" * 200_000)
    assert set(tail.lines()) == {"line"}
    path.unlink()
    assert len(tail.lines()) == 2000


def test_a_thread_that_cannot_read_says_so_and_goes_on(tmp_path, monkeypatch):
    def fail(*_: object) -> NoReturn:
        raise MemoryError

    run = live_run(tmp_path)
    monkeypatch.setattr(livewatch, "read_live", fail)
    thread = WatchThread(run, Entry(run, "log.txt"), seconds=0.005)
    shot = seen(thread, lambda shot: bool(shot.unreadable))
    assert "cannot read the live state" in title("run", shot, None, 80)
    monkeypatch.undo()
    seen(thread, lambda shot: (shot.state, shot.measured) == ("running", 640))
    write_live(tmp_path, 2, done=900)
    seen(thread, lambda shot: shot.measured == 900)
    thread.stop()


def test_readers_see_what_the_writer_wrote(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    shares = shares_of(13, 0.6)
    first = LiveTap(n=1, shares=shares)
    loud = np.eye(CHANNELS)[13]
    last = LiveTap(
        kurtosis=54.0, low=52.5, high=55.5, n=640, shares=shares, leads=loud, above=loud * 0.5,
        scanned=200,
    )  # fmt: skip
    ends = Ends(largest=((5, -3.0),), smallest=((6, -9.5), (7, -9.0)))
    writer = StatusWriter(run, 3)
    writer.update(
        phase="extract", set="val", shard=0, images=640, rate=212.0, ends={"val": {13: ends}}
    )
    writer.write({("val", "layer1/conv"): first, ("val", "embedding"): last})
    shot = Watch(tmp_path).look()
    assert (bool(shot.taps), shot.beat) == (True, ((0.0, 1),))
    assert shot.ends == {("val", 13): ends}
    for place, tap in (("layer1/conv", first), ("embedding", last)):
        read = vars(shot.taps["val", place])
        for name, value in vars(tap).items():
            assert np.array_equal(read[name], value), name


def test_ranks_are_counted_together_and_each_has_a_state(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "QUIET_SECONDS", 20.0)
    run, clock = tmp_path, Clock()
    by_hand.write_plan(run, ("val",), 100, 10)
    for number in (0, 1, 5):
        by_hand.publish(run, "val", number)
    for rank in (1, 2, 3):
        change(run, rank, world=5, set="val", shard=rank, images=50, rate=20.0, phase="extract")
    change(run, 4, world=5, phase="measured")
    watch = Watch(run, now=clock)
    shot = watch.look()
    assert [(one.number, one.runs) for one in shot.ranks] == [
        (1, True), (2, True), (3, True), (4, False),
    ]  # fmt: skip
    # The shard of rank 1 is published: its images count once.
    assert shot.progress[:3] == (300 + 50 + 50, 1000, 60.0)
    clock.now = 19.0
    change(run, 2, sequence=2)
    watch.look()
    clock.now = 21.0
    shot = watch.look()
    assert [one.number for one in shot.ranks if one.runs] == [2]
    assert shot.progress[:3:2] == (350, 20.0)
    short = ranks_line(shot.ranks, 80)
    assert short.startswith(
        "4 ranks: 1 measuring · 1 measured · ✗ 1 no sign of life for 0:21 on node"
    )
    assert (len(short), short[-1]) == (80, "…")
    directory = RunDir(run)
    for rank in (1, 4):
        change(run, rank, host=this_host(), phase="extract")
    with directory.locked("lock-4"):  # a rank of this host runs while it holds its lock
        ranks = {rank.number: rank.runs for rank in Watch(run).look().ranks}
    assert (ranks[1], ranks[4]) == (False, True)


@pytest.mark.parametrize("done", [False, True])
def test_a_thread_that_reads_loads_nothing_itself(done, finished, tmp_path):
    run = finished if done else live_run(tmp_path / "run")
    code = (
        "import pathlib, sys\n"
        "from tuiprobe.show.tui import livewatch\n"
        "livewatch.load_readers()\n"
        "before = set(sys.modules)\n"
        f"livewatch.read_live(pathlib.Path({str(run)!r}))\n"
        "print(sorted(sys.modules.keys() - before))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_a_run_that_was_stopped_says_that_it_merges(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    watch = Watch(run)
    watch.look()
    change(run, sequence=2, stopped=True, phase="merge")
    view = watch.look()
    assert view.stopping
    assert title("run", view, 65.0, 80).endswith("run: stopping: merging")


def test_probing_counts_its_steps_and_the_time_that_is_left(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    watch = Watch(run)
    watch.look()
    change(run, sequence=2, phase="probe", built=3, to_build=9, rate=0.0, eta=12.0)
    line = title("run", watch.look(), 65.0, 80)
    assert "3 of 9 probes" in line
    assert line.endswith("0:12 left")

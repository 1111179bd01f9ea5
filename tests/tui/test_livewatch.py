"""Reading a run while it is written: figures of all ranks, heartbeat, hostile directories."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.tui.live_run import CHANNELS, live_run, say, shares_of, write_live
from tests.tui.live_run import write_rank as write_rank_file
from tuiprobe.files import Entry
from tuiprobe.measure.live import RunningTap
from tuiprobe.run.directory import RunDir
from tuiprobe.run.live import Ends, LiveTap, RankState, SetProgress, bounded, write_rank
from tuiprobe.run.state import RunState
from tuiprobe.tui.livewatch import (
    Snapshot,
    Tail,
    Watch,
    WatchThread,
    has_results,
    outliers_of,
    runs_of,
)
from tuiprobe.tui.progress import ranks_line, state_line

Damage = Callable[[Path], object]


def seen(thread: WatchThread, fits: Callable[[Snapshot], bool]) -> Snapshot:
    """Waits until a thread shows what fits."""
    deadline = time.monotonic() + 120
    while not fits(shot := thread.latest):
        assert time.monotonic() < deadline, shot
        time.sleep(0.002)
    return shot


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
    ends = shot.ends["val", 13]
    assert [image for image, _ in ends.strongest] == [5, 6, 7]
    assert (ends.strongest[0], ends.other[0], ends.crosses) == ((5, -1997.0), (7, -670.0), False)
    assert {name: one.through for name, one in shot.sets.items()} == {
        "val": 640, "sketch": 0, "a": 0,
    }  # fmt: skip
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
    assert set(shot.ends) == {("val", 0), ("val", 1), ("val", 2)}
    both = shot.ends["val", 0]  # both ranks have the same image here
    assert (both.largest, both.smallest) == (((8, 41.5),) * 2, ((8, 3.0),) * 2)
    assert (shot.sets["val"].through, shot.sets["val"].total) == (400, 4000)
    assert tap.scanned == 400
    assert tap.above is not None
    assert (tap.above[1], tap.above[2]) == (0.5, 0.5)
    assert not outliers_of(tap)  # each exceeds the height in half of the images


def test_both_ends_of_several_ranks_are_one() -> None:
    one = Ends(largest=((1, 5.0), (2, 4.0)), smallest=((3, 1.0), (4, 2.0)))
    other = Ends(largest=((5, 4.5),), smallest=((6, -9.0), (7, -1.0)))
    both = one.merged(other)
    assert both.largest == ((1, 5.0), (5, 4.5), (2, 4.0))
    assert both.smallest == ((6, -9.0), (7, -1.0), (3, 1.0), (4, 2.0))
    assert not one.crosses
    assert (one.strongest, one.other) == (one.largest, one.smallest)
    assert both.crosses  # so the other end is not the weakest one
    assert (both.strongest, both.other) == (both.smallest, both.largest)


def test_outlier_channels_are_those_of_the_rule_of_the_results(tmp_path: Path) -> None:
    def marked(above: float, scanned: int) -> frozenset[int]:
        run = RunDir(tmp_path / f"{above}-{scanned}")
        (run.path / "live").mkdir(parents=True)
        tap = LiveTap(9.0, 8.0, 10.0, 640, 0.9, 3.0, shares_of(13, 0.6),
                      above=np.eye(CHANNELS)[13] * above, scanned=scanned)  # fmt: skip
        write_rank(run, 0, RankState(sequence=1), {("val", "embedding"): tap})
        return outliers_of(Watch(run.path).poll().taps["val", "embedding"])

    assert marked(1.0, 35) == {13}
    assert marked(1.0, 34) == frozenset()  # Wilson's lower bound is below .9
    assert marked(0.95, 1000) == {13}
    assert marked(0.91, 1000) == frozenset()
    assert marked(1.0, 0) == frozenset()


def test_what_an_earlier_version_wrote_is_read_without_its_images(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    path = run / "live" / "0.json"
    state = json.loads(path.read_text())
    del state["ends"], state["sets"]
    for tap in state["taps"].values():
        del tap["scanned"]
    path.write_text(json.dumps(state | {"top": {"val": {"13": [5, 6, 7]}}}))
    shot = Watch(run).poll()
    assert (shot.state, shot.done, shot.ends, shot.sets) == ("running", 640, {}, {})
    assert outliers_of(shot.taps["val", "embedding"]) == frozenset()


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


def figure(name: str, value: str) -> Damage:
    """Puts a JSON text in the place of a figure of the embedding."""

    def change(run: Path) -> None:
        path = run / "live/0.json"
        state = json.loads(path.read_text())
        state["taps"]["val/embedding"][name] = "HERE"
        path.write_text(json.dumps(state).replace('"HERE"', value))

    return change


def field(name: str, value: str) -> Damage:
    """Puts a JSON text in the place of a field of the state."""

    def change(run: Path) -> None:
        path = run / "live/0.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: 0}))
        path.write_text(path.read_text().replace(f'"{name}": 0', f'"{name}": {value}'))

    return change


def state(content: str) -> Damage:
    return lambda run: (run / "live/0.json").write_text(content)


def arrays(change: Callable[[dict[str, np.ndarray]], object]) -> Damage:
    def damage(run: Path) -> None:
        found = dict(load_file(run / "live/0.safetensors"))
        change(found)
        save_file(found, run / "live/0.safetensors")

    return damage


def tensors(change: Callable[[bytes], bytes]) -> Damage:
    path = "live/0.safetensors"
    return lambda run: (run / path).write_bytes(change((run / path).read_bytes()))


SHARE, ABOVE = "val/embedding/share", "val/embedding/above"
HOSTILE: list[Damage] = [
    *(figure("kurtosis", text) for text in ("1e308", "-1e308", "1" + "0" * 400, "1e999", "NaN")),
    *(figure("kurtosis", text) for text in ("[]", '"soon"', "true", "null", "{}")),
    *(figure("n", text) for text in ("-1", "1.5", "1e300", "null", '"many"')),
    figure("low", "null"),
    *(field("done", text) for text in ("-1", "NaN", "1" + "0" * 400, "[]", '"x"', "2.5")),
    *(field("sequence", text) for text in ("-1", "1" + "0" * 5000, '"x"', "null")),
    *(field("rate", text) for text in ("1e308", "-1", "Infinity", '"fast"')),
    *(field("eta", text) for text in ("-1e308", "NaN", '"soon"')),
    *(field("taps", text) for text in ("7", "[]", '{"val/embedding": 3}', "null")),
    *(field("ends", text) for text in ("[1]", '{"val": {"a": {}}}', '{"val": {"3": [1]}}')),
    *(
        field("ends", f'{{"val": {{"3": {{"largest": {text}}}}}}}')
        for text in (
            "[5]",
            "[[-1, 2.0]]",
            "[[1, 1e308]]",
            "[[1]]",
            "[" + "[1, 2.0]," * 65 + "[1, 2.0]]",
        )
    ),
    *(field("sets", text) for text in ("[]", '{"val": 3}', '{"val": {"total": -1}}')),
    figure("scanned", "-1"),
    *(field("set", text) for text in ("7", '"' + "x" * 5000 + '"')),
    *(state(text) for text in ("", "no json", "[]", "3", "[" * 100_000, '{"taps":' * 1000)),
    *(tensors(lambda _, text=text: text) for text in (b"", b"x", b"\xff" * 100, b"\0" * 8)),  # type: ignore[misc]
    tensors(lambda _: (2**62).to_bytes(8, "little")),
    tensors(lambda content: content[:-8]),
    arrays(lambda a: a[SHARE].fill(np.nan)),
    arrays(lambda a: a[SHARE].fill(-1.0)),
    arrays(lambda a: a[SHARE].fill(1e308)),
    arrays(lambda a: a.update({SHARE: a[SHARE][None]})),
    arrays(lambda a: a.update({SHARE: a[SHARE][:0]})),
    arrays(lambda a: a.update({SHARE: a[SHARE].astype(np.int64)})),
    arrays(lambda a: a.update({SHARE: a[SHARE][:-1]})),
    arrays(lambda a: a.update({ABOVE: a[ABOVE][:-1]})),
    arrays(lambda a: a[ABOVE].fill(2.0)),
]


@pytest.mark.parametrize("damage", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_live_file_is_told_and_whole_files_are_shown_again(
    damage: Damage, tmp_path: Path
) -> None:
    run = live_run(tmp_path)
    damage(run)
    thread = WatchThread(Watch(run), seconds=0.005)
    shot = seen(thread, lambda shot: shot.state == "unreadable")
    assert "live/0." in state_line("run", RunState("running"), shot, None)
    assert (shot.done, shot.taps) == (0, {})
    write_live(run, sequence=2, done=900)
    seen(thread, lambda shot: (shot.state, shot.done) == ("running", 900))
    thread.stop()


def test_damage_keeps_the_last_figures_on_the_screen(tmp_path: Path) -> None:
    watch = Watch(live_run(tmp_path))
    whole = watch.poll()
    state("[]")(tmp_path)
    shot = watch.poll()
    assert (shot.state, shot.done, shot.taps) == ("unreadable", 640, whole.taps)
    write_live(tmp_path, sequence=1, done=641)
    assert (watch.poll().state, watch.poll().done) == ("running", 641)


def test_nonsense_among_the_events_is_left_out(tmp_path: Path) -> None:
    (live_run(tmp_path) / "events-0.jsonl").write_text('nonsense\n[1]\n{"kind": 3}\n\xff\n')
    assert Watch(tmp_path).poll().events == ()


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    run = live_run(tmp_path / "run")
    for name in ("log.txt", "live/0.json"):
        (run / name).unlink()
    (run / "log.txt").symlink_to(secret)
    os.mkfifo(run / "live" / "0.json")
    shot = Watch(run).poll()
    assert (shot.log, shot.state, shot.done) == ((), "unreadable", 0)


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
    deadline = time.monotonic() + 120
    while thread.latest.done != 640:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    write_live(run, 2, done=900)
    while thread.latest.done != 900:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    thread.stop()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, MemoryError, RecursionError])
def test_a_thread_that_cannot_read_says_so_and_goes_on(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> NoReturn:
        raise error

    watch = Watch(live_run(tmp_path))
    monkeypatch.setattr(watch, "poll", fail)
    thread = WatchThread(watch, seconds=0.005)
    shot = seen(thread, lambda shot: shot.state == "unreadable")
    assert "cannot read the live state" in state_line("run", RunState("running"), shot, None)
    monkeypatch.undo()
    seen(thread, lambda shot: shot.state == "running")
    thread.stop()


def test_shapes_that_differ_between_ranks_do_not_mix(tmp_path: Path) -> None:
    write_live(tmp_path, 1, done=100, rank=0)
    write_live(tmp_path, 1, done=100, rank=1)
    state = json.loads((tmp_path / "live" / "1.json").read_text())
    save_file(
        {f"{name}/share": np.ones(CHANNELS + 1) for name in state["taps"]},
        tmp_path / "live" / "1.safetensors",
    )
    assert len(Watch(tmp_path).poll().taps["val", "embedding"].shares) == CHANNELS


def test_readers_see_what_the_writer_wrote(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    shares = shares_of(13, 0.6)
    first = LiveTap(None, None, None, 1, None, None, shares)
    loud = np.eye(CHANNELS)[13]
    last = LiveTap(54.0, 52.5, 55.5, 640, 0.93, None, shares, loud, loud * 0.5, 200)
    ends = Ends(largest=((5, -3.0),), smallest=((6, -9.5), (7, -9.0)))
    written = RankState(stage="extract", set="val", done=640, total=2000, rate=212.0, sequence=7,
                        sets={"val": SetProgress(total=2000, kept=10, done=640)},
                        ends={"val": {13: ends}})  # fmt: skip
    write_rank(run, 3, written, {("val", "layer1/conv"): first, ("val", "embedding"): last})
    shot = Watch(tmp_path).poll()
    assert (shot.state, shot.beat, shot.done, shot.total) == ("running", (7,), 640, 2000)
    assert shot.ends == {("val", 13): ends}
    assert (shot.sets["val"].kept, shot.sets["val"].through) == (10, 650)
    for place, tap in (("layer1/conv", first), ("embedding", last)):
        read = vars(shot.taps["val", place])
        for name, value in vars(tap).items():
            assert np.array_equal(read[name], value), name


def test_a_figure_beyond_the_bounds_is_left_out_by_the_writer() -> None:
    apart = RunningTap(np.array([1.0, 1.0 + 2.3e-16, 0]), np.zeros(3, np.int64), 2, 6.0, 18.0, 2.0)
    tap = apart.shown()
    assert (tap.kurtosis, tap.effective_channels) == (3.0, None)
    assert [bounded(value) for value in (1e15, 1e16, math.nan, -math.inf)] == [1e15] + [None] * 3


def plan_file(run: Path, images: int, shards: int) -> None:
    sets = [{"name": "val", "planned": images, "shards": shards}]
    (run / "plan.json").write_text(json.dumps({"sets": sets}))


def test_ranks_are_counted_together_and_each_has_a_state(tmp_path: Path) -> None:
    run, clock = live_run(tmp_path), Clock()
    plan_file(run, images=1000, shards=10)
    (run / "shards").mkdir()
    for number in (0, 1, 5):
        (run / "shards" / f"val-{number:05d}.safetensors").touch()
    write_rank_file(run, 1)  # its shard is published: its images count once
    write_rank_file(run, 2)
    write_rank_file(run, 3, rate=5.0)
    write_rank_file(run, 4, stage="done", set_name=None)
    watch = Watch(run, now=clock)
    shot = watch.poll()
    assert [(one.number, one.condition) for one in shot.ranks] == [
        (1, "extract"), (2, "extract"), (3, "late"), (4, "done"),
    ]  # fmt: skip
    assert (shot.done, shot.total, shot.rate) == (300 + 50 + 50, 1000, 45.0)
    clock.now = 59.0
    write_rank_file(run, 2, sequence=2)
    watch.poll()
    clock.now = 61.0
    shot = watch.poll()
    silent = [one.number for one in shot.ranks if one.condition == "silent"]
    assert silent == [1, 3]  # the one that is done is never silent
    assert (shot.done, shot.rate) == (350, 20.0)
    assert ranks_line(shot.ranks, 200) == (
        "ranks ✗ 1 no sign of life for 1:01 on node · ● 2 20 img/s · "
        "✗ 3 no sign of life for 1:01 on node · ✓ 4 done"
    )
    short = ranks_line(shot.ranks, 80)
    assert short.startswith(
        "4 ranks: 1 measuring · 1 done · ✗ 1 no sign of life for 1:01 on node · "
    )
    assert (len(short), short[-1]) == (80, "…")


def test_a_set_has_no_more_images_than_planned_when_shards_were_taken_over(tmp_path: Path) -> None:
    run = live_run(tmp_path)
    write_live(run, 1, done=1500, rank=1)  # of the 2,000 that the first rank has planned too
    plan_file(run, images=2000, shards=10)
    one = Watch(run).poll().sets["val"]
    assert (one.total, one.through) == (2000, 2000)

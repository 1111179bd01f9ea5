"""Ranks share shards by files alone: leases, takeover, progress of all, deaths in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks._simulated import (
    Simulation,
    World,
    bits,
    measure_alone,
    merged,
    plan_of,
    reader_of,
)
from tests.measure.test_extract import extract
from tests.measure.test_extract import plan_of as small_plan
from tuiprobe.events import Event
from tuiprobe.measure.crew import Crew
from tuiprobe.measure.plan import Plan
from tuiprobe.measure.ranks import Rank
from tuiprobe.measure.resume import take_inventory
from tuiprobe.run.directory import RunDir
from tuiprobe.run.locks import this_host
from tuiprobe.run.ranks import LEASE_SECONDS, RankWatch, read_records, whole_progress


class Ranks:
    """Ranks of one run on one clock, which a test moves."""

    def __init__(self, place: Path, world: int, host: str | None = "elsewhere") -> None:
        self.now, self.said = 0.0, list[str]()
        self.run, self.plan = RunDir(place), small_plan(capacity=99)  # 40 images in 3 shards
        self.shards = list(self.plan.shards["val"])
        self.crews = [
            Crew(
                self.run, Rank(number, world), self.shards, self.hear,
                now=lambda: self.now, host=host,
            )
            for number in range(world)
        ]  # fmt: skip

    def hear(self, event: Event) -> None:
        self.said.append(event.message)

    def publish(self, number: int) -> None:
        self.run.shard_file("val", number).write_bytes(b"measured")


def numbers(shards: list) -> list[int]:
    return [shard.number for shard in shards]


@pytest.fixture
def ranks(tmp_path: Path) -> Ranks:
    return Ranks(tmp_path, world=3)


def test_a_shard_that_is_published_or_held_is_left_to_its_rank(ranks: Ranks) -> None:
    one, other, _ = ranks.crews
    assert numbers(one.left(ranks.shards)) == [0, 1, 2]
    ranks.publish(0)
    other.hold(ranks.shards[1])
    assert numbers(one.left(ranks.shards)) == [2]
    assert numbers(other.left(ranks.shards)) == [1, 2]  # its own lease does not hold it back
    assert numbers(one.absent()) == [1, 2]


def test_a_lease_ends_when_its_reader_has_seen_no_change_for_the_stated_time(ranks: Ranks) -> None:
    one, other, _ = ranks.crews
    one.join()
    other.hold(ranks.shards[1])
    one.left(ranks.shards)
    ranks.now = LEASE_SECONDS - 1
    other.beat(8, rate=2.0, seconds=20.0)  # a sign of life counts from when it is seen
    assert numbers(one.left(ranks.shards)) == [0, 2]
    ranks.now += LEASE_SECONDS - 1
    assert numbers(one.left(ranks.shards)) == [0, 2]
    ranks.now += 4 * LEASE_SECONDS  # the pause between batches was long, so the lease is too
    assert numbers(one.left(ranks.shards)) == [0, 1, 2]
    assert "rank 1 on elsewhere has shown no sign of life for 4:59" in ranks.said[-1]


def test_a_process_of_this_host_that_ended_loses_its_lease_at_once(tmp_path: Path) -> None:
    ranks = Ranks(tmp_path, world=2, host=this_host())
    one, other = ranks.crews
    with ranks.run.locked("lock"), ranks.run.locked("lock-1"):
        one.join()
        other.hold(ranks.shards[1])
        assert numbers(one.left(ranks.shards)) == [0, 2]
    with ranks.run.locked("lock"):
        assert numbers(one.left(ranks.shards)) == [0, 1, 2]
    assert f"rank 1 on {this_host()} has ended" in ranks.said[-1]


def test_whoever_is_done_takes_shards_from_the_end_and_no_two_the_same(ranks: Ranks) -> None:
    one, other, third = ranks.crews
    found = [crew.take(crew.absent()) for crew in (one, other, third)]
    assert [shard.number for shard in found if shard is not None] == [2, 0, 1]
    assert "rank 0 takes over shards of rank 2 that nobody measures" in ranks.said
    for number in range(3):
        ranks.publish(number)
    assert one.absent() == []


def test_of_two_that_take_the_same_shard_the_lower_number_keeps_it(
    ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, _ = ranks.crews
    last = ranks.shards[2:]
    real = Crew.hold
    monkeypatch.setattr(
        Crew, "hold", lambda crew, shard: [real(each, shard) for each in (one, other)]
    )
    assert other.take(last) is None
    assert read_records(ranks.run)[1].shard is None
    assert one.take(last) is ranks.shards[2]


def test_an_unusable_shard_counts_as_absent_until_its_file_is_replaced(ranks: Ranks) -> None:
    crew = ranks.crews[0]
    ranks.publish(1)
    crew.distrust(ranks.shards)
    assert numbers(crew.absent()) == [0, 1, 2]
    ranks.publish(1)
    ranks.publish(2)
    assert numbers(crew.absent()) == [0]


def test_progress_is_of_all_ranks_and_counts_no_image_twice(ranks: Ranks) -> None:
    one, other, third = ranks.crews
    ranks.publish(0)  # 16 images
    for crew, images in ((one, 4), (other, 8)):  # both measure the same shard
        crew.hold(ranks.shards[1])
        ranks.now += 2
        crew.beat(images, rate=5.0, seconds=2.0)
    third.hold(ranks.shards[0])  # which is published, but its file says so later
    third.beat(16, rate=5.0, seconds=2.0)
    whole = one.progress()
    assert whole is not None
    assert (whole.through, whole.total, whole.ranks) == (16 + 8, 40, 3)
    assert whole.rate == 10.0  # the third has not written its rate yet
    assert whole.eta == 1.6
    assert one.progress() is None  # it looks once a second


def test_a_rank_much_slower_than_the_others_is_named_once_by_the_first(ranks: Ranks) -> None:
    for crew, shard, rate in zip(ranks.crews, ranks.shards, (20.0, 22.0, 9.0), strict=True):
        crew.hold(shard)
        ranks.now += 1
        crew.beat(8, rate=rate, seconds=40.0)
    for crew in (*ranks.crews, *ranks.crews):
        crew.left(ranks.shards)
    late = [said for said in ranks.said if "is late: 9.0 images/s" in said]
    assert len(late) == 1
    assert [one.condition for one in RankWatch(ranks.run).look()] == ["extract", "extract", "late"]


def test_the_first_rank_clears_away_those_of_a_larger_attempt(tmp_path: Path) -> None:
    many = Ranks(tmp_path, world=3)
    for crew in many.crews:
        crew.join()
    for number in range(3):
        many.run.live_file(number, "json").write_bytes(b"{}")
    few = Ranks(tmp_path, world=2)
    few.crews[0].join()
    assert list(many.run.rank_files()) == [0, 1]
    assert many.run.live_ranks() == [0, 1]
    Ranks(tmp_path, world=1).crews[0].join()
    assert many.run.rank_files() == {}


def test_what_no_rank_wrote_is_left_out(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for number, content in enumerate((b"", b"[]", b'{"process": -1}', b"\xff" * 70_000)):
        run.rank_file(number).write_bytes(content)
    (tmp_path / "ranks" / "9.json").symlink_to("/dev/zero")
    assert RankWatch(run).look() == ()
    assert whole_progress((), set(), 0, 0).eta is None


def test_a_rank_reads_its_own_shards_whole_and_the_heads_of_the_others(tmp_path: Path) -> None:
    plan = small_plan(capacity=99)
    run, _ = extract(plan, tmp_path)
    reader, shards = reader_of(plan, run), list(plan.shards["val"])

    def missing(rank: Rank) -> list[int]:
        return numbers(list(take_inventory(reader, shards, lambda event: None, rank.owns).missing))

    damaged = run.shard_file("val", 1).path
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    assert [missing(Rank(number, 3)) for number in range(3)] == [[], [1], []]
    assert missing(Rank()) == [1]
    damaged.write_bytes(run.shard_file("val", 2).path.read_bytes())  # of another place
    assert [missing(Rank(number, 3)) for number in range(3)] == [[1]] * 3
    damaged.write_bytes(b"\xff" * 100)
    assert [missing(Rank(number, 3)) for number in range(3)] == [[1]] * 3


def small() -> Plan:
    sets = {"val": 70, "sketch": 50}
    return plan_of(1, sets, width=4, blocks=0, batch=2, shard_batches=2)


def test_deaths_and_takeovers_change_no_bit(tmp_path: Path) -> None:
    plan = small()
    measure_alone(plan, RunDir(tmp_path / "alone"))
    expected = bits(merged(plan, RunDir(tmp_path / "alone")))
    fares = World(ranks=5, rate=1.0, mean_life=60.0, load=20.0, slow=(2,), seed=7)
    run = RunDir(tmp_path / "many")
    fates = Simulation(plan, run, fares).go()
    assert fates.deaths >= 8
    assert fates.lost >= 2  # which never come back
    assert fates.done == plan.images
    assert 0 < fates.wasted + fates.twice <= 4 * fates.deaths  # at most a shard each
    assert any("no sign of life" in said for said in fates.warnings)
    assert bits(merged(plan, run)) == expected

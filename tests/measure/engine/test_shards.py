import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiprobe.errors import UsageError
from tuiprobe.measure.engine.shards import Rank, current_rank, split_into_shards
from tuiprobe.measure.run.counting import SetCount, in_turns, ranks_missing


@given(st.integers(1, 500), st.integers(1, 40), st.none() | st.integers(1, 9))
def test_shards_hold_every_sample_once_in_order(n: int, batch: int, per_shard: int | None) -> None:
    shards = split_into_shards("val", np.arange(n), batch, per_shard)
    batches = [b for shard in shards for b in shard.batches]
    assert np.concatenate(batches).tolist() == list(range(n))
    assert all(len(b) == batch for b in batches[:-1])
    assert [s.number for s in shards] == list(range(len(shards)))
    assert [s.start for s in shards] == [int(s.batches[0][0]) for s in shards]


def test_enough_shards_for_a_jackknife_where_there_are_enough_images() -> None:
    for n in (16 * 32, 2304, 5000, 50_000):
        shards = split_into_shards("val", np.arange(n), 32, None)
        assert len(shards) >= 16
        assert max(len(s.batches) for s in shards) <= 8


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 9), st.data())
def test_the_missing_ranks_are_those_whose_share_is_not_published(sizes, world, data):
    plans = [SetCount(f"set{i}", 10 * n, n) for i, n in enumerate(sizes)]
    turns = range(max(sizes))
    places = [(plan.name, turn) for turn in turns for plan in plans if turn < plan.shards]
    assert list(in_turns(plans)) == places
    published = data.draw(st.sets(st.sampled_from(places)))
    shares = [set(Rank(number, world).share(places)) for number in range(world)]
    missing = [number for number, share in enumerate(shares) if share - published]
    assert list(ranks_missing(plans, published, world)) == missing


@given(st.integers(0, 500), st.integers(1, 40), st.integers(1, 9))
def test_a_count_by_names_is_the_sum_of_the_shards(n: int, batch: int, per_shard: int) -> None:
    shards = split_into_shards("val", np.arange(n), batch, per_shard)
    plan = SetCount("val", n, len(shards), batch * per_shard)
    assert [plan.size(shard.number) for shard in shards] == [shard.size for shard in shards]
    assert plan.size(len(shards)) == 0
    older = SetCount("val", n, len(shards))  # of a version that did not note the size
    assert sum(older.size(shard.number) for shard in shards) == n


def test_ranks_come_from_torchrun() -> None:
    assert current_rank({}) == Rank(0, 1, 0)
    assert current_rank({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}) == Rank(5, 8, 1)
    for wrong in ({"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "x"}, {"LOCAL_WORLD_SIZE": "2"}):
        with pytest.raises(UsageError):
            current_rank(wrong)

"""ChannelTopK is exact under its total order, whatever the split, the order and the layout."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.oracle import as_rows, check_moments, check_topk, examples
from tuiprobe.stats import ActivationStats, ChannelMoments, ChannelStats, ChannelTopK


@st.composite
def batches(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, p, c = draw(st.integers(1, 120)), draw(st.integers(1, 5)), draw(st.integers(1, 20))
    levels = draw(st.sampled_from([1, 2, 5, 10**6]))  # few levels: ties everywhere
    x = (rng.integers(-levels, levels + 1, (n, p, c)) / 4).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = -0.0
    for bad in draw(st.sets(st.sampled_from([np.nan, np.inf, -np.inf]))):
        x[rng.random(x.shape) < draw(st.sampled_from([0.02, 0.7]))] = bad
    return x


@given(
    x=batches(),
    k=st.sampled_from([1, 2, 7, 32, 200]),
    largest=st.booleans(),
    seed=st.integers(0, 1000),
    shuffle=st.booleans(),
)
@examples(15)
def test_exact_with_ties_under_any_split_and_order(x, k, largest, seed, shuffle):
    rng = np.random.default_rng(seed)
    ids = rng.choice(10**12, len(x), replace=False) if shuffle else np.arange(len(x))
    parts = [ChannelTopK(x.shape[2], k=k, largest=largest) for _ in range(3)]
    for piece in np.array_split(rng.permutation(len(x)), 7):
        parts[rng.integers(3)].update(x[piece], ids[piece])
    a, b, c = rng.permutation(3)
    top = parts[a].merge(parts[b]).merge(parts[c])
    check_topk(top.compute(), as_rows(x), ids.tolist(), k, largest)


def test_an_image_seen_twice_keeps_its_better_entry():
    top = ChannelTopK(1, k=3)
    top.update(torch.tensor([[1.0], [2.0]]), [7, 7])
    top.update(torch.tensor([[1.5], [0.0]]), [7, 8])
    assert top.compute().values[0, :2].tolist() == [2.0, 0.0]
    by_default = ChannelTopK(1, k=3)  # numbers that run on
    by_default.update(torch.tensor([[1.0], [2.0]]))
    by_default.update(torch.tensor([[5.0], [0.0]]))
    assert by_default.compute().sample_ids.tolist() == [[2, 1, 0]]


def test_minus_zero_equals_zero():
    top = ChannelTopK(1, k=2)
    top.update(torch.tensor([[-0.0], [0.0]]))
    assert top.compute().sample_ids.tolist() == [[0, 1]]
    assert not np.signbit(top.compute().values).any()


@pytest.mark.parametrize("largest", [True, False])
def test_dead_channels_and_class_sorted_rows(largest):
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((4000, 24)), 0).astype(np.float32)
    x[:, :6] = 0
    x = x[np.argsort(x[:, 10])]
    top = ChannelTopK(24, k=32, largest=largest)
    top.update(x[:2500])
    top.update(x[2500:])
    check_topk(top.compute(), as_rows(x), range(4000), 32, largest)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("together", [False, True])
def test_many_positions_of_images_whose_ids_repeat(largest, together):
    rng = np.random.default_rng(3)
    x = rng.integers(-2, 3, (40, 50, 5)).astype(np.float32)  # most values come many times
    x[rng.random(x.shape) < 0.02] = np.nan
    ids = np.repeat(np.arange(20)[::-1], 2)  # neighbours share an id
    top = ChannelTopK(5, 7, largest)
    for part, part_ids in [(x, ids)] if together else zip(x[:, None], ids[:, None], strict=True):
        top.update(part.reshape(-1, 50, 5), part_ids)
    check_topk(top.compute(), as_rows(x), ids.tolist(), 7, largest)


@pytest.mark.parametrize("largest", [True, False])
def test_an_infinite_value_does_not_hide_the_best_finite_one(largest):
    x = np.random.default_rng(4).standard_normal((30, 33, 18)).astype(np.float32)
    x[:, 5, ::2] = np.inf if largest else -np.inf
    stats = ActivationStats(18, k=4)  # whose groups of rows are each of one image
    stats.update(x)
    top = stats.compute().largest if largest else stats.compute().smallest
    check_topk(top, as_rows(x), range(30), 4, largest)


@pytest.mark.parametrize("largest", [True, False])
def test_infinite_values_of_a_sample_are_no_entries(largest):
    """The first limits come from the best of each two rows, of which three are finite."""
    x = np.tile(np.array([[np.inf], [0.25]], np.float32), (20, 2))
    x[[6, 18, 30], 0] = 1
    x[:, 1] = 2
    x = x if largest else -x
    top = ChannelTopK(2, k=5, largest=largest)
    top.update(x)
    check_topk(top.compute(), as_rows(x), range(40), 5, largest)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("channel_dim", [1, -1])
@pytest.mark.parametrize("special", [0.0, np.nan])
def test_pieces_of_long_images_on_several_threads(images, channel_dim, special):
    """Without figures of whole images, several threads share one: ties, equal ids, a row of NaN."""
    rng = np.random.default_rng(images)
    x = np.round(rng.standard_normal((images, 23, 41, 19)), 1).astype(np.float32)
    x[0, 11, 7] = special
    ids = [4, 9, 4][:images]
    view = torch.from_numpy(x if channel_dim == -1 else np.moveaxis(x, -1, 1).copy())
    made = []
    before = torch.get_num_threads()
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        stats, moments = ChannelStats(19, k=2), ChannelMoments(19)
        for accumulator in (stats, moments):
            accumulator.update(view, ids, channel_dim=channel_dim)
        made.append((*stats.compute(), moments.compute()))
    torch.set_num_threads(before)
    rows = as_rows(x)
    for some, largest, smallest, alone in made:
        check_moments(some, rows)
        check_moments(alone, rows)
        check_topk(largest, rows, ids, 2)
        check_topk(smallest, rows, ids, 2, largest=False)
        np.testing.assert_equal(vars(some), vars(made[0][0]))
        np.testing.assert_equal(vars(alone), vars(made[0][3]))

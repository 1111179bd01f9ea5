import numpy as np
import pytest
import torch

from tuiprobe.measure.engine.extract import sampled_rows, select_tokens
from tuiprobe.models.taps import Tap

TOKENS = Tap("blocks.0", "token", 5, -1, 1)


def test_token_rules() -> None:
    x = torch.randn(3, 7, 5)
    assert select_tokens(x, TOKENS, "all") is x
    assert torch.equal(select_tokens(x, TOKENS, "class"), x[:, 0])
    assert torch.equal(select_tokens(x, TOKENS, "mean"), x.mean(1))


@pytest.mark.parametrize("channel_dim", [1, -1])
def test_a_sampled_row_is_one_position_of_its_image(channel_dim: int) -> None:
    x = torch.arange(2 * 3 * 3 * 3.0).reshape(2, 3, 3, 3)
    rows = sampled_rows(x, torch.tensor([11, 12]), channel_dim, seed=0)
    for image, row in zip(x, rows, strict=True):
        places = image.movedim(channel_dim - 1 if channel_dim > 0 else -1, -1).reshape(-1, 3)
        assert any(torch.equal(place, row) for place in places)


def test_rows_do_not_depend_on_the_batches() -> None:
    x, ids = torch.randn(40, 9, 5), torch.arange(100, 140)
    whole = sampled_rows(x, ids, -1, seed=3)
    parts = [sampled_rows(x[i : i + 7], ids[i : i + 7], -1, seed=3) for i in range(0, 40, 7)]
    assert torch.equal(whole, torch.cat(parts))


def test_positions_are_spread_evenly() -> None:
    x = torch.arange(9.0).reshape(1, 9, 1).expand(9000, 9, 1)
    counts = np.bincount(sampled_rows(x, torch.arange(9000), -1, seed=0)[:, 0].int().numpy())
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)  # five binomial deviations

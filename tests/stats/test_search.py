"""A search for data that break the proven bounds of moments: one find, and the proof is wrong."""

import os
import time

import numpy as np
import pytest
import torch

from tests.stats.oracle import Tracked, check_errors, moment_errors

SECONDS = float(os.environ.get("TUIPROBE_SEARCH_SECONDS", "120"))
COLUMNS = 256
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def first_population(rng):
    """Rows `[n, COLUMNS]`, most of them zero, and where they are cut."""
    rows, few = rng.integers(8, 700), rng.integers(1, 12)
    x = np.zeros((rows, COLUMNS))
    for column in x.T:
        some = rng.choice(rows, min(few, rows), replace=False)
        column[some] = rng.standard_normal(len(some)) * 10.0 ** rng.uniform(-2, 2)
    kind = rng.integers(4)
    if kind == 1:
        x += rng.standard_normal(x.shape)
    elif kind == 2:  # the mean drifts
        x += np.sort(rng.standard_normal(x.shape) ** 3, axis=0)
    elif kind == 3:
        x += rng.choice([-1.0, 1.0], x.shape) * (1 + 1e-3 * rng.random(x.shape))
    return x, np.sort(rng.integers(0, rows + 1, rng.integers(0, 9)))


def mutated(x, parents, rng):
    """Columns like those of `parents`, each with a few other values."""
    children = x[:, parents]
    for column in children.T:
        some = rng.integers(0, len(column), rng.integers(1, 6))
        how = rng.integers(4)
        if how == 0:
            column[some] = column[rng.integers(0, len(column), len(some))]
        elif how == 1:
            column[some] = rng.standard_normal(len(some)) * np.abs(column).max()
        elif how == 2:
            column[some] *= 1 + 2.0 ** -rng.integers(1, 24)
        else:
            column *= rng.uniform(0.5, 2)
    return children


def ratios(x, cuts, dtype, halves):
    """Returns errors over bounds `[COLUMNS, 4]`, in updates, or in two accumulators merged."""
    batches = np.split(x, cuts)
    stats = [Tracked(COLUMNS), Tracked(COLUMNS)]
    for i, batch in enumerate(batches):
        stats[halves * i // len(batches)].update(torch.from_numpy(batch).to(dtype))
    if halves == 2:
        stats[0].merge(stats[1])
    result, values = stats[0].stats.compute(), stats[0].values
    out = np.zeros((COLUMNS, 4))
    for c in np.flatnonzero((result.min < result.max) & (result.nonfinite == 0)):
        errors, z = moment_errors(result, int(c), values[:, c])
        out[c] = check_errors(errors, z, stats[0].centres[:, :, c], values[:, c])
    return out


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_no_search_breaks_a_bound():
    rng = np.random.default_rng(int(os.environ.get("TUIPROBE_FUZZ_SEED", time.strftime("%Y%m%d"))))
    highest = np.zeros(4)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        x, cuts = first_population(rng)
        dtype, halves = DTYPES[rng.integers(3)], rng.integers(1, 3)
        aim = rng.integers(4)
        for _ in range(12):
            found = ratios(x, cuts, dtype, halves)
            highest = np.maximum(highest, found.max(0))
            assert (found <= 1).all(), (x[:, found.max(1).argmax()].tolist(), cuts.tolist(), dtype)
            best = np.argsort(-found[:, aim])[: COLUMNS // 8]
            x = np.concatenate(
                [x[:, best], mutated(x, rng.choice(best, COLUMNS - len(best)), rng)], 1
            )
    print("errors over bounds: mean, variance, skewness, kurtosis", highest.round(3))

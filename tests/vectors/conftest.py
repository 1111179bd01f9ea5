"""Small matrices of vectors, and runs of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tuiprobe.measure.engine.opening import RunOutcome
from tuiprobe.probes.run import run
from tuiprobe.request import RunRequest, make_spec

Run = Callable[..., RunOutcome]


def planted(rows: int, channels: int, seed: int = 0, dtype: str = "float32") -> NDArray[Any]:
    """Returns rows with a common offset and two outlier channels."""
    draws = np.random.default_rng(seed)
    x = draws.normal(size=(rows, channels)) + draws.normal(size=channels) * 0.5
    x[:, 3] += 12.0
    x[:, 5] -= 9.0
    return x.astype(dtype)


@pytest.fixture
def measure(tmp_path: Path) -> Run:
    """Runs vectors by the options of the command line, below the test's folder."""

    def go(source: object, output: str = "run", **options: Any) -> RunOutcome:
        fresh = options.pop("fresh", False)
        listen = options.pop("listen", lambda event: None)
        spec = make_spec(None, None, {"embeddings": str(source), **options})
        request = RunRequest(spec=spec, output=tmp_path / output, fresh=fresh)
        return run([request], listen=lambda _, event: listen(event))[0]

    return go

"""One finished run for all that damage it."""

from pathlib import Path

import pytest

from tests.fuzz.runs import make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a finished run, twice."""
    return make_template(tmp_path_factory.mktemp("template") / "runs")

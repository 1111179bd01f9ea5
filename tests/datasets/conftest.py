from pathlib import Path

import pytest

from tests.datasets.trees import write_trees


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of ImageNet, its shifts and ObjectNet in their real layouts."""
    root = tmp_path_factory.mktemp("data")
    write_trees(root)
    return root

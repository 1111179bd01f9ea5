import numpy as np
import pytest

from tuiprobe.errors import UsageError
from tuiprobe.miniature import SHIFTS, class_names, dataset, render, suite


def test_samples_are_numbered_by_path() -> None:
    found = dataset("a")
    assert [s.id for s in found.samples] == list(range(2000))
    assert sorted(found.samples, key=lambda s: s.path.encode()) == list(found.samples)
    assert found.source == "miniature:a"
    assert found.classes == class_names()


def test_opening_renders() -> None:
    found = dataset("objectnet")
    image = found.open(found.samples[17])
    assert (image.mode, image.size) == ("RGB", (64, 64))
    assert (np.array(image) == render("objectnet", 17)).all()


@pytest.mark.parametrize("name", ["web", "street"])
def test_the_web_and_the_target_set_have_no_labels(name: str) -> None:
    found = dataset(name)
    assert found.classes == ()
    assert found.samples[5].label is None


def test_the_suite_starts_with_val() -> None:
    assert list(suite().sets) == ["val", *SHIFTS]


def test_unknown_sets_are_refused() -> None:
    with pytest.raises(UsageError, match="no set"):
        dataset("imagenet")

import numpy as np

from tuiprobe.miniature import class_names, dataset, render


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

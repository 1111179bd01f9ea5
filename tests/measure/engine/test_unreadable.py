"""Many unreadable images: each counted, all in the results, few on the terminal and the pages.

`python -m benchmarks.soak` does the same with 10,000 of 50,000.
"""

import os

import pytest

from tests.measure.engine.conftest import measured, results, small_job, write_pictures
from tests.measure.engine.test_extract import BROKEN, OPTIONS, write_numbers
from tuiprobe.datasets.imagefolder import ImageFolder
from tuiprobe.datasets.sample import Content, Sample
from tuiprobe.errors import UnreadableImageError
from tuiprobe.results.card import LISTED_IMAGES
from tuiprobe.show.cli.app import run_cli

pytestmark = pytest.mark.slow

IMAGES, EVERY = 500, 5


def test_a_fifth_of_the_images(tmp_path, capsys, program):
    data, run = tmp_path / "data", tmp_path / "run"
    write_pictures(tmp_path / "base", 1, classes=1)
    (good,) = (tmp_path / "base").rglob("*.png")
    bad = good.with_name("bad.png")
    bad.write_bytes(good.read_bytes()[:60])
    data.mkdir()
    for number in range(IMAGES):
        os.link(good if number % EVERY else bad, data / f"{number:03}.png")
    command = small_job(data, run, "--batch-size", "32", "--max-unreadable")
    err = program(*command, "0.19", code=4).err
    assert "96 of 500 images so far cannot be read, more than --max-unreadable 0.19 allows" in err
    assert run_cli([*command, "0.2"]) == 0  # those before the resume count, once
    err = capsys.readouterr().err
    (dataset,) = results(run)["data"]
    assert (dataset["images"], dataset["measured"], len(dataset["skipped"])) == (500, 400, 100)
    assert {image["path"] for image in dataset["skipped"]} == {
        f"{n:03}.png" for n in range(0, 500, 5)
    }
    assert err.count("skipped ") <= 11
    for page in ("report.md", "report.html"):
        assert (run / page).read_text().count("5.png") <= LISTED_IMAGES + 2
    assert "and 80 more" in (run / "report.md").read_text()


REASONS = {"none": "", "long": "x" * 10**6, "escapes": "\x1b[31m\n" * 99}


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_whatever_a_source_says_of_an_image_is_kept_short(reason, tmp_path, monkeypatch):
    numbers, read = write_numbers(tmp_path / "val"), ImageFolder.read

    def failing(images: ImageFolder, sample: Sample) -> Content:
        if sample.id == 3:
            raise UnreadableImageError(reason)
        return read(images, sample)

    monkeypatch.setattr(ImageFolder, "read", failing)
    measured(numbers, tmp_path / "run", **OPTIONS)
    skipped = {s["path"]: s["reason"] for s in results(tmp_path / "run")["data"][0]["skipped"]}
    assert set(skipped) == {"003.png", *(f"{i:03}.png" for i in BROKEN)}
    assert 0 < len(skipped["003.png"]) <= 300

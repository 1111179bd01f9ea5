"""Concept set and targets have keys of their own: changing one measures no other image again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.measure.engine.conftest import shard_files, write_pictures
from tuiprobe import probe
from tuiprobe.datasets.sample import Content
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.records import read_plan
from tuiprobe.measure.run.verify import verify
from tuiprobe.results import Report

MODEL = "py:tests.measure.engine.colors:build"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", 24)
    return tmp_path / "photos"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """Counts how often each image is decoded, by its content."""
    counts: Counter[bytes] = Counter()
    decode = Content.image

    def counted(self: Content) -> Image.Image:
        counts[self.digest()] += 1
        return decode(self)

    monkeypatch.setattr(Content, "image", counted)
    return counts


def write_concepts(root: Path, count: int, concept: str = "bright") -> str:
    root.mkdir()
    rows = [f"image,split,{concept}"]
    for number in range(count):
        shade = 250 if number % 2 else 20
        Image.new("RGB", (16, 16), (shade, shade, 40)).save(root / f"{number:03d}.png")
        rows.append(f"{number:03d}.png,{'train' if number % 4 < 2 else 'val'},{number % 2}")
    (root / "what.csv").write_text("\n".join(rows) + "\n")
    return f"csv:{root / 'what.csv'}"


def write_target(root: Path, count: int, shade: int) -> str:
    for number in range(count):
        folder = root / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (shade, number, 40)).save(folder / f"{number:03d}.png")
    return f"imagefolder:{root}"


def run(photos: Path, output: Path, concepts: str | None, *targets: str) -> Report:
    options: Any = {
        "workers": 0, "threads": 1, "batch_size": 4, "concepts": concepts, "target": targets
    }  # fmt: skip
    return probe(MODEL, f"imagefolder:{photos}", output=str(output), **options)


def test_adding_changing_and_removing_sets_opens_no_image_of_other_sets(photos, decoded, tmp_path):
    output = tmp_path / "run"

    def stamps() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in shard_files(output)}

    few, more = write_concepts(tmp_path / "few", 8), write_concepts(tmp_path / "more", 12, "light")
    target, other = write_target(tmp_path / "one", 6, 90), write_target(tmp_path / "other", 10, 170)
    first, shards = run(photos, output, None), stamps()
    before = Counter(decoded)
    assert len(before) == 24
    run(photos, output, few)
    third = run(photos, output, more)
    assert first.part_of("outliers") == third.part_of("outliers")
    assert [each.measured for each in third.data] == [24, 12]
    assert run(photos, output, None).without_timings() == first.without_timings()

    with_concepts = run(photos, output, few)
    measured = Counter(decoded)
    run(photos, output, few, target)
    assert len(decoded - measured) == 6
    both = run(photos, output, few, other, target)
    assert len(decoded) == len(measured) + 6 + 10
    plan = read_plan(RunDir(output))
    assert [(s.name, s.target) for s in plan.sets][2:] == [("other", True), ("one", True)]
    assert [s.planned for s in plan.sets] == [24, 8, 10, 6]
    keys = {s.name: s.key for s in plan.sets}
    assert len(set(keys.values())) == 4
    assert keys["photos"] == first.key == third.key == both.key
    assert all(s.sound for s in verify(RunDir(output)))

    measured = Counter(decoded)
    (tmp_path / "other" / "class0" / "000.png").unlink()
    run(photos, output, few, other, target)
    changed = decoded - measured
    assert len(changed) == 9
    again = run(photos, output, few)
    assert again.without_timings() == with_concepts.without_timings()
    assert {content: decoded[content] for content in before} == before
    assert all(s.sound for s in verify(RunDir(output)))
    assert shards.items() <= stamps().items()

"""Concept set and targets have keys of their own: changing one measures no other image again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.measure.conftest import write_pictures
from tuiprobe import probe
from tuiprobe.datasets.content import Content
from tuiprobe.results import Report
from tuiprobe.run.directory import RunDir
from tuiprobe.run.records import read_plan
from tuiprobe.run.verify import verify

MODEL = "py:tests.measure.colors:build"


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


def test_adding_and_changing_a_concept_set_opens_no_image_again(
    photos: Path, decoded: Counter[bytes], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    first = run(photos, output, None)
    before = Counter(decoded)
    assert len(before) == 24
    measured = {path.name: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}

    second = run(photos, output, write_concepts(tmp_path / "few", 8))
    third = run(photos, output, write_concepts(tmp_path / "more", 12, "light"))

    assert {content: decoded[content] for content in before} == before
    assert len(decoded) > len(before)
    after = {path.name: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}
    assert {name: after[name] for name in measured} == measured
    keys = {one.name: one.key for one in read_plan(RunDir(output)).sets}
    assert len(set(keys.values())) == 2
    assert first.key == second.key == third.key
    assert first.part_of("outliers") == third.part_of("outliers")
    assert [one.measured for one in third.data] == [24, 12]
    assert all(one.sound for one in verify(RunDir(output)))


def test_leaving_the_concept_set_out_again_gives_the_first_report(
    photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    first = run(photos, output, None)
    run(photos, output, write_concepts(tmp_path / "few", 8))
    again = run(photos, output, None)
    assert again.without_timings() == first.without_timings()


def test_adding_changing_and_removing_a_target_opens_no_image_of_other_sets(
    photos: Path, decoded: Counter[bytes], tmp_path: Path
) -> None:
    output, concepts = tmp_path / "run", write_concepts(tmp_path / "few", 8)
    one, other = write_target(tmp_path / "one", 6, 90), write_target(tmp_path / "other", 10, 170)
    first = run(photos, output, concepts)
    before = Counter(decoded)
    shards = {path.name: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}

    run(photos, output, concepts, one)
    assert len(decoded - before) == 6
    run(photos, output, concepts, other)
    both = run(photos, output, concepts, other, one)

    assert {content: decoded[content] for content in before} == before
    assert len(decoded) == len(before) + 6 + 10
    plan = read_plan(RunDir(output))
    assert [(s.name, s.target) for s in plan.sets][2:] == [("other", True), ("one", True)]
    assert [s.planned for s in plan.sets] == [24, 8, 10, 6]
    keys = {s.name: s.key for s in plan.sets}
    assert len(set(keys.values())) == 4
    assert keys["photos"] == first.key == both.key
    assert all(s.sound for s in verify(RunDir(output)))

    measured = Counter(decoded)
    (tmp_path / "other" / "class0" / "000.png").unlink()
    run(photos, output, concepts, other, one)
    changed = decoded - measured
    assert len(changed) == 9
    assert not changed.keys() & before.keys()

    again = run(photos, output, concepts)
    assert again.without_timings() == first.without_timings()
    assert all(s.sound for s in verify(RunDir(output)))
    after = {path.name: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}
    assert {name: after[name] for name in shards} == shards

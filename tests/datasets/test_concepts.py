from dataclasses import replace
from pathlib import Path

import pytest

from tests.datasets.broden_tree import write_tree
from tuiprobe.datasets.concepts import concept_dataset, with_concepts
from tuiprobe.datasets.load import add_concepts, load_concepts, load_suite
from tuiprobe.request import make_spec


def test_the_concept_set_comes_last_under_a_name_of_its_own() -> None:
    suite = with_concepts(load_suite("miniature"), load_concepts("miniature"))
    assert list(suite.sets)[-1] == suite.concept_set == "concepts"
    assert concept_dataset(suite) is suite.sets["concepts"]
    same = load_suite("miniature:concepts")
    twice = with_concepts(same, load_concepts("miniature"))
    assert list(twice.sets) == ["concepts", "concepts-concepts"]
    assert concept_dataset(same) is None


@pytest.mark.parametrize(
    ("model", "data", "options", "concepts", "sample", "target"),
    [
        ("mini_clip", None, {}, "miniature", 3000, ("miniature:street",)),
        ("mini_clip", None, {"sample": 60}, "miniature", 60, ("miniature:street",)),
        ("mini_clip", None, {"sample": 0}, "miniature", None, ("miniature:street",)),
        ("mini_clip", None, {"sample": 60, "concept_sample": 0}, "miniature", None,
         ("miniature:street",)),
        ("mini_clip", None, {"concepts": "none", "target": ("none",)}, "none", None, ("none",)),
        ("mini_clip", "miniature:val", {"concepts": "none"}, "none", None, ()),
        ("rn50_openai", None, {}, None, None, ()),
        ("mini_clip", "imagefolder:x", {}, None, None, ()),
        ("mini_clip", "imagefolder:x", {"concepts": "broden:y", "target": ("imagefolder:x",)},
         "broden:y", None, ("imagefolder:x",)),
    ],
)  # fmt: skip
def test_what_is_measured_unasked(model, data, options, concepts, sample, target):
    spec = make_spec(model, data, options)
    assert (spec.concepts, spec.concept_sample, spec.target) == (concepts, sample, target)


def test_the_user_comes_before_the_suite(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "broden1_224")
    suite = replace(load_suite("miniature:val"), concepts=f"broden:{tree}")
    spec = make_spec("mini_clip", "miniature:val", {})
    assert add_concepts(suite, spec).concept_set == "broden1_224"
    for source, name in (("none", None), ("miniature", "concepts")):
        chosen = replace(spec, concepts=source)
        assert add_concepts(suite, chosen).concept_set == name

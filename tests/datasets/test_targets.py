"""Target sets: any source, without its labels, under a name of its own."""

from pathlib import Path

import pytest

from tests.datasets.trees import write_images
from tuiprobe.datasets.layout import processing_order
from tuiprobe.datasets.load import load_dataset, load_suite, load_target, with_targets
from tuiprobe.errors import DataError


def write_folder(root: Path, classes: int = 2, each: int = 3) -> str:
    numbers = range(classes * each)
    return (
        f"imagefolder:{write_images(root, *(f'class{n % classes}/{n:03d}.png' for n in numbers))}"
    )


def test_a_target_is_the_data_set_without_its_labels(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "mine")
    (tmp_path / "one.toml").write_text('id = "imagefolder:mine"\n')
    plain, target = load_dataset(source), load_target(source)
    assert len(load_target(f"suite:{tmp_path}/one.toml").samples) == 6
    assert len(plain.classes) == 2
    assert target.classes == ()
    assert [sample.label for sample in target.samples] == [None] * 6
    assert [(sample.id, sample.path) for sample in target.samples] == [
        (sample.id, sample.path) for sample in plain.samples
    ]
    assert [target.samples[4].label, *(sample.label for sample in target.samples[1:3])] == [
        None
    ] * 3
    assert (target.name, target.source) == (plain.name, plain.source)
    for sample, labelled in zip(target.samples, plain.samples, strict=True):
        assert target.stamp(sample) == plain.stamp(labelled)
        assert target.read(sample).digest() == plain.read(labelled).digest()
        assert target.read(sample).image().tobytes() == plain.read(labelled).image().tobytes()


def test_the_order_does_not_depend_on_the_folders(tmp_path: Path) -> None:
    """Labels interleave classes in the order of other data; a target's are not looked at."""
    samples = load_target(write_folder(tmp_path / "mine", classes=4, each=8)).samples
    flat = write_images(tmp_path / "flat", *(f"{number:03d}.png" for number in range(32)))
    without = load_dataset(f"imagefolder:{flat}").samples
    assert processing_order(samples, 3).tolist() == processing_order(without, 3).tolist()


def test_names_are_distinct_and_safe(tmp_path: Path) -> None:
    suite = load_suite("miniature")
    folders = ("V2", "a/my own:photos", "b/my own:photos", "c/my own:photos")
    sources = [*(write_folder(tmp_path / folder) for folder in folders), "miniature:v2"]
    result = with_targets(suite, [load_target(source) for source in sources])
    assert result.targets == (
        "V2-target", "my-own-photos", "my-own-photos-target", "my-own-photos-target-2",
        "v2-target-2",
    )  # fmt: skip
    assert list(result.sets)[: len(suite.sets)] == list(suite.sets)
    assert result.sets["v2"].classes
    assert not result.sets["v2-target-2"].classes
    assert len({name.casefold() for name in result.sets}) == len(result.sets)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("imagefolder:/nowhere/at/all", "does not exist"),
        ("nonsense:x", "unknown data source"),
        ("miniature", "it has 6 sets; name one of them"),
        ("miniature:nonsense", "no set 'nonsense'"),
        (f"{'x' * 300}.tar", "unknown data source"),
        ("", "unknown data source"),
    ],
)
def test_a_source_that_cannot_be_used_is_named_with_its_option(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_target(source)
    assert str(caught.value).startswith(f"--target {source}: ")
    assert caught.value.exit_code == 4

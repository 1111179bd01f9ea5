"""Folders and `--classes` find the rows of a head, or every class that does not is listed."""

from pathlib import Path

import pytest

from tuiprobe.catalog.class_names import (
    imagenet_names,
    imagenet_wnids,
    index_of_each,
    joined_classes,
    match_classes,
    read_classes,
    written_classes,
)
from tuiprobe.errors import UsageError

NAMES, IDS = imagenet_names(), imagenet_wnids()


def test_imagenets_classes_are_known_by_every_name_and_by_id() -> None:
    folders = {
        "tench": 0, "N01443537": 1, "great_white_shark": 2, "White Shark": 2,
        "Golden-Retriever": 207,
        "crane bird": 134, "t-shirt": 610, "hotdog": 934, "tench, Tinca tinca": 0,
        "n02012849 crane": 134, "crayfish": 124, "one-piece bathing suit": 639,
    }  # fmt: skip
    for rows in (NAMES, IDS):
        places = match_classes(list(folders), rows).known
        assert dict(zip(folders, places, strict=True)) == folders
    assert match_classes(IDS, NAMES).indices == tuple(range(1000))
    few = match_classes(["n01440764", "dog_house"], ["cat", "dog house", "tench"])
    assert few.indices == (2, 1)


def test_what_has_no_row_several_rows_or_one_twice_is_listed() -> None:
    classes = [
        "great_white_shrak",
        "crane",
        "maillot",
        "missile",
        "Cardigan",
        "Tench",
        "tench",
        "x",
    ]
    matched = match_classes(classes, NAMES)
    assert matched.indices is None
    first, *rest = matched.problems().split("; ")
    assert first.startswith("'great_white_shrak' is not a class of the head (great white shark")
    assert rest[:3] == [
        "'crane' is 2 classes of the head: name it n02012849 (crane bird) or "
        "n03126707 (construction crane)",
        "'maillot' is 2 classes of the head: name it n03710637 (tights) or "
        "n03710721 (one-piece bathing suit)",
        "'missile' is 2 classes of the head: name it n03773504 (missile) or n04008634 (projectile)",
    ]
    assert rest[4] == "and 2 more"
    assert "'Tench' and 'tench' are the same class" in match_classes(classes[5:], NAMES).problems()
    own = match_classes(["C++", "c", "kite"], ["c", "c++", "kite (toy)"])
    assert (own.known, own.problems()) == ((1, 0, None), "'kite' is not a class of the head")


def test_a_list_in_another_order_is_matched_by_name_or_refused() -> None:
    assert index_of_each(["n01440764", "n01443537"], ["goldfish", "tench"]) == (1, 0)
    assert index_of_each(IDS[:3], [f"Klasse {i}" for i in range(1000)]) == (0, 1, 2)
    assert index_of_each(["cat", "cow", "dog"], ["cat", "cow", "hound"]) == (0, 1, 2)
    for names, problem in (
        (["cat", "dgo", "cow"], r"'dog' is not a class of --classes"),
        (["cat", "cow"], r"holds 2 class names for 3 classes .*: 'dog' is not a class of --cl"),
        (["x", "y"], "holds 2 class names for 3 classes of the data; give one per class"),
    ):
        with pytest.raises(UsageError, match=problem):
            index_of_each(["cat", "cow", "dog"], names)
    with pytest.raises(UsageError, match="'n03773504' is 2 classes of --classes"):
        index_of_each(IDS, sorted(NAMES))  # two of them are called missile


def test_names_are_read_from_a_file_or_between_commas(tmp_path: Path) -> None:
    path = tmp_path / "my, classes.txt"
    path.write_bytes(b"\xef\xbb\xbfn02012849\r\n\r\nfire truck\r\nn01440764 tench, Tinca tinca\r\n")
    assert read_classes(path) == ("crane bird", "fire truck", "tench")
    assert read_classes("n03126707, fire truck,,cat") == ("construction crane", "fire truck", "cat")
    assert read_classes("n04008634,n03773504") == ("projectile", "missile")
    with pytest.raises(UsageError, match="'n99999999' is not one of ImageNet's 1,000 synset ids"):
        read_classes("cat,n99999999")
    with pytest.raises(UsageError, match=r"cannot read class names from tench: .*No such file"):
        read_classes("tench")


def test_a_list_of_names_is_taken_however_long_it_is() -> None:
    names = tuple(f"class number {number}" for number in range(60))  # more than a path may have
    assert written_classes(joined_classes(names)) == names
    assert written_classes(", ".join(names)) == names
    with pytest.raises(UsageError, match="'bus, red' is no name, or contains a comma"):
        joined_classes(["bus, red"])
    for unordered in ({"cat", "dog"}, {0: "cat"}.values(), dict.fromkeys("ab"), (n for n in "ab")):
        with pytest.raises(UsageError, match="has no order"):
            joined_classes(unordered)  # type: ignore[arg-type]

"""Class names of ImageNet and its kin."""

from hypothesis import given
from hypothesis import strategies as st

from tuiprobe.catalog.class_names import (
    imagenet_labels,
    imagenet_names,
    imagenet_wnids,
    prompt_names,
)


def test_known_labels() -> None:
    wnids = imagenet_wnids()
    assert len(set(wnids)) == 1000
    assert list(wnids) == sorted(wnids)
    # Labels that every ImageNet user knows: 0 tench, 207 golden retriever, 999 toilet paper.
    names = imagenet_names()
    assert (names[0], names[207].lower(), names[999]) == (
        "tench",
        "golden retriever",
        "toilet paper",
    )
    assert (wnids[207], wnids[999]) == ("n02099601", "n15075141")


@given(st.sets(st.integers(0, 999), min_size=1))
def test_any_subset_of_the_wordnet_ids_is_understood(labels: set[int]) -> None:
    wnids = imagenet_wnids()
    chosen = sorted(labels)
    assert imagenet_labels([wnids[i] for i in chosen]) == tuple(chosen)
    assert prompt_names([wnids[i] for i in chosen])[0] == imagenet_names()[chosen[0]]


def test_index_folders_in_string_order_keep_their_labels() -> None:
    """1, 10, 100, 2: the trap of ImageNet-V2's folders."""
    folders = sorted(str(i) for i in range(1000))
    labels = imagenet_labels(folders)
    assert labels[:4] == (0, 1, 10, 100)
    assert prompt_names(folders)[3] == imagenet_names()[100]


def test_names_in_label_order_are_labels_and_in_another_order_are_not() -> None:
    from timm.data import ImageNetInfo
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    info = ImageNetInfo("imagenet-1k")
    wordnet = [info.index_to_description(label) for label in range(1000)]
    for names in (imagenet_names(), wordnet, _IMAGENET_CATEGORIES):
        assert imagenet_labels(names) == tuple(range(1000))
        assert imagenet_labels(sorted(names)) is None
        assert imagenet_labels(names[:999]) is None
        assert imagenet_labels([*names[1:], names[0]]) is None


def test_others_keep_their_own_names() -> None:
    assert imagenet_labels(["0", "1"]) is None
    assert imagenet_labels([]) is None
    assert prompt_names(["fire_truck", "cat"]) == ("fire truck", "cat")

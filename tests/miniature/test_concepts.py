import numpy as np

from tuiprobe.miniature import data, world

BY_NUMBER = {c.number: c for c in data.CONCEPTS}


def test_the_labelled_object_is_in_its_mask() -> None:
    visible = 0
    for index in range(0, 4000, 50):
        name = world.CLASS_NAMES[world.label("concepts", index)]
        number = next(c.number for c in data.CONCEPTS if (c.category, c.name) == ("object", name))
        visible += bool((data.masks(world.scene("concepts", index))["object"] == number).any())
    assert visible == 80


def test_masks_fit_the_pixels() -> None:
    """Where the mask says red, the picture is redder than where it says blue, and so on."""
    mean: dict[str, list[np.ndarray]] = {}
    for index in range(0, 4000, 40):
        pixels = world.render("concepts", index).reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
        mask = data.masks(world.scene("concepts", index))["color"]
        for number in set(np.unique(mask)) - {0}:
            mean.setdefault(BY_NUMBER[int(number)].name, []).append(pixels[mask == number].mean(0))
    color = {name: np.mean(rows, axis=0) for name, rows in mean.items()}
    assert color["red-c"][0] > color["red-c"][1:].max() + 40
    assert color["blue-c"][2] > color["blue-c"][:2].max() + 20
    assert color["green-c"][1] > color["green-c"][[0, 2]].max()
    assert color["white-c"].min() > color["gray-c"].max() > color["black-c"].max()


def test_shares_count_the_masks_and_mark_whole_images() -> None:
    shares = data.pixel_shares([5, 900])
    assert shares.shape == (2, len(data.CONCEPTS))
    mask = data.masks(world.scene("concepts", 900))["object"]
    number = int(mask.max())
    assert shares[1, number - 1] == np.float32((mask == number).mean())
    for row, index in enumerate((5, 900)):
        whole = data.image_labels(world.scene("concepts", index))
        assert set(whole) == {"scene", "texture"}
        assert all(shares[row, n - 1] == 1 for n in whole.values())

"""The user's CSV of accuracies: what is read, and what is refused where."""

from __future__ import annotations

import pytest

from tuiprobe.catalog.accuracies import SHIFTS, read_own_baseline
from tuiprobe.errors import UsageError


def read(text: str) -> list:
    return read_own_baseline(text, "mine.csv", "imagenet", SHIFTS)


def test_columns_are_found_by_name_and_empty_cells_are_unknown() -> None:
    rows = read(
        "\ufeffnote,model,imagenet_r,imagenet,imagenet_on_r_classes,imagenet_v2\n"
        '"a, b",resnet50,0.36,0.761,0.92,\n\nx,vit,,0.8,,0.7\n'
    )
    assert [row.model for row in rows] == ["resnet50", "vit"]
    assert rows[0].imagenet == 0.761
    assert rows[0].shifts == dict.fromkeys(SHIFTS) | {"imagenet_r": 0.36}
    assert rows[0].own_classes["imagenet_r"] == 0.92
    assert rows[1].own_classes["imagenet_r"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"mine\.csv lacks the column 'model'"),
        ("model,val\nx,0.5\n", "lacks the column 'imagenet'"),
        ("model,imagenet,v2\nx,0.5,0.4\n", "imagenet_v2 or imagenet_r"),
        ("model,imagenet,imagenet_r\n", "no model"),
        ("model,imagenet,imagenet_r\nx,76.1,36\n", "line 2, column 'imagenet': '76.1'"),
        ("model,imagenet,imagenet_r\nx,0.5,nan\n", "column 'imagenet_r': 'nan'"),
        ("model,imagenet,imagenet_r\nx,0.5,high\n", "'high' is no accuracy"),
        ("model,imagenet,imagenet_r\n\n,0.5,0.4\n", "line 3: column 'model' is empty"),
        ("model,imagenet,imagenet,imagenet_r\nx,0.5,0.5,0.4\n", "'imagenet' twice"),
        ("model,imagenet,imagenet_v2\n" + "m,0.5,0.5\n" * 500_000, "larger than 4,194,304 byt"),
    ],
    ids=range(10),
)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(text)

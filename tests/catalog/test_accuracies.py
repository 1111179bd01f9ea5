"""The published tables and the specs that their rows carry, and a user's own table."""

import pytest

from tuiprobe.catalog.accuracies import (
    SHIFTS,
    ModelAccuracies,
    published_row,
    read_baseline_csv,
    rows,
)
from tuiprobe.catalog.presets import presets
from tuiprobe.catalog.published_models import all_published, published
from tuiprobe.errors import UsageError


def test_all_rows_are_there() -> None:
    tables = [row.table for row in rows()]
    assert [tables.count(t) for t in ("open_clip", "timm", "testbed")] == [121, 1557, 335]


def test_every_spec_loads_a_published_model() -> None:
    specs = {row.spec for row in rows() if row.spec}
    assert {s.partition("@")[0] for s in specs} <= set(all_published())
    assert all(row.spec == "" for row in rows() if row.table == "testbed")


def test_rows_carry_the_activation_they_were_measured_with() -> None:
    by_name = {(row.model, row.tag): row for row in rows()}
    assert by_name["ViT-B-16", "openai"].spec == "open_clip:ViT-B-16-quickgelu/openai"
    wrong = [row for row in rows() if "wrong activation" in row.note]
    assert len(wrong) == 5
    assert {row.spec.partition("@")[2] for row in wrong} == {"gelu"}
    # Every other open_clip row loads a model built with the activation of its weights.
    for row in rows():
        model = published(row.spec)
        if row.table == "open_clip" and row not in wrong and model is not None:
            assert not model.quickgelu or "quickgelu" in model.architecture


@pytest.mark.parametrize("name", [n for n, p in presets().items() if p.tag is not None])
def test_presets_have_published_accuracies(name: str) -> None:
    preset = presets()[name]
    row = published_row(preset.spec, preset.size)
    assert row is not None
    assert row.imagenet is not None
    assert row.note == ""


def read(text: str) -> list[ModelAccuracies]:
    return read_baseline_csv(text, "mine.csv", "imagenet", SHIFTS)


def test_columns_are_found_by_name_and_empty_cells_are_unknown() -> None:
    first, second = read(
        "\ufeffnote,model,imagenet_r,imagenet,imagenet_on_r_classes,imagenet_v2\n"
        '"a, b",resnet50,0.36,0.761,0.92,\n\nx,vit,,0.8,,0.7\n'
    )
    assert (first.model, second.model) == ("resnet50", "vit")
    assert first.imagenet == 0.761
    assert first.shifts == dict.fromkeys(SHIFTS) | {"imagenet_r": 0.36}
    assert [row.on_shift_classes["imagenet_r"] for row in (first, second)] == [0.92, None]


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_what_is_wrong_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(text)

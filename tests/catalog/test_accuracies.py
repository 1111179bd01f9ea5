"""The published tables and the specs that their rows carry."""

import pytest

from tuiprobe.catalog.accuracies import published_row, rows
from tuiprobe.catalog.published_models import all_published, presets, published


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
    assert row.imagenet is not None
    assert row.note == ""

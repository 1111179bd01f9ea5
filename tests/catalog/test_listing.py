"""What `tuiprobe models` lists."""

from itertools import islice

from tuiprobe.catalog.model_list import listed
from tuiprobe.catalog.presets import presets


def test_presets_come_first_and_the_cursor_is_on_mini_clip() -> None:
    first = list(islice(listed(), len(presets())))
    assert [row.name for row in first] == list(presets())
    assert first[0].name == "mini_clip"
    assert first[0].cached == "yes"
    by_name = {row.name: row for row in first}
    assert by_name["rn101_cc12m"].cached == "none"
    assert by_name["rn101_cc12m"].imagenet is None
    openai = by_name["vitb16_openai"]
    assert openai.imagenet == 0.6834
    assert openai.robustness is not None
    assert round(openai.robustness, 2) == 0.33


def test_every_published_model_is_there_but_those_that_would_be_wrong() -> None:
    rows = list(listed())
    specs = [row.name for row in rows]
    assert len(specs) == len(set(specs))
    assert "timm:resnet50.a1_in1k" in specs
    assert "open_clip:ViT-B-16-quickgelu/openai" in specs
    assert "open_clip:ViT-B-16/openai" not in specs
    assert len(rows) > 2000

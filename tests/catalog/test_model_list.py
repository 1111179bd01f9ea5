"""What `tuiprobe models` lists, and what a run will download, told before it starts."""

from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError

from tuiprobe.catalog import model_list
from tuiprobe.catalog.model_list import download_words, list_models, missing_weights
from tuiprobe.catalog.published_models import presets
from tuiprobe.measure.run.status import Event
from tuiprobe.models.loaders.published_weights import with_sizes
from tuiprobe.request import make_spec
from tuiprobe.show.narration import announce_downloads

TWO = ["vitb16_openai", "vitb32_openai"]


@pytest.fixture(autouse=True)
def nothing_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_list, "cached_file", lambda model: None)


def test_one_total_says_what_is_known_and_what_is_not() -> None:
    towers = [missing.tower for missing in missing_weights(TWO)]
    assert None not in towers
    assert len(set(towers)) == 2
    unknown, *timm = "open_clip:RN50-quickgelu/openai", "timm:resnet50.a1_in1k@288"
    sentence = download_words(missing_weights([*TWO, "mini_clip", unknown, *TWO]))
    assert sentence == (
        f"the weights of vitb16_openai, vitb32_openai, {unknown} are not on this "
        "machine: the start downloads them, at least 696 MB (image towers in float32); the size of "
        f"{unknown} is unknown"
    )
    (resnet,) = missing_weights(timm)
    assert resnet.tower == pytest.approx(102_228_128, rel=1e-3)  # 25,557,032 parameters


def test_the_hub_tells_the_size_of_what_it_has_and_is_left_alone_once_it_fails(monkeypatch):
    requested: list[str] = []

    def metadata(url: str, timeout: float) -> SimpleNamespace:
        requested.append(url)
        if url.endswith("open_clip_model.safetensors"):
            raise EntryNotFoundError("404")
        if "down" in url:
            raise TimeoutError
        return SimpleNamespace(size=605_000_000)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    hub = "open_clip:hf-hub:me"
    assert download_words(with_sizes(missing_weights([f"{hub}/clip"]))) == (
        f"the weights of {hub}/clip are not on this machine: the start downloads them, 605 MB"
    )
    assert [url.rpartition("/")[2] for url in requested] == [
        "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
    ]  # fmt: skip
    models = [f"{hub}/clip", f"{hub}/down", "timm:hf-hub:me/other"]
    assert download_words(with_sizes(missing_weights(models))).endswith(
        f"at least 605 MB; the size of {hub}/down, timm:hf-hub:me/other is unknown"
    )
    assert not any("other" in url for url in requested)


def test_what_is_here_or_has_no_published_weights_is_not_downloaded(monkeypatch):
    assert missing_weights(["mini_clip", "py:a:b"]) == []
    monkeypatch.setattr(model_list, "cached_file", lambda model: Path("x"))
    assert missing_weights(TWO) == []
    assert download_words([]) == ""


def test_a_run_without_screens_says_so_before_it_starts() -> None:
    events: list[Event] = []
    announce_downloads([make_spec(item, "miniature", {}) for item in TWO], events.append)
    assert [(item.kind, item.message) for item in events] == [
        ("stage", download_words(missing_weights(TWO)))
    ]
    for options in ({"offline": True}, {"checkpoint": "w.pt"}):
        announce_downloads([make_spec("vitb16_openai", "miniature", options)], events.append)
    announce_downloads([make_spec(None, None, {})], events.append)
    assert len(events) == 1


def test_presets_come_first_and_the_cursor_is_on_mini_clip() -> None:
    first = list(islice(list_models(), len(presets())))
    assert [row.name for row in first] == list(presets())
    assert first[0].name == "mini_clip"
    assert first[0].cached == "yes"
    by_name = {row.name: row for row in first}
    assert by_name["rn101_cc12m"].cached == "none"
    assert by_name["rn101_cc12m"].imagenet is None
    openai = by_name["vitb16_openai"]
    assert openai.imagenet == 0.6834
    assert (openai.shifts["imagenet_v2"], openai.shifts["objectnet"]) == (0.6188, 0.5531)
    assert openai.robustness is not None
    assert round(openai.robustness, 2) == 0.33


def test_every_published_model_is_there_but_those_that_would_be_wrong() -> None:
    rows = list(list_models())
    specs = [row.name for row in rows]
    assert len(specs) == len(set(specs))
    assert "timm:resnet50.a1_in1k" in specs
    assert "open_clip:ViT-B-16-quickgelu/openai" in specs
    assert "open_clip:ViT-B-16/openai" not in specs
    assert len(rows) > 2000

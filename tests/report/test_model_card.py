"""The section for a model card: metadata that the hub reads, and nothing that a name obeys."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard, ModelCardData

from tests.report.samples import model, report
from tests.report.samples_head import head_report
from tests.report.test_hostile_fields import HOSTILES, in_report, inert, skeleton
from tuiprobe.plaintext import plain
from tuiprobe.report.markdown import model_card


def read(text: str) -> ModelCardData:
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    return data


def test_the_hub_reads_the_figures() -> None:
    found = head_report()
    results = read(model_card(found)).eval_results
    assert results is not None
    by_name = {(one.dataset_name, one.metric_type): one for one in results}
    top1 = found.figure("top1", "val")
    told = by_name["val", "accuracy"]
    assert told.metric_value == pytest.approx(top1.value, rel=1e-5)
    assert told.metric_name == "top-1 (95 % interval 69 to 80 %)"
    assert told.dataset_type == "imagefolder:/data/val"
    assert told.task_type == "image-classification"
    assert by_name["val", "kurtosis"].metric_value == found.figure("kurtosis").value


def test_a_mean_is_not_filed_under_one_set() -> None:
    results = read(model_card(head_report())).eval_results or []
    accuracies = [one.dataset_name for one in results if one.metric_type == "accuracy"]
    assert len(accuracies) == len(set(accuracies))


def test_the_section_has_answer_figures_and_command() -> None:
    spec = {"model": "mini_clip", "data": "miniature"}
    text = model_card(head_report().model_copy(update={"spec": spec}))
    assert "> - **Warning:** 1 image skipped" in text
    assert "### Inside" in text
    assert "| figure | of | value (95 % interval) |" in text
    assert "`tuiprobe --headless --model mini_clip" in text


def test_an_untrained_network_is_called_so() -> None:
    weights = model().weights.model_copy(update={"kind": "untrained"})
    assert "## Probed with tuiprobe\n\nUNTRAINED" in model_card(
        report(model=model(weights=weights))
    )


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILES, ids=range(len(HOSTILES)))
def test_a_hostile_name_stays_data(text: str) -> None:
    found, harmless = (model_card(in_report(one)) for one in (text, "Harmless"))
    assert inert(found)
    name = read(harmless).model_name
    assert name is not None
    assert read(found).model_name == name.replace("Harmless", plain(text))
    body, expected = (one.split("\n---\n", 1)[1] for one in (found, harmless))
    assert skeleton(body) == skeleton(expected)

"""The section for a model card: metadata that the hub reads, and nothing that a name obeys."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard, ModelCardData

from tests.report.samples_head import head_report
from tuiprobe.report.markdown import model_card


def read(text: str) -> ModelCardData:
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    return data


def test_the_hub_reads_the_figures() -> None:
    result = head_report()
    results = read(model_card(result)).eval_results
    assert results is not None
    by_name = {(item.dataset_name, item.metric_type): item for item in results}
    top1 = result.figure("top1", "val")
    message = by_name["val", "accuracy"]
    assert message.metric_value == pytest.approx(top1.value, rel=1e-5)
    assert message.metric_name == "top-1 (95 % over images: 69 to 80 %)"
    assert message.dataset_type == "imagefolder:/data/val"
    assert message.task_type == "image-classification"
    assert by_name["val", "kurtosis"].metric_value == result.figure("kurtosis").value
    accuracies = [item.dataset_name for item in results if item.metric_type == "accuracy"]
    assert len(accuracies) == len(set(accuracies))  # a mean is not filed under one set
    text = model_card(result.model_copy(update={"spec": {"model": "mini_clip", "data": "x"}}))
    for words in (
        "> - **Warning:** 1 image skipped", "### Inside", "| figure | of | value | range |",
        "`tuiprobe --headless --model mini_clip",
    ):  # fmt: skip
        assert words in text


def test_a_figure_among_few_classes_says_so() -> None:
    made = head_report()
    parts = tuple(
        part.model_copy(
            update={
                "figures": tuple(
                    each.model_copy(update={"classes": 5, "of_classes": 1000})
                    if each.id == "top1"
                    else each
                    for each in part.figures
                )
            }
        )
        for part in made.parts
    )
    text = model_card(made.model_copy(update={"parts": parts}))
    results = read(text).eval_results or []
    names = [one.metric_name or "" for one in results if one.metric_type == "accuracy"]
    assert names
    assert all("among 5 of 1,000 classes" in name for name in names)
    (row, *_) = (line for line in text.splitlines() if line.startswith("| top-1"))
    assert "among 5 of 1,000 classes" in row

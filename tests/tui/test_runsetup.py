"""The setup of a run as plain data: options, problems, command, directory, preview."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.tui.child_answers import PREVIEW, TRIAL, image_set
from tuiprobe.request import OF_EMBEDDINGS, OF_IMAGES
from tuiprobe.spec import run_option
from tuiprobe.tui import run_preview, runsetup
from tuiprobe.tui.runsetup import Setup


def test_the_command_line_says_what_differs_from_the_defaults() -> None:
    plain = ["--headless", "--model", "mini_clip", "--data", "miniature"]
    assert Setup(("mini_clip",)).options() == plain
    full = Setup(
        ("a", "b"),
        {
            "data": "imagefolder:my photos", "sample": "64", "layers": "layer* fc",
            "target": "'imagefolder:my own' miniature:street", "concepts": "broden:x",
            "baseline": "b.csv", "concept_sample": "9",
            "tokens": "mean", "device": "cuda:1", "dtype": "bfloat16", "batch_size": "8",
            "head": "probe", "classes": "c.txt", "templates": "t.txt", "offline": "yes",
        },
    )  # fmt: skip
    words = full.options()
    assert words.count("--model") == 2
    assert words.count("--layers") == 2
    for pair in (
        ("--tokens", "mean"), ("--device", "cuda:1"), ("--batch-size", "8"),
        ("--target", "imagefolder:my own"), ("--target", "miniature:street"),
        ("--concepts", "broden:x"), ("--baseline", "b.csv"), ("--concept-sample", "9"),
    ):  # fmt: skip
        assert pair in pairwise(words)
    assert words[-1] == "--offline"


def test_vectors_take_the_place_of_model_and_data() -> None:
    setup = Setup(
        ("mini_clip",),
        {"embeddings": "img_emb/*.npy", "data": "imagefolder:x", "layers": "layer*",
         "labels": "l.txt", "training": "zero-shot", "target_embeddings": "a.npy b.npy"},
    )  # fmt: skip
    words = setup.options()
    assert words == [
        "--headless", "--embeddings", "img_emb/*.npy", "--labels", "l.txt", "--training",
        "zero-shot", "--target-embeddings", "a.npy", "--target-embeddings", "b.npy",
    ]  # fmt: skip
    assert not {*setup.asked} & {"data", *OF_IMAGES}
    assert not {*Setup(("m",)).asked} & {*OF_EMBEDDINGS}
    assert setup.directory(Path("runs")).name.startswith("img_emb-embeddings-")


def test_a_value_that_is_the_default_is_left_out() -> None:
    plain = Setup(("m",)).options()
    for name in (*runsetup.FIRST, *runsetup.MORE):
        option = run_option(name)
        if name != "data" and option.default is not None and not option.many:
            text = runsetup.first_text(option) or str(option.default)
            assert Setup(("m",), {name: text}).options() == plain, name


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"data": " "}, "data", "name a data set"),
        ({"sample": "many"}, "sample", "give a whole number at least 1, 0 for all"),
        ({"batch_size": "0"}, "batch_size", "give a whole number at least 1"),
        ({"device": "gpu"}, "device", "give auto, cpu, cuda, cuda:N or mps"),
        ({"dtype": "float64"}, "dtype", "give one of float32"),
        ({"target": "'imagefolder:x"}, "target", "a quote is not closed"),
        ({"sample": "0", "batch_size": "32", "device": "cuda:0"}, "", ""),
        ({"device": "mps"}, "", ""),
        ({"embeddings": "x.npy", "data": "", "sample": "many"}, "", ""),
        ({}, "", ""),
    ],
)
def test_a_problem_is_named_at_its_field_before_the_run(
    change: dict[str, str], field: str, word: str
) -> None:
    problems = Setup(("a",), change).problems()
    assert list(problems) == ([field] if field else [])
    assert problems.get(field, "").startswith(word)
    assert "checkpoint" in Setup(("a", "b"), {"checkpoint": "w.pt"}).problems()


def test_the_same_measurement_goes_to_the_same_directory() -> None:
    place = Setup(("mini_clip",), {"sample": "64"}).directory(Path("runs"))
    assert place == Setup(("mini_clip",), {"sample": "64"}).directory(Path("runs"))
    assert place == Setup(("mini_clip",), {"sample": "64", "offline": "yes"}).directory(
        Path("runs")
    )
    assert place != Setup(("mini_clip",), {"sample": "65"}).directory(Path("runs"))
    hostile = Setup(("../../x",), {"data": "imagefolder:/a/../\n;rm"}).directory(Path("runs"))
    assert hostile.parent == Path("runs")
    assert hostile.name.isprintable()


# What is known before the start.


@pytest.mark.parametrize(
    ("trial", "classes", "reason"),
    [
        (TRIAL, 0, "no class names; name a file of them under classes"),
        (None, 0, "no class names; name a file of them under classes"),  # of a CLIP known at once
        ({**TRIAL, "text": None}, 0, "the model brings no head; name one under head"),
        ({**TRIAL, "text": None, "head": {"classes": 40}}, 0, ""),
        (TRIAL, 40, ""),
    ],
)
def test_a_run_without_answers_says_so_first_and_on_its_button(
    trial: Any, classes: int, reason: str
) -> None:
    role = "labelled" if classes else "unlabelled"
    sets = [image_set("pics", 12, role, classes=classes, notes=["a note"])]
    contents = {**PREVIEW, "sets": sets, "images": {"mini_clip": 12}}
    preview = run_preview.RunPreview(Setup(("mini_clip",)), contents, trial, {}, "downloads")
    first = f"! no answers: {reason}" if reason else "! downloads"
    lines = preview.lines("", "! the trial failed")
    assert lines[0] == first
    warnings = lines[: lines.index("DATA")]
    assert {"! downloads", "! a note", "! the trial failed"} <= set(warnings)
    start = "! start without answers" if reason else "start"
    assert preview.start_words == f"{start}: 12 images"


def probes(
    texts: dict[str, str] | None = None, trial: Any = TRIAL, **changes: Any
) -> tuple[str, str]:
    """Returns the line of the probes that run, and all other lines."""
    first, *others = run_preview.probe_lines(
        Setup(("m",), texts or {}), trial, {**PREVIEW, **changes}
    )
    return first, "\n".join(others)


def test_heads_of_a_thousand_classes_need_not_be_asked_for_if_prompts_are_not_padded() -> None:
    first, _ = probes(templates=80, sets=[image_set("val", 9, classes=1000)])
    assert "Privileged directions" in first


def test_every_probe_is_told_and_why_it_will_not_run() -> None:
    first, others = probes()
    assert first == ("✓ Outlier features, Privileged directions, Accuracy on your images, Concepts")
    assert "✓ Channel ablation, if a channel stands out" in others
    assert "… blur: only this package's probe knows" in others


@pytest.mark.parametrize(
    ("texts", "trial", "changes", "parts"),
    [
        ({}, TRIAL, {"sets": [image_set("x", 9, "unlabelled")]},
         ("Channel ablation: no class names",
          "Concepts: no concept set")),
        ({}, {**TRIAL, "text": None}, {}, ("the model brings no head; name one",)),
        ({"head": "probe"}, TRIAL, {"sets": [image_set("x", 9, "unlabelled")]},
         ("head probe takes labelled images",)),
        ({}, {**TRIAL, "text": {"templates": 80, "padded": True}},
         {"sets": [image_set("val", 9, classes=1000)]},
         ("80,000 prompts take a CPU hours; zero-shot under head",)),
        ({"embeddings": "x.npy"}, None, {}, ("vectors bring no head; name a file under head",)),
        ({}, None, {},
         ("… Privileged directions, Accuracy on your images, Channel ablation: known once",)),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(
    texts: dict[str, str], trial: Any, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    first, others = probes(texts, trial, **changes)
    for part in parts:
        assert part in others, others
    assert first.startswith("✓ Outlier features")

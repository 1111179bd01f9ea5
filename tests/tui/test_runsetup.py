"""The setup of a run as plain data: options, problems, command, directory, outlook."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.tui.asked import FOUND, TRIAL, one_set
from tuiprobe.spec import OF_EMBEDDINGS, OF_IMAGES, run_option
from tuiprobe.tui import outlook, runsetup
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
    one = Setup(
        ("mini_clip",),
        {"embeddings": "img_emb/*.npy", "data": "imagefolder:x", "layers": "layer*",
         "labels": "l.txt", "training": "zero-shot", "target_embeddings": "a.npy b.npy"},
    )  # fmt: skip
    words = one.options()
    assert words == [
        "--headless", "--embeddings", "img_emb/*.npy", "--labels", "l.txt", "--training",
        "zero-shot", "--target-embeddings", "a.npy", "--target-embeddings", "b.npy",
    ]  # fmt: skip
    assert not {*one.asked} & {"data", *OF_IMAGES}
    assert not {*Setup(("m",)).asked} & {*OF_EMBEDDINGS}
    assert one.directory(Path("runs")).name.startswith("img_emb-embeddings-")


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
        ({"sample": "-3"}, "sample", "give a whole number"),
        ({"concept_sample": "1.5"}, "concept_sample", "give a whole number"),
        ({"batch_size": "0"}, "batch_size", "give a whole number at least 1"),
        ({"device": "gpu"}, "device", "give auto, cpu, cuda, cuda:N or mps"),
        ({"device": "cuda:x"}, "device", "give auto, cpu, cuda, cuda:N or mps"),
        ({"dtype": "float64"}, "dtype", "give one of float32"),
        ({"target": "'imagefolder:x"}, "target", "a quote is not closed"),
        ({"sample": "0", "batch_size": "32", "device": "cuda:0"}, "", ""),
        ({"device": "auto"}, "", ""),
        ({"device": "mps"}, "", ""),
        ({"embeddings": "x.npy", "data": "", "sample": "many"}, "", ""),
        ({}, "", ""),
    ],
)
def test_a_problem_is_named_at_its_field_before_the_run(
    change: dict[str, str], field: str, word: str
) -> None:
    found = Setup(("a",), change).problems()
    assert list(found) == ([field] if field else [])
    assert found.get(field, "").startswith(word)
    assert "checkpoint" in Setup(("a", "b"), {"checkpoint": "w.pt"}).problems()


def test_the_same_measurement_goes_to_the_same_directory() -> None:
    one = Setup(("mini_clip",), {"sample": "64"}).directory(Path("runs"))
    assert one == Setup(("mini_clip",), {"sample": "64"}).directory(Path("runs"))
    assert one == Setup(("mini_clip",), {"sample": "64", "offline": "yes"}).directory(Path("runs"))
    assert one != Setup(("mini_clip",), {"sample": "65"}).directory(Path("runs"))
    hostile = Setup(("../../x",), {"data": "imagefolder:/a/../\n;rm"}).directory(Path("runs"))
    assert hostile.parent == Path("runs")
    assert hostile.name.isprintable()


def test_a_preview_is_asked_for_typed_values_without_the_wrong_ones() -> None:
    texts = {"sample": "64", "target": "a b", "batch_size": "none", "offline": "yes"}
    asked = json.loads(Setup(("m",), texts).request(Path("runs"), {"m": "zero-shot"}))
    assert asked["options"]["sample"] == 64
    assert asked["options"]["target"] == ["a", "b"]
    assert asked["options"]["offline"] is True
    assert "batch_size" not in asked["options"]
    assert asked["run"] is None  # what is wrong has no directory
    assert asked["trained"] == {"m": "zero-shot"}


# What is said before the start.


PLAIN = Setup(("mini_clip",), {"head": "w.pt"})


def test_the_cost_grows_with_images_models_and_layers_and_shrinks_with_what_is_done() -> None:
    one = outlook.estimate([TRIAL], FOUND, PLAIN)
    assert one.images == 1550
    answers = outlook.SECONDS_TO_START + outlook.SECONDS_A_VALUE * 1550 * 128
    measuring = 15.5 * outlook.STATISTICS + 1550 * 0.004 / 2  # decoding shares four cores
    assert one.seconds == pytest.approx(answers + measuring)
    both = {**FOUND, "images": {"a": 1550, "b": 64}}
    layers = Setup(("a", "b"), {"head": "w.pt", "layers": "layer*"})
    two = outlook.estimate([TRIAL, TRIAL], both, layers)
    assert (two.images, two.disk > one.disk) == (1614, True)
    more = outlook.SECONDS_A_MODEL + 2 * outlook.SECONDS_A_LAYER  # one of each matches
    assert two.seconds - one.seconds == pytest.approx(
        more + 64 * (outlook.STATISTICS / 100 + outlook.SECONDS_A_VALUE * 128)
    )
    half = outlook.estimate([TRIAL], {**FOUND, "done": 775}, PLAIN)
    assert half.seconds == pytest.approx(answers + measuring / 2)
    assert half.lines()[0] == "1,550 images; 775 of them are measured"
    assert len(half.lines()) == 2


def test_a_gpu_waits_for_what_the_cores_decode() -> None:
    fast = {**TRIAL["cost"], "device": "cuda:0", "images_per_second": 1e4}
    found = {**FOUND, "images": {"m": 10**6}}
    cost = outlook.estimate([{**TRIAL, "cost": fast}], found, PLAIN)
    answers = outlook.SECONDS_A_VALUE * 128e6
    assert cost.seconds == pytest.approx(outlook.SECONDS_TO_START + answers + 10**6 * 0.004 / 4)


@pytest.mark.parametrize(
    ("texts", "trial", "found", "prompts"),
    [
        ({}, {}, {}, 40 * 8),
        ({"head": "zero-shot"}, {}, {"named": 10_000, "templates": 2}, 20_000),
        ({}, {}, {"named": 10_000, "templates": 2}, 0),  # so many only if they are asked for
        ({"head": "probe"}, {}, {}, 0),
        ({}, {"text": None}, {}, 0),
    ],
)
def test_prompts_of_a_zero_shot_head_are_counted(
    texts: dict[str, str], trial: dict[str, Any], found: dict[str, Any], prompts: int
) -> None:
    setup = Setup(("m",), texts)
    cost = outlook.estimate([{**TRIAL, **trial}], {**FOUND, **found}, setup)
    assert cost.prompts == prompts / 40
    without = outlook.estimate([TRIAL], FOUND, PLAIN)
    assert cost.seconds == pytest.approx(without.seconds + cost.prompts)
    told = [one for one in cost.lines() if "unless the head is cached" in one]
    assert len(told) == (prompts > 0)


def probes(
    texts: dict[str, str] | None = None, trial: Any = TRIAL, **found: Any
) -> tuple[str, str]:
    """Returns the line of the probes that run, and all other lines."""
    first, *others = outlook.probe_lines(Setup(("m",), texts or {}), trial, {**FOUND, **found})
    return first, "\n".join(others)


def test_every_probe_is_told_and_why_it_will_not_run() -> None:
    first, others = probes()
    assert first == (
        "✓ Outlier features, Privileged directions, Accuracy on your images, Both towers, Concepts"
    )
    assert "✓ Channel ablation, if a channel stands out" in others
    assert "- Forecast: too few models are published" in others
    assert "… blur: only this package's probe knows" in others


@pytest.mark.parametrize(
    ("texts", "trial", "found", "said"),
    [
        ({}, TRIAL, {"sets": [one_set("x", 9, "unlabelled")]},
         ("Privileged directions: no class names", "your images: no images under target",
          "Concepts: no concept set")),
        ({}, {**TRIAL, "text": None}, {}, ("directions: the model brings no head",)),
        ({}, {**TRIAL, "text": None, "head": {"classes": 40}}, {},
         ("Both towers: its head is no text tower's",)),
        ({"head": "probe"}, TRIAL, {"sets": [one_set("x", 9, "unlabelled")]},
         ("head probe takes labelled images",)),
        ({}, TRIAL, {"templates": 80, "sets": [one_set("val", 9, classes=1000)]},
         ("directions: 80,000 prompts take a CPU hours: head zero-shot",)),
        ({"embeddings": "x.npy"}, None, {}, ("directions: no head: name a file under head",)),
        ({}, None, {}, ("directions: known after the trial",)),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(
    texts: dict[str, str], trial: Any, found: dict[str, Any], said: tuple[str, ...]
) -> None:
    first, others = probes(texts, trial, **found)
    for part in said:
        assert part in others, others
    assert first.startswith("✓ Outlier features")


def test_what_was_asked_for_makes_a_head() -> None:
    many = {"templates": 80, "sets": [one_set("val", 9, classes=1000)]}
    for texts in ({"head": "zero-shot"}, {"head": "h.pt"}):
        assert "Privileged directions" in probes(texts, **many)[0]
    cuda = {**TRIAL, "cost": {"images_per_second": 100.0, "device": "cuda:0"}}
    assert "Privileged directions" in probes({}, cuda, **many)[0]
    flat = [one_set("x", 9, "unlabelled")]
    assert "Privileged directions" in probes({"classes": "c.txt"}, sets=flat, named=3)[0]

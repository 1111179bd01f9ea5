"""The setup of a run as plain data: options, problems, command, directory, preview."""

from itertools import pairwise
from pathlib import Path

import pytest

from tuiprobe.show.tui import runsetup
from tuiprobe.show.tui.runsetup import Setup
from tuiprobe.spec import run_options


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
        "--headless", "--embeddings", "img_emb/*.npy", "--target-embeddings", "a.npy",
        "--target-embeddings", "b.npy", "--labels", "l.txt", "--training", "zero-shot",
    ]  # fmt: skip
    fits = {option.name: option.option.fits for option in run_options()}
    assert not {"data", "target"} & {*setup.used_options}
    assert "images" not in {fits[name] for name in setup.used_options}
    assert "vectors" not in {fits[name] for name in Setup(("m",)).used_options}
    assert setup.directory(Path("runs")).name.startswith("img_emb-embeddings-")


@pytest.mark.parametrize(
    "texts",
    [
        {"data": "imagefolder:my photos", "sample": "64", "layers": "layer* fc", "offline": "yes"},
        {"embeddings": "img_emb/*.npy", "target_embeddings": "a.npy 'b c.npy'", "data": ""},
        {"data": "--x", "target": "-a 'b c'"},
        {},
    ],
)
def test_a_command_line_reads_as_what_it_was_written_from(texts: dict[str, str]) -> None:
    setup = Setup(("a", "b"), texts)
    again = Setup.from_command(setup.line)
    assert again.options() == setup.options()
    assert again.directory(Path("runs")) == setup.directory(Path("runs"))


def test_a_value_that_is_the_default_is_left_out() -> None:
    plain = Setup(("m",)).options()
    for option in runsetup.OPTIONS.values():
        name = option.name
        images = option.option.fits != "vectors"
        if (
            name not in ("data", "model")
            and option.default is not None
            and not option.many
            and images
        ):
            text = option.first_text or str(option.default)
            assert Setup(("m",), {name: text}).options() == plain, name


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"data": " "}, "data", "name a data set"),
        ({"sample": "many"}, "sample", "give a whole number"),
        ({"device": "gpu"}, "device", "give auto, cpu, cuda, cuda:N or mps"),
        ({"target": "'imagefolder:x"}, "target", "a quote is not closed"),
        ({"sample": "0", "batch_size": "32", "device": "cuda:0"}, "", ""),
        ({"embeddings": "x.npy", "data": "", "sample": "many"}, "", ""),
        ({}, "", ""),
    ],
)
def test_a_problem_is_named_at_its_field_before_the_run(change, field, word):
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


def test_texts_that_are_wrong_are_left_out_of_the_question() -> None:
    setup = Setup(("mini_clip",), {"sample": "many", "layers": "a*"})
    words = setup.dry_run(Path("runs"))
    assert "--sample" not in words
    assert ("--layers", "a*") in pairwise(words)
    assert words[-2:] == ["--dry-run", "--json"]

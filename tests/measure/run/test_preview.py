"""What a run would do, as data and as lines: head, probes, layers, downloads."""

from typing import Any

import pytest

from tests.show.tui.child_answers import SETS, TRIAL, image_set, previewed
from tuiprobe.measure.run.preview import (
    Download,
    PlannedSet,
    Preview,
    Unknown,
    Wrong,
    preview_lines,
)
from tuiprobe.results import NotRun

CLIP = {"text": {"templates": 8, "padded": False}, "head": None}
SIGLIP = {"text": {"templates": 80, "padded": True}, "head": None}
SUPERVISED = {"text": None, "head": {"classes": 40}}
BARE = {"text": None, "head": None}
PICTURES = (image_set("pics", 12, "unlabelled"),)
THOUSAND = (image_set("val", 9, classes=1000),)
ROWS = (image_set("rows", 9, "unlabelled", channels=16),)
LABELLED_ROWS = (image_set("rows", 9, channels=16, classes=2),)


def outcomes(preview: Preview) -> dict[str, Any]:
    return {probe.id: probe.outcome for probe in preview.probes}


@pytest.mark.parametrize(
    ("options", "sets", "model", "expected"),
    [
        ({}, SETS, None, "yes"),
        ({}, SETS, CLIP, "yes"),
        ({}, PICTURES, None, "--classes names.txt"),  # of a CLIP known at once
        ({}, PICTURES, CLIP, "--classes names.txt"),
        ({}, PICTURES, BARE, "--labels FILE"),
        ({}, PICTURES, SUPERVISED, "yes"),
        ({"model": "timm:resnet18"}, SETS, None, "model"),
        ({"model": "timm:resnet18"}, SETS, BARE, "yes"),
        ({}, THOUSAND, None, "model"),
        ({}, THOUSAND, CLIP, "yes"),
        ({}, THOUSAND, SIGLIP, "--head zero-shot"),
        ({"head": "zero-shot"}, THOUSAND, SIGLIP, "yes"),
        ({"head": "probe"}, SETS, None, "yes"),
        ({"head": "some.pt"}, PICTURES, None, "yes"),
        ({"model": None, "embeddings": "x.npy"}, ROWS, None, "--head FILE"),
        ({"model": None, "embeddings": "x.npy"}, LABELLED_ROWS, None, "yes"),
        ({}, Unknown(depends_on="data"), None, "data"),
    ],
)  # fmt: skip
def test_whether_a_run_has_a_head_is_known_as_early_as_it_can_be(options, sets, model, expected):
    preview = previewed(options, sets=sets)
    if model is not None:
        preview = preview.with_model({**TRIAL, **model})
    head = preview.head
    if isinstance(head, Unknown):
        assert head.depends_on == expected
    else:
        assert expected == (head if head == "yes" else expected)
        assert head == "yes" or (isinstance(head, NotRun) and expected in head.remedy)
    headless = isinstance(head, NotRun)
    assert any(line.startswith("! no answers") for line in preview_lines([preview])) == headless


def test_every_probe_runs_or_has_a_reason_and_a_remedy() -> None:
    runs = outcomes(previewed())
    assert [id for id, outcome in runs.items() if outcome == "runs"] == [
        "outliers", "directions", "targets", "concepts",
    ]  # fmt: skip
    assert runs["ablation"] == Unknown(depends_on="channel")
    assert runs["blur"] == Unknown(depends_on="package")

    without = outcomes(previewed(sets=(image_set("val", 9),)))
    assert (without["concepts"].reason, without["concepts"].remedy) == (
        "no concept set", "pass --concepts broden:DIR",
    )  # fmt: skip
    assert "--target SOURCE" in without["targets"].remedy
    rows = outcomes(previewed({"model": None, "embeddings": "x.npy"}, sets=ROWS))
    assert "--head FILE" in rows["directions"].remedy
    timm = outcomes(previewed({"model": "timm:resnet18"}))
    assert timm["directions"] == Unknown(depends_on="model")
    wrong = Wrong(option="target", reason="it is empty", exit_code=4)
    unsure = outcomes(previewed(sets=(image_set("val", 9),), wrong=(wrong,)))
    assert unsure["targets"] == Unknown(depends_on="options")


def test_a_loaded_model_tells_the_layers() -> None:
    preview = previewed({"layers": ("layer*",)}, taps=Unknown(depends_on="model"))
    assert "… layer*: known once the model is loaded" in preview_lines([preview])
    loaded = preview.with_model(TRIAL)
    assert loaded.taps == ("embedding", "layer1")
    assert not loaded.wrong
    nothing = previewed({"layers": ("block*",)}).with_model(TRIAL)
    (wrong,) = nothing.wrong
    assert (wrong.option, wrong.exit_code, nothing.exit_code) == ("layers", 2, 2)
    assert "layer1.0" in wrong.reason
    faster = "bfloat16 is 2.3 times as fast here: --dtype bfloat16"
    assert f"! {faster}" in preview_lines([preview.with_model({**TRIAL, "types": faster})])
    of_run = preview.model_copy(update={"types": "what a run found"})
    assert of_run.with_model({**TRIAL, "types": faster}).types == of_run.types


def test_lines_begin_with_what_is_missing_and_name_every_set() -> None:
    download = Download(kind="weights", name="rn50_openai", least=152_000_000)
    sets = (*SETS, PlannedSet(name="pics", source="pics", role="target", found=7, planned=7,
                              classes=0))  # fmt: skip
    lines = preview_lines([previewed(sets=sets, downloads=(download,))])
    warnings = lines[: lines.index("DATA")]
    assert any("rn50_openai" in line and "152 MB" in line for line in warnings)
    assert warnings.count("! a note") == 1
    for line in (
        "✓ val: 1,000 of 4,000 images, 40 classes",
        "✓ concepts: 300 images, the concept set",
    ):
        assert line in lines
    assert "runs/x: new" in lines


def test_a_preview_is_read_as_it_was_written() -> None:
    preview = previewed({"layers": ("layer*",)}, taps=Unknown(depends_on="model"))
    assert Preview.model_validate_json(preview.model_dump_json()) == preview


CLASSIFIER = {**TRIAL, "text": None, "head": {"classes": 40, "source": "classifier"}}


def test_names_that_a_classifier_does_not_answer_are_wrong_for_this_model_alone() -> None:
    clip = previewed(names=5).with_model(TRIAL)
    classifier = previewed({"model": "mini_supervised"}, names=5).with_model(CLASSIFIER)
    assert [one.option for one in classifier.wrong] == ["classes"]
    assert not clip.wrong
    lines = preview_lines([clip, classifier])
    at = lines.index("MODELS")
    assert [line[:1] for line in lines[at + 1 : at + 3]] == ["✓", "✗"]
    assert "5 names for the 40 classes" in lines[at + 2]
    for names, classes in ((40, 40), (0, 40), (5, 1000)):  # 5 may be some of ImageNet's
        model = {**CLASSIFIER, "head": {"classes": classes, "source": "classifier"}}
        assert not previewed({"model": "x"}, names=names).with_model(model).wrong

"""`--head`, `--classes`, `--templates`: what they choose, and what comes of it in a run."""

import itertools
import json
import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

import tuiprobe
from tests.measure.engine.fake_plan import fake_plan as plan
from tests.parts import part
from tuiprobe.catalog.class_names import imagenet_wnids
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.datasets.sample import Sample
from tuiprobe.errors import DataError, UsageError, WeightsError
from tuiprobe.inside.directions.compute import Directions
from tuiprobe.measure.engine.checking import head_row_checks
from tuiprobe.measure.engine.head_building import LongHeadError, build_head
from tuiprobe.measure.engine.head_choice import HeadChoice, class_of_each_row
from tuiprobe.measure.engine.plan import Plan
from tuiprobe.measure.engine.stopping import Interrupted
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.head_file import read_head
from tuiprobe.measure.run.status import Event, Listener, StatusWriter, read_status
from tuiprobe.models import Head
from tuiprobe.models.heads import classifier_head
from tuiprobe.models.prompt_heads import PromptHead, TextTower
from tuiprobe.probes.preflight import Preflight
from tuiprobe.results import NotRun, Report
from tuiprobe.spec import MAX_CPU_PROMPTS

WIDTH = 6


def images(classes: Sequence[str], each: int = 4) -> Any:
    samples = [Sample(i, f"{i}.png", i % len(classes)) for i in range(each * len(classes))]
    return SimpleNamespace(samples=samples, classes=tuple(classes), source="fake:", notes=())


class Clip:
    """A text tower whose prompts are counted, behind the encoder's own face."""

    device = torch.device("cpu")
    loader = "open_clip"
    with_answers = None

    def __init__(self, folder: Path) -> None:
        self.width, self.seen, self.folder = WIDTH, 0, folder
        self.text = TextTower(self._tokenize, self._encode, 8, "counting", ("a {}", "the {}"))

    def _tokenize(self, prompts: Sequence[str]) -> torch.Tensor:
        self.seen += len(prompts)
        return torch.tensor([[sum(p.encode()) % 997, len(p)] for p in prompts])

    def _encode(self, tokens: torch.Tensor) -> torch.Tensor:
        seeds = [int(a * 100 + b) for a, b in tokens]
        rows = [torch.randn(WIDTH, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)

    def head(self, classes: Any, templates: Any, progress: Any = None) -> Head:
        return self._prompts(classes, templates).build(progress)

    def prompts_left(self, classes: Any, templates: Any) -> int:
        return len(templates) * self._prompts(classes, templates).classes_left()

    def _prompts(self, classes: Any, templates: Any) -> PromptHead:
        return PromptHead(self.text, tuple(classes), tuple(templates), "d", cache=self.folder)


def lines(path: Path, *names: str) -> str:
    path.write_text("\n".join(names))
    return str(path)


def classifier(classes: int) -> Any:
    names = tuple(str(i) for i in range(classes))
    head = Head(torch.eye(classes, WIDTH), None, names, source=f"classifier, {classes} classes")
    return SimpleNamespace(text=None, width=WIDTH, loader="timm", head=lambda: head)


def build(run: RunDir, planned: Plan, listen: Listener = lambda event: None, **more: Any) -> None:
    build_head(replace(planned, directory=run), listen, **more)


def of_imagenet(layer: torch.nn.Linear, kind: str = "pretrained") -> Any:
    return SimpleNamespace(
        text=None, width=WIDTH, loader="timm", head=lambda: classifier_head(layer),
        weights=SimpleNamespace(kind=kind),
    )  # fmt: skip


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    clip, data = Clip(tmp_path), images(["cat", "dog"])
    templates = lines(tmp_path / "t", "a {}")
    three = lines(tmp_path / "c", "cat", "dog", "cow")
    flat = SimpleNamespace(samples=[], classes=(), source="", notes=())
    cases: list[tuple[Any, str]] = [
        (plan(classifier(2), data, templates=templates), "--templates belong to a zero-shot head"),
        (plan(clip, data, head="probe", templates=templates), "--templates belong"),
        (plan(classifier(2), data, head="zero-shot"), "has no text tower"),
        (plan(clip, flat, head="probe"), "the images have none"),
        (
            plan(clip, images(["photos"]), head="probe"),
            "needs two or more classes, and .* has one, 'photos'",
        ),
        (
            plan(classifier(2), data, classes=three),
            rf"{re.escape(three)} holds 3 names for the 2 rows of .* \(classifier, 2 classes\)",
        ),
        (plan(clip, data, classes=lines(tmp_path / "d", "x", "y", "z")), "3 class names for 2"),
        (plan(clip, data, classes=str(tmp_path / "none")), "cannot read class names"),
        (plan(clip, data, templates=lines(tmp_path / "e", "a cat")), "must hold {}"),
    ]
    for planned, message in cases:
        with pytest.raises(UsageError, match=message):
            _ = planned.head
    with pytest.raises(WeightsError, match=r"there is no file .* of weights or of a head"):
        _ = plan(clip, data, head=str(tmp_path / "no.pt")).head


def test_many_prompts_are_asked_for_or_not_built_if_they_are_padded(tmp_path: Path) -> None:
    clip = Clip(tmp_path / "heads")
    names = [f"class {i}" for i in range(30)]
    data = images(names)
    many = lines(tmp_path / "t", *(f"{i} {{}}" for i in range(MAX_CPU_PROMPTS // 30 + 1)))
    run = RunDir(tmp_path / "run")
    build(run, plan(clip, data, templates=many))
    reason = read_head(run).head
    assert "ask for them with --head zero-shot" in reason.remedy
    assert clip.seen == 0
    build(run, plan(clip, data, templates=many, head="zero-shot"))
    assert clip.seen == 10_020
    short = Clip(tmp_path / "short")
    short.text = replace(short.text, lengths=lambda tokens: torch.full((len(tokens),), 2))
    build(RunDir(tmp_path / "whole"), plan(short, data, templates=many))
    assert short.seen == 10_020
    # Now it is cached, and no longer has to be asked for.
    other = RunDir(tmp_path / "other")
    build(other, plan(clip, data, templates=many))
    assert not isinstance(read_head(other).head, NotRun)
    assert clip.seen == 10_020


def test_a_head_that_is_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    clip, data = Clip(tmp_path / "heads"), images([f"class {i}" for i in range(60)])
    run = RunDir(tmp_path / "run")
    build(run, plan(clip, data), interrupted=True)
    assert "stopped before the head was built" in str(read_head(run).head)
    assert clip.seen == 0

    def check() -> None:
        if clip.seen == 2 * 50:  # the prompts of the second shard are tokenized
            raise Interrupted("SIGTERM")

    with pytest.raises(Interrupted):
        build(run, plan(clip, data), check=check)
    assert "the same command resumes" in str(read_head(run).head)
    events, status = list[Event](), StatusWriter(run)

    def listen(event: Event) -> None:
        events.append(event)
        status.record(event)

    build(run, plan(clip, data), listen)
    assert clip.seen == 2 * (50 + 35)  # the first shard of 25 classes is kept
    assert events[0].message == "building the zero-shot head: 120 prompts, 50 of them cached"
    progress = [e.data for e in events if e.kind == "progress"]
    assert (progress[0]["done"], progress[-1]["done"], progress[-1]["eta"]) == (25, 60, 0)
    assert progress[-1]["unit"] == "classes"
    status.write()
    read = read_status(run, 0)
    assert (read.phase, read.built, read.to_build) == ("head", 60, 60)
    build(run, plan(clip, data), events.append)
    assert clip.seen == 2 * (50 + 35)


def test_a_head_that_will_take_longer_than_it_may_is_left_soon(tmp_path, monkeypatch):
    data, templates = images([f"class {i}" for i in range(40)]), [f"{i} {{}}" for i in range(80)]
    prompts = lines(tmp_path / "t", *templates)  # 3,200 in 51 batches
    run = RunDir(tmp_path / "run")
    for seconds, reports in ((1.0, 4), (0.1, 52)):
        clock = itertools.count(step=seconds)
        monkeypatch.setattr(time, "monotonic", lambda ticks=clock: next(ticks))
        clip, events = Clip(tmp_path / f"{seconds}"), list[Event]()
        with pytest.raises(LongHeadError) if reports < 52 else nullcontext():
            build(run, plan(clip, data, templates=prompts), events.append, seconds=20)
        assert sum(event.kind == "progress" for event in events) == reports


def test_unlabelled_images_still_get_directions_from_names(tmp_path: Path) -> None:
    flat = SimpleNamespace(samples=[], classes=(), source="", notes=())
    clip = Clip(tmp_path / "heads")
    assert plan(clip, flat).head.kind == "none"
    named = plan(clip, flat, classes=lines(tmp_path / "c", "cat", "dog"))
    run = RunDir(tmp_path / "run")
    build(run, named)
    file = read_head(run)
    assert file.head.weight.shape == (2, WIDTH)
    assert file.answers == {}


def test_rows_without_names_are_taken_in_label_order_only_if_as_many(tmp_path: Path) -> None:
    save_file({"weight": torch.eye(3, WIDTH)}, tmp_path / "h.safetensors")
    options: dict[str, Any] = {"head": str(tmp_path / "h.safetensors")}

    def chosen(*folders: str, **more: Any) -> HeadChoice:
        return plan(classifier(2), images(folders), **options, **more).head

    equal = chosen("cat", "cow", "fire_truck")
    assert (equal.classes, equal.assumed) == (("cat", "cow", "fire truck"), True)
    assert not chosen("cat", "dog").assumed
    assert chosen("cat", "dog").unnamed
    assert not chosen("0", "1", "2").assumed  # these folders name the rows by their numbers
    named = chosen("cat", "cow", "dog", classes=lines(tmp_path / "c", "dog", "cow", "cat"))
    assert (named.classes, named.assumed) == (("dog", "cow", "cat"), False)
    others = [f"class {i:04}" for i in range(1000)]  # are not those of ImageNet
    save_file({"weight": torch.eye(1000, WIDTH) + 1}, tmp_path / "h.safetensors")
    for names, first in ((others, "class 0000"), (imagenet_wnids(), "tench")):
        choice = plan(classifier(2), images(names, each=1), **options).head
        assert (choice.classes[0], choice.assumed) == (first, names is others)


def test_folders_named_as_imagenet_names_them_find_the_rows_of_a_classifier(tmp_path: Path) -> None:
    layer = torch.nn.Linear(WIDTH, 1000)
    model = of_imagenet(layer)

    def chosen(*folders: str, **options: Any) -> tuple[Plan, HeadChoice]:
        made = plan(model, images(folders), **options)
        return made, made.head

    def rows_of(made: Plan, choice: HeadChoice) -> list[int]:
        answers = class_of_each_row(made.suite, choice, choice.classes, "val")
        return [int(np.flatnonzero(answers == label).item()) for label in range(answers.max() + 1)]

    named = chosen("Toilet-Paper", "great_white_shark", "tench")
    assert rows_of(*named) == [999, 2, 0]
    assert head_row_checks(*named) == []
    some = chosen("n15075141", "tench", classes="toilet tissue,n01440764,goldfish")
    assert rows_of(*some) == [0, 1]
    assert some[1].classes == ("toilet tissue", "tench", "goldfish")
    assert some[1].head is not None
    assert torch.equal(some[1].head.weight, layer.weight[[999, 0, 1]])
    with pytest.raises(UsageError, match=r"2 names for the 1,000 classes of .*'x' is not a class"):
        chosen("tench", classes="tench,x")

    (check,) = head_row_checks(*chosen("tench", "great_white_shrak"))
    assert (check.status, check.name) == ("warn", "class names")
    assert "(great white shark" in check.detail
    fitted, _ = chosen("cat", "dog")  # neither is a class of ImageNet
    assert (fitted.head.kind, fitted.head.classes) == ("probe", ("cat", "dog"))
    assert fitted.head.note
    clip = plan(Clip(tmp_path), images(["cat", "dog"]), classes="cat,hound")
    assert [check.detail for check in head_row_checks(clip, clip.head)] == [
        "1 of 2 classes by their place alone: dog = hound"
    ]


def test_names_of_a_classifier_in_another_order_are_refused(tmp_path: Path) -> None:
    names = ("cat", "dog", "cow")
    head = Head(torch.eye(3, WIDTH), None, names, source="classifier, 3 classes")
    named: Any = SimpleNamespace(text=None, width=WIDTH, loader="py", head=lambda: head)
    data = images(names)
    assert plan(named, data, classes=lines(tmp_path / "same", "Cat", "dog", "cow")).head.kind
    assert plan(named, data, classes=lines(tmp_path / "some", "cat", "dog", "Kuh")).head.kind
    for order in (("cow", "dog", "cat"), ("cat", "cow", "x")):
        with pytest.raises(UsageError, match="another order: 'cow'"):
            _ = plan(named, images(["cat"]), classes=lines(tmp_path / "other", *order)).head
    thousand = of_imagenet(torch.nn.Linear(WIDTH, 1000))
    sorted_ids = lines(tmp_path / "ids", *imagenet_wnids())
    assert plan(thousand, images(imagenet_wnids()[:3]), classes=sorted_ids).head.kind
    backwards = lines(tmp_path / "back", *imagenet_wnids()[::-1])
    with pytest.raises(UsageError, match="in another order"):
        _ = plan(thousand, images(imagenet_wnids()[:3]), classes=backwards).head


def test_names_beside_the_weights_are_used_and_contradict_others(tmp_path: Path) -> None:
    path, options = tmp_path / "h.pt", {"head": str(tmp_path / "h.pt")}
    names = {"class_to_idx": {"cow": 2, "cat": 0, "dog": 1}}
    torch.save({"state_dict": {"weight": torch.eye(3, WIDTH)}, **names}, path)
    for folders, classes, answers in (
        (("cow", "cat"), None, [1, -1, 0]),
        (("0", "2"), None, [0, -1, 1]),  # folders of row numbers
        (("cow", "cat"), "Cat,dog,COW", [1, -1, 0]),
        (("Kuh", "Katze"), None, None),  # names of rows are not those of folders in their order
    ):
        made = plan(classifier(3), images(folders), **options, classes=classes)
        found = class_of_each_row(made.suite, made.head, made.head.classes, "val")
        assert (None if found is None else found.tolist()) == answers
    for classes in ("cat,cow,dog", "cat,dog,Kuh"):
        with pytest.raises(UsageError, match=r"(cow|Kuh).* and class_to_idx of .*'(dog|cow)'"):
            _ = plan(classifier(3), images(["cat"]), **options, classes=classes).head


def test_a_thousand_classes_of_a_file_that_names_none(tmp_path: Path) -> None:
    layer = torch.nn.Linear(WIDTH, 1000)
    model = of_imagenet(layer, "checkpoint")
    assert "taken as ImageNet's" in plan(model, images(["tench"])).head.note
    others = [f"class {i:04}" for i in range(1000)]
    assumed = plan(model, images(others, each=1)).head
    assert (assumed.kind, assumed.classes, assumed.assumed) == ("classifier", tuple(others), True)
    others[134] = "bolete"  # in ImageNet row 997
    named = plan(model, images(["bolete"]), classes=lines(tmp_path / "c", *others)).head
    assert (named.classes, named.note) == (tuple(others), "")
    save_file({"weight": layer.weight.detach()}, tmp_path / "h.safetensors")
    head: dict[str, Any] = {"head": str(tmp_path / "h.safetensors")}
    assert "taken as ImageNet's" in plan(model, images(["tench"]), **head).head.note
    assert not plan(model, images(imagenet_wnids(), each=1), **head).head.note
    of_file = plan(model, images(["bolete"]), **head, classes=lines(tmp_path / "c", *others)).head
    assert (of_file.classes, of_file.note) == (tuple(others), "")


def test_labels_that_count_from_1_are_refused(tmp_path: Path) -> None:
    shifted = images(["0", "1", "2", "3"])
    shifted.samples = [sample for sample in shifted.samples if sample.label != 0]
    save_file({"weight": torch.randn(3, WIDTH)}, tmp_path / "head.safetensors")
    for option, value in (
        ("head", str(tmp_path / "head.safetensors")),
        ("classes", lines(tmp_path / "c.txt", "ant", "bee", "cat")),
    ):
        with pytest.raises(DataError, match=r"holds the labels 1 to 3, and .* 3 .* subtract 1"):
            _ = plan(Clip(tmp_path), shifted, **{option: value}).head
    counted = images(["0", "1", "2", "3"])
    with pytest.raises(UsageError, match="3 class names for 4 classes"):
        _ = plan(Clip(tmp_path), counted, classes=lines(tmp_path / "d.txt", "a", "b", "c")).head


def test_numbered_classes_without_the_first_and_the_last_are_refused(tmp_path: Path) -> None:
    """They are 97 % or 0 % right, as they count from 1 or from 0."""

    def rows(data: Any, first: int | None = None, outputs: int = 4) -> list[int] | None:
        numbers = [] if first is None else list(map(str, range(first, first + outputs)))
        classes = {"classes": lines(tmp_path / "numbers", *numbers)} if numbers else {}
        planned = plan(classifier(outputs), data, **classes)
        answers = class_of_each_row(planned.suite, planned.head, planned.head.classes, "val")
        return None if answers is None else answers.tolist()

    def folders_of(*names: str) -> Any:
        return SimpleNamespace(**vars(images(names)), class_folders=True)

    folders = folders_of("1", "2", "3")
    assert rows(folders, 0) == [-1, 0, 1, 2]
    assert rows(folders, 1) == [0, 1, 2, -1]
    assert rows(folders_of("2", "4"), 1) == [-1, 0, -1, 1]
    labels = images(["0", "1", "2", "3"])  # as `.cls` members and numbers in a column are
    labels.samples = [sample for sample in labels.samples if sample.label != 0]
    assert rows(labels, 0) == [0, 1, 2, 3]
    few = images(["0", "1", "2", "3"])
    few.samples = [sample for sample in few.samples if sample.label == 2]
    assert rows(few) == [0, 1, 2, 3]  # a sample need not hold the first class
    for open_ in (folders, folders_of("2", "3"), labels):
        with pytest.raises(DataError, match=r"and none is 0, and .* has 4 rows: "):
            rows(open_)
    names = lines(tmp_path / "names", "ant", "bee", "cat", "dog")
    with pytest.raises(DataError, match=r"is number 1 of them if labels count from 1, and .* 2 if"):
        _ = plan(Clip(tmp_path), folders, classes=names).head
    complete = folders_of("2", "3", "4")  # count from 1: there are four
    planned = plan(classifier(4), complete, classes=names)
    answers = class_of_each_row(planned.suite, planned.head, planned.head.classes, "val")
    assert answers.tolist() == [-1, 0, 1, 2]


def test_another_level_of_folders_is_refused_with_the_code_of_data(tmp_path: Path) -> None:
    names = lines(tmp_path / "names", "ant", "bee")
    parts = images(["train", "val"])
    around = images(["all"])
    around.samples = [Sample(i, f"all/{('bee', 'ant')[i % 2]}/{i}.png", 0) for i in range(8)]
    for data, remedy in ((parts, r"\(train\), which holds"), (around, "ant and bee.: give all")):
        with pytest.raises(DataError, match=remedy):
            _ = plan(classifier(2), data, classes=names).head
    assert plan(classifier(2), around).head.kind == "classifier"


def test_a_shift_counts_as_the_first_set_does(tmp_path: Path) -> None:
    planned = plan(classifier(4), images(["0", "1", "2", "3"]))
    planned.suite.sets["shift"] = images(["1", "3"])
    assert planned.head.classes == ("0", "1", "2", "3")
    from_one = SimpleNamespace(**vars(images(["1", "2", "3", "4"])), class_folders=True)
    planned = plan(classifier(4), from_one)
    planned.suite.sets["shift"] = SimpleNamespace(**vars(images(["1", "3"])), class_folders=True)
    with pytest.raises(DataError, match="class folders 1 to 3 and none is 0"):
        _ = planned.head


@pytest.mark.slow
def test_one_run_answered_with_several_heads(pictures: Path, tmp_path: Path) -> None:
    def probed(head: str, **more: Any) -> Report:
        options = {"sample": 60, "batch_size": 12, "threads": 1, "workers": 0, **more}
        model, source = "py:tests.measure.engine.partly_nan:build", f"imagefolder:{pictures}"
        return tuiprobe.probe(model, source, output=str(tmp_path / "run"), head=head, **options)

    def top1(report: Report) -> float:
        return part(report, Robustness).accuracies[0].top1.value

    fitted = probed("probe")
    (place,) = (tmp_path / "run" / "features").iterdir()
    h = load_file(place / "images.safetensors")
    rows = map(json.loads, (tmp_path / "run" / "samples.jsonl").read_text().splitlines())
    labels = {row["id"]: row["label"] for row in rows}
    y = np.array([labels[i] for i in h["ids"].tolist()])
    assert "ridge regression on 60 images" in part(fitted, Directions).head

    # The same run, another head: nothing is measured again, and the names are in another order.
    weight = torch.randn(4, h["features"].shape[1], generator=torch.Generator().manual_seed(2))
    heads = {size: str(tmp_path / f"{size}.safetensors") for size in (3, 4)}
    for size, file in heads.items():
        save_file({"fc.weight": weight[:size].clone()}, file)
    again = probed(heads[3], classes=lines(tmp_path / "c", "class2", "class0", "class1"))
    assert again.key == fitted.key
    assert again.probe_key != fitted.probe_key
    assert again.part_of("outliers") == fitted.part_of("outliers")
    guesses = (h["features"] @ weight[:3].numpy().T).argmax(1)
    assert top1(again) == pytest.approx((np.array([2, 0, 1])[guesses] == y).mean())
    assert again.spec["head"] == "3.safetensors"

    # Without names: as many rows as classes give accuracies and a warning; else the reason.
    three, four = probed(heads[3]), probed(heads[4])
    assert top1(three) == pytest.approx((guesses == y).mean())
    message = (
        "the head's 3 rows have no class names; they are taken for the 3 classes in label order"
    )
    checks = [
        next(check for check in part(report, Preflight).checks if check.name == "head rows")
        for report in (three, four)
    ]
    assert (checks[0].status, checks[0].detail) == ("warn", message)
    assert "--classes FILE" in checks[0].fix
    assert four.part(Robustness) is None
    reason = four.why_not("robustness")
    assert "the head has 4 rows without class names and" in reason
    assert "has 3 classes (name the rows by --classes FILE)" in reason
    assert four.why_not("targets") == reason  # the folder holds the user's pictures
    assert (checks[1].status, "no accuracy can be given" in checks[1].detail) == ("warn", True)

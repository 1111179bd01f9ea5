"""Honest mistakes in Python end in a sentence of ours, not in an error of Python."""

# mypy: disable-error-code="arg-type,attr-defined,list-item"

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tuiprobe
from tuiprobe.errors import TuiprobeError, UsageError
from tuiprobe.measure.engine import machine
from tuiprobe.models.load import load_encoder
from tuiprobe.results import Report

NETWORK = torch.nn.Sequential(torch.nn.Linear(3, 3))
MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "a module alone": (lambda: tuiprobe.probe(NETWORK), "preprocessing of Sequential"),
    "a class": (lambda: tuiprobe.probe(torch.nn.Flatten), "not the class Flatten"),
    "a number for a name": (lambda: tuiprobe.probe(42), "model takes a name"),
    "several models": (lambda: tuiprobe.probe(["mini_clip"]), "probe_several takes"),
    "a list for data": (lambda: tuiprobe.probe("mini_clip", [1, 2]), r"0 .* no image \(int 1\)"),
    "a number for data": (lambda: tuiprobe.probe("mini_clip", 3), "int 3 is no set of images"),
    "one image": (lambda: tuiprobe.probe("mini_clip", Image.new("RGB", (8, 8))), "no set of im"),
    "no images": (lambda: tuiprobe.probe("mini_clip", []), "py:images holds no image"),
    "a name with preprocess": (lambda: tuiprobe.probe("mini_clip", preprocess=id), "to a torch mo"),
    "a module with checkpoint": (
        lambda: tuiprobe.probe(NETWORK, checkpoint="w.pt"), "load yours into the module",
    ),
    "a folder as data": (lambda: tuiprobe.probe("mini_clip", Path("/gone")), "/gone"),
    "a folder as target": (lambda: tuiprobe.probe("mini_clip", target=Path("/gone")), "/gone"),
    "a number as target": (lambda: tuiprobe.probe("mini_clip", target=7), "int 7 is no set"),
    "a number as output": (lambda: tuiprobe.probe("mini_clip", output=5), "output takes the path"),
    "an array for a file": (
        lambda: tuiprobe.probe(embeddings=np.zeros((3, 4))), "--embeddings takes text.*ndarray",
    ),
    "a file that is gone": (lambda: tuiprobe.probe(embeddings=Path("/gone.npy")), "/gone.npy"),
    "a dtype of torch": (lambda: tuiprobe.probe(dtype=torch.float32), "--dtype takes text"),
    "a number as class": (lambda: tuiprobe.probe(classes=[3]), "3 is no name, or contains"),
    "a name to watch": (lambda: tuiprobe.watch("resnet", "*"), "must be a torch.nn.Module"),
    "a number as layers": (lambda: tuiprobe.watch(NETWORK, 3), "layers takes patterns"),
    "numbers as layers": (lambda: tuiprobe.watch(NETWORK, [3]), "layers takes patterns"),
    "no layers": (lambda: tuiprobe.watch(NETWORK, None), "layers takes patterns"),
    "a number to save to": (lambda: tuiprobe.watch(NETWORK, "*", output=3), "output takes the"),
    "a report that is gone": (lambda: Report.read(Path("/gone.json")), "cannot read /gone.json"),
    "a report as text": (lambda: Report.read("/gone.json"), "cannot read /gone.json"),
    "no report": (lambda: Report.read(None), "read takes the path"),
    "no name of an encoder": (lambda: load_encoder(None), "a model is named by text"),
    "no such device": (lambda: load_encoder("mini_clip", device="tpu"), "no device 'tpu'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_python_is_named(mistake: str) -> None:
    call, message = MISTAKES[mistake]
    with pytest.raises(TuiprobeError, match=message):
        call()


def test_what_dir_lists_needs_no_import_of_its_own() -> None:
    assert {"Encoder", "compare", "label", "probe", "results", "watch"} < set(dir(tuiprobe))
    code = "import tuiprobe; tuiprobe.results.Report, [getattr(tuiprobe, n) for n in dir(tuiprobe)]"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'answers'"):
        tuiprobe.answers  # noqa: B018


def test_a_part_is_asked_for_by_its_class(tmp_path: Path) -> None:
    from tests.show.report.samples import report

    with pytest.raises(UsageError, match=r"part_of\('targets'\) finds by id"):
        report().part("targets")


def test_one_value_stands_for_several(monkeypatch: pytest.MonkeyPatch) -> None:
    from tuiprobe.request import make_spec

    spec = make_spec("mini_clip", None, {"target": Path("/a/b"), "layers": "layer*"})
    assert (spec.target, spec.layers) == (("/a/b",), ("layer*",))
    assert make_spec("mini_clip", Path("/c"), {"target": [Path("/a")]}).data == "/c"


def test_a_forked_child_of_a_process_that_measured_is_refused() -> None:
    machine.refuse_forked_child()  # as a run begins
    child = os.fork()
    if child == 0:
        try:
            tuiprobe.probe("mini_clip", sample=1)
        except UsageError as error:
            os._exit(7 if "get_context('spawn')" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    machine.refuse_forked_child()  # the parent goes on

"""Results of another question in the same directory are replaced with a sentence before."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.measure.engine.colors import WIDTH
from tests.measure.engine.conftest import write_pictures
from tuiprobe import probe
from tuiprobe.measure.run.status import Event
from tuiprobe.results import Report


@pytest.mark.slow
def test_results_of_another_question_are_replaced_with_a_sentence_before(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 24)
    head, names = tmp_path / "head.safetensors", tmp_path / "names.txt"
    save_file({"weight": torch.eye(3, WIDTH)}, head)
    names.write_text("class0\nclass1\nclass2\n")
    events: list[Event] = []

    def warned(**options: Any) -> tuple[str, Report]:
        events.clear()
        report = probe(
            "py:tests.measure.engine.colors:build", f"imagefolder:{tmp_path / 'photos'}",
            output=tmp_path / "run", progress=events.append, workers=0, head=str(head), **options,
        )  # fmt: skip
        said = [event.message for event in events if "will be replaced by" in event.message]
        assert [event.kind for event in events if "will be replaced by" in event.message] == [
            "warning"
        ] * len(said)
        return " ".join(said), report

    first, before = warned()
    again, report = warned()
    assert (first, again) == ("", "")
    assert report.probe_key == before.probe_key
    text, report = warned(classes=str(names))
    assert f"--classes left out; they will be replaced by those with --classes {names}." in text
    names.write_text("class2\nclass1\nclass0\n")
    text, reversed_ = warned(classes=str(names))
    assert "another head or class names" in text
    assert reversed_.probe_key != report.probe_key
    text, _ = warned(classes=str(names), answers_among="all")
    assert "--answers-among set; they will be replaced by those with --answers-among all." in text
    names.touch()
    assert warned(classes=str(names), answers_among="all")[0] == ""

"""The street of the demonstration: answers of its four models, and what is there."""

from pathlib import Path

import numpy as np
import pytest

from tuiprobe.choose.labelling import session
from tuiprobe.choose.labelling.candidates import Candidate
from tuiprobe.choose.labelling.label_log import NONE_OF_THESE
from tuiprobe.choose.labelling.session import Labelling, open_labelling
from tuiprobe.measure.run.directory import RunDir

STREET = np.load(Path(__file__).with_name("street.npz"))
TRUTH = STREET["truth"]
RATES = (STREET["answers"] == TRUTH).mean(axis=1)
MODELS = ("mini_clip", "mini_clip_soft", "mini_finetuned", "mini_supervised")
CLASSES = tuple(f"class {n}" for n in range(int(STREET["answers"].max()) + 1))


def street_candidate(directory: RunDir, target: str | None = None) -> Candidate:
    """Returns the candidate of a directory whose name begins with a model.

    `MODEL-N` answers like it but on the N-th picture; `MODEL@N` was given the first N pictures.
    """
    name, _, pictures = directory.path.name.partition("@")
    name, _, changed = name.partition("-")
    number, count = MODELS.index(name), int(pictures or 500)
    answers = STREET["answers"][number].astype(np.int64)[:count]
    if changed:
        answers[int(changed)] = (answers[int(changed)] + 1) % len(CLASSES)
    paths = {n: f"{n:05}.png" for n in range(count)}
    confidences = STREET["confidences"][number][:count]
    return Candidate(
        directory, name, "street", "miniature:street", (), CLASSES, np.arange(count), answers,
        confidences, confidences, {n: f"{n + 1:064x}" for n in range(count)}, paths,
    )  # fmt: skip


@pytest.fixture
def street_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of run directories whose answers on the street are stored."""
    monkeypatch.setattr(session, "read_candidate", street_candidate)
    return tmp_path


def street_runs(folder: Path, *names: str) -> list[Path]:
    """Returns run directories by name; see `street_candidate`."""
    runs = [folder / name for name in names]
    for run in runs:
        run.mkdir(exist_ok=True)
    return runs


def name_of(place: int) -> str:
    """Returns the class of a picture."""
    right = int(TRUTH[place])
    return CLASSES[right] if right >= 0 else NONE_OF_THESE


def labelled(runs: list[Path], most: int = 500) -> Labelling:
    """Labels the street until the best is known, or so many pictures are labelled."""
    labelling = open_labelling(runs, "street")
    while labelling.decided.verdict != "best" and len(labelling.survey.labels) < most:
        picture = labelling.following()
        labelling.label(picture.index, name_of(picture.index))
    labelling.close()
    return labelling

"""All trainings: what they make, and going on after a stop."""

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tools.train import command
from tools.train.recipes import RECIPES, SEEDS, TrainingJob, trainings_of
from tuiprobe.errors import UsageError
from tuiprobe.miniature import weights

CLIP = dataclasses.replace(
    RECIPES["mini_clip"], name="tiny_clip", images=32, steps=2, batch=16, warmup=1, hold=0
)
TUNED = dataclasses.replace(
    CLIP, name="tiny_tuned", data="train", scale=0.0, steps=2, start="tiny_clip"
)
LABELS = dataclasses.replace(TUNED, name="tiny_labels", start=None)


def test_the_plain_command_makes_the_files_that_ship() -> None:
    trainings = trainings_of([], None)
    assert {each.recipe.name for each in trainings} == set(weights.MODEL_NAMES) == set(SEEDS)
    for each in trainings:
        card = weights.card(each.recipe.name)
        assert (card["seed"], card["recipe"]) == (each.seed, asdict(each.recipe))
    assert {each.seed for each in trainings_of([], 7)} == {7}


@pytest.mark.slow
@pytest.mark.nightly
def test_everything_is_trained_once_and_kept(tmp_path: Path) -> None:
    trainings = [
        TrainingJob(TUNED, 3, CLIP),
        TrainingJob(CLIP, 3),
        TrainingJob(LABELS, 3),
        TrainingJob(LABELS, 4),
    ]
    cards = command.train_all(trainings, tmp_path, jobs=2, images=20)
    assert set(cards) == set(trainings)
    card = json.loads((tmp_path / "tiny_labels-3" / "tiny_labels.json").read_text())
    assert card == {"sha256": card["sha256"], **cards[TrainingJob(LABELS, 3)]}
    assert card["accuracy"]["sketch"]["n"] == 20

    # Again, after the card of one was lost: it goes on from its end, another is kept as it is.
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/*.safetensors")}
    (tmp_path / "tiny_tuned-3" / "tiny_tuned.json").unlink()
    for training in (trainings[0], trainings[3]):
        made = command.make(training, tmp_path, images=20)
        assert made["accuracy"] == cards[training]["accuracy"]
    changed = [p.stem for p, when in before.items() if p.stat().st_mtime_ns != when]
    assert changed == ["tiny_tuned"]

    # Another recipe by the same name: the old training is not taken for it.
    longer = TrainingJob(dataclasses.replace(LABELS, steps=3), 3)
    with pytest.raises(UsageError, match=r"tiny_labels-3\.ckpt was trained by another recipe"):
        command.train_all([longer], tmp_path, jobs=2, images=20)

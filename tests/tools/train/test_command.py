"""All trainings: which runs when, what lands where, and going on after a stop."""

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tools.train import command
from tools.train.command import next_job
from tools.train.recipes import MODELS, RECIPES, SEEDS, Training, jobs_for
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
    jobs = jobs_for([], None)
    assert {job.recipe.name for job in jobs} == set(weights.MODEL_NAMES) == set(SEEDS)
    for job in jobs:
        card = weights.card(job.recipe.name)
        assert (card["seed"], card["recipe"]) == (job.seed, asdict(job.recipe))
    assert {job.seed for job in jobs_for([], 7)} == {7}
    assert [job.recipe.steps for job in jobs] == sorted((r.steps for r in MODELS), reverse=True)


def test_a_model_waits_for_the_one_it_starts_from_and_others_go_ahead() -> None:
    first, other = Training(CLIP, 1), Training(LABELS, 1)
    tuned, elsewhere = Training(TUNED, 1, CLIP), Training(TUNED, 2, CLIP)
    assert next_job([tuned, other], [tuned, other, first]) == other
    assert next_job([tuned], [tuned, first]) is None
    assert next_job([tuned, other], [tuned, other]) == tuned
    assert next_job([elsewhere], [elsewhere, first]) == elsewhere  # of another seed


@pytest.mark.slow
@pytest.mark.nightly
def test_everything_is_trained_once_and_files_of_models_land_in_the_output(tmp_path: Path) -> None:
    cache, output = tmp_path / "cache", tmp_path / "out"
    models = [Training(TUNED, 3, CLIP), Training(CLIP, 3), Training(LABELS, 3)]
    others = [Training(LABELS, 3), Training(LABELS, 4)]

    cards = command.train_all(models, others, cache, output, jobs=2, images=20)
    assert set(cards) == {*models, *others}
    assert {path.name for path in output.iterdir()} == {
        f"tiny_{kind}.{suffix}"
        for kind in ("clip", "tuned", "labels")
        for suffix in ("safetensors", "json")
    }
    card = json.loads((output / "tiny_labels.json").read_text())
    assert card == {"sha256": card["sha256"], **cards[Training(LABELS, 3)]}
    assert card["accuracy"]["sketch"]["n"] == 20
    assert (cache / "tiny_labels-4" / "tiny_labels.safetensors").is_file()

    # Again, after the card of one was lost: it goes on from its end, another is kept as it is.
    before = {p: p.stat().st_mtime_ns for p in cache.glob("*/*.safetensors")}
    (cache / "tiny_tuned-3" / "tiny_tuned.json").unlink()
    for job in (models[0], others[1]):
        assert command.make(job, cache, images=20)["accuracy"] == cards[job]["accuracy"]
    changed = [p.stem for p, when in before.items() if p.stat().st_mtime_ns != when]
    assert changed == ["tiny_tuned"]

    # Another recipe by the same name: the old one is not taken for it, and no other trains on.
    longer = Training(dataclasses.replace(LABELS, steps=3), 3)
    endless = Training(dataclasses.replace(LABELS, name="tiny_endless", steps=10**6), 3)
    with pytest.raises(UsageError, match=r"tiny_labels-3\.ckpt was trained by another recipe"):
        command.train_all([endless, longer], [], cache, output, jobs=2, images=20)
    assert json.loads((output / "tiny_labels.json").read_text()) == card

from pathlib import Path
from typing import Any

import pytest

from tests.measure.engine.conftest import SMALL
from tuiprobe.datasets.load import load_suite, user_spec
from tuiprobe.errors import DataError
from tuiprobe.measure.engine.opening import plan_run
from tuiprobe.measure.engine.plan import Plan, list_images, make_plan
from tuiprobe.models.load import load_encoder
from tuiprobe.request import RunRequest
from tuiprobe.spec import RunSpec, run_options


def plan_of(checkpoint: Path, data: Path, **changes: Any) -> Plan:
    source = f"imagefolder:{data}"
    spec = RunSpec(model=SMALL, checkpoint=str(checkpoint), data=source, **changes)
    request, suite = RunRequest(spec=spec), load_suite(source)
    order, stamps = list_images(suite, spec)
    encoder = load_encoder(SMALL, checkpoint=checkpoint)
    return make_plan(request, encoder, suite=suite, order=order, stamps=stamps)


OTHER_SOURCES = {
    "model", "checkpoint", "data", "target", "concepts", "concept_sample", "labels", "embeddings",
    "target_embeddings", "id_column", "representation",
}  # fmt: skip
"""Options that name what is measured; its content goes into the key."""


def test_the_key_follows_what_decides_the_numbers_and_not_how_it_is_run(small_checkpoint, pictures):
    plain = plan_of(small_checkpoint, pictures)
    changes: dict[str, Any] = {
        "sample": 50, "seed": 1, "batch_size": 16, "shard_batches": 2, "layers": ("layer1",),
        "tokens": "mean", "dtype": "bfloat16", "top_k": 8,
    }  # fmt: skip
    measured = {option.name for option in run_options() if option.option.changes == "measurement"}
    assert measured == changes.keys() | OTHER_SOURCES
    del changes["tokens"]  # which a network of maps refuses
    keys = [plan_of(small_checkpoint, pictures, **dict([change])).key for change in changes.items()]
    assert len({plain.key, *keys}) == 1 + len(changes)
    others = {"threads": 1, "workers": 3, "max_unreadable": 0.5, "require_weights": True}
    assert plan_of(small_checkpoint, pictures, **others).key == plain.key

    def order(plan: Plan) -> list[int]:
        return [int(i) for s in plan.shards[pictures.name] for b in s.batches for i in b]

    # a sample is the beginning of the whole
    assert order(plan_of(small_checkpoint, pictures, sample=20)) == order(plain)[:20]


def test_a_missing_folder_is_refused_before_the_model_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.setattr("tuiprobe.measure.engine.opening.load_encoder", None)
    folder = str(tmp_path / "fotos")
    for data, options in ((folder, {}), (None, {"target": [folder]})):
        with pytest.raises(DataError, match=r"did you mean .*/photos\?"):
            plan_run(RunRequest(spec=user_spec("mini_clip", data, options)))

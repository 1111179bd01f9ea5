from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.measure.conftest import SMALL
from tuiprobe.datasets.load import load_suite
from tuiprobe.errors import UsageError
from tuiprobe.measure.plan import Plan, make_plan
from tuiprobe.models.load import load_encoder
from tuiprobe.spec import RunSpec


def plan_of(checkpoint: Path, data: Path, **changes: Any) -> Plan:
    source = f"imagefolder:{data}"
    spec = RunSpec(model=SMALL, checkpoint=str(checkpoint), data=source, **changes)
    return make_plan(spec, load_encoder(SMALL, checkpoint=checkpoint), load_suite(source))


@pytest.mark.parametrize(
    "change",
    [
        {"sample": 50},
        {"seed": 1},
        {"batch_size": 16},
        {"layers": ("layer1",)},
        {"dtype": "bfloat16"},
        {"top_k": 8},
    ],
    ids=str,
)
def test_the_key_follows_what_decides_the_numbers(
    small_checkpoint: Path, pictures: Path, change: dict[str, object]
) -> None:
    plain = plan_of(small_checkpoint, pictures)
    assert plan_of(small_checkpoint, pictures).key == plain.key
    assert plan_of(small_checkpoint, pictures, **change).key != plain.key


def test_the_key_does_not_follow_how_it_is_run(small_checkpoint: Path, pictures: Path) -> None:
    plain = plan_of(small_checkpoint, pictures)
    assert plan_of(small_checkpoint, pictures, threads=1, workers=3).key == plain.key


def test_a_sample_is_the_beginning_of_the_whole(small_checkpoint: Path, pictures: Path) -> None:
    def order(plan: Plan) -> list[int]:
        return [int(i) for s in plan.shards[pictures.name] for b in s.batches for i in b]

    whole = order(plan_of(small_checkpoint, pictures))
    assert order(plan_of(small_checkpoint, pictures, sample=20)) == whole[:20]


def test_layers_that_match_nothing_are_named(small_checkpoint: Path, pictures: Path) -> None:
    with pytest.raises(UsageError, match=r"'nolayer\*' matches no layer; the first of"):
        plan_of(small_checkpoint, pictures, layers=("nolayer*",))

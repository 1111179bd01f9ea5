"""A plan of a few images, for what is decided before anything is measured."""

from typing import Any, cast

import numpy as np

from tuiprobe.datasets import Suite
from tuiprobe.datasets.sample import Stamp
from tuiprobe.measure.engine.plan import Plan
from tuiprobe.measure.engine.shards import split_into_shards
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.spec import RunSpec


def _stamps(data: Any, measured: int) -> dict[int, Stamp]:
    """Returns the stamps of the images of a set of files; of others, those of images in memory."""
    stamp = getattr(data, "stamp", lambda sample: Stamp(None, None))
    samples = list(getattr(data, "samples", ()))[:measured]
    return {i: stamp(sample) for i, sample in enumerate(samples)}


def fake_plan(encoder: Any, data: Any, measured: int = 4, /, **options: Any) -> Plan:
    """Returns a plan to measure the first images of a set, `val`, with these options."""
    return Plan(
        spec=RunSpec(model=options.pop("model", "m"), data="d", batch_size=4, **options),
        encoder=encoder, suite=Suite("s", "d", {"val": data}),
        shards={"val": split_into_shards("val", np.arange(measured), 4, None)},
        key="k", set_keys={"val": "k"}, model=cast(Any, None), taps=(),
        stamps={"val": _stamps(data, measured)}, directory=RunDir("none"),
    )  # fmt: skip

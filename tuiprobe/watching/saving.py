"""Writes what a watch saw as a run directory: the status, and results that all readers open."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import distributed

from tuiprobe import __version__
from tuiprobe.errors import DataError
from tuiprobe.inside.outliers.compute import probe_outliers
from tuiprobe.inside.outliers.result import OutlierResult, Outliers
from tuiprobe.measure.arrays.tap_arrays import TapArrays, flatten_summary
from tuiprobe.measure.engine.extract import MAX_ROWS
from tuiprobe.measure.engine.machine import current_fingerprint
from tuiprobe.measure.engine.running import RunningTap, live_pace
from tuiprobe.measure.run.deletion import clear
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.locks import BusyError
from tuiprobe.measure.run.manifest import write_record
from tuiprobe.measure.run.records import saved_by_watch
from tuiprobe.measure.run.results import write_results
from tuiprobe.measure.run.status import Event, LiveTap, StatusWriter
from tuiprobe.models.info import PreprocessingInfo, WeightsInfo, state_digest
from tuiprobe.probes import registry
from tuiprobe.probes.protocol import Subject
from tuiprobe.probes.report import part
from tuiprobe.results import Inapplicable, Model, Report, SetSummary
from tuiprobe.results.card import title
from tuiprobe.spec import WATCHED
from tuiprobe.watching.layers import LayerStatistics, ObservedModel

SET = "watched"
"""Name of the set in the report."""
_ONLY = "tuiprobe.watch measures activations only"
_REMEDY = "a run of `tuiprobe --headless` on this encoder asks every probe"


def claim(directory: RunDir, key: str, watched: ObservedModel) -> None:
    """Makes the directory, or accepts one that this watch made.

    Raises:
        DataError: If it holds something else.
        RunError: If it cannot be written.
    """
    directory.create(key)
    write_record(directory.spec_file, _spec(watched))


def save(watched: ObservedModel, path: Path) -> None:
    """Writes `results.json` and what marks a run directory.

    Raises:
        DataError: If nothing was measured, or the directory holds something else.
        RunError: If it cannot be written.
    """
    layers = watched.layer_statistics
    if not layers:
        reasons = "; ".join(f"{name}: {why}" for name, why in watched.refused.items())
        raise DataError(f"nothing was measured, so there is nothing to save ({reasons})")
    directory = RunDir(path)
    claim(directory, watched.key, watched)
    write_results(directory, _report(watched, layers))


def _report(watched: ObservedModel, layers: list[tuple[str, LayerStatistics]]) -> Report:
    taps = _taps(layers)
    last = layers[-1][1]
    model, data = _model(watched, taps[0], last), _data(last)
    subject = Subject(model, (data,))
    outliers, none = OutlierResult(taps=taps), Inapplicable(reason=_ONLY, remedy=_REMEDY)
    parts = tuple(
        part(probe, outliers if probe.Result is OutlierResult else none, subject)
        for probe in registry().probes
    )
    return Report(
        title=title(model, (data,), parts),
        tuiprobe=__version__,
        key=watched.key,
        spec=_spec(watched),
        model=model,
        data=(data,),
        fingerprint=current_fingerprint(str(last.devices[0])),
        parts=parts,
        warnings=tuple(_warnings(watched, taps[0])),
    )


def _taps(layers: list[tuple[str, LayerStatistics]]) -> tuple[Outliers, ...]:
    """Computes the outlier figures of every layer; the last stands for the representation.

    It comes first, as the representation does in every report.
    """
    *inner, final = layers
    arrays = [_arrays(*final, final=True), *(_arrays(*layer, final=False) for layer in inner)]
    return tuple(map(probe_outliers, arrays))


def _arrays(name: str, seen: LayerStatistics, *, final: bool) -> TapArrays:
    kind = seen.tap.kind
    return TapArrays(
        set=SET,
        tap=name,
        kind=kind,
        channels=seen.tap.channels,
        statistics={n: np.asarray(a) for n, a in flatten_summary(seen.stats.compute()).items()},
        tokens="all" if kind == "token" else None,
        final=final,
        rows=seen.rows(),
    )


def _spec(watched: ObservedModel) -> dict[str, Any]:
    return {
        "model": type(watched.model).__name__,
        "data": "tuiprobe.watch",
        WATCHED: True,
        "layers": list(watched.patterns),
        "every": watched.every,
    }


def _model(watched: ObservedModel, final: Outliers, last: LayerStatistics) -> Model:
    model = watched.model
    name = type(model).__name__
    representation: Literal["token", "pooled"] = "pooled" if final.kind == "vector" else "token"
    source = f"layer {final.tap} of a model in memory"
    state = model.state_dict()
    local = {name: t.to_local() if hasattr(t, "to_local") else t for name, t in state.items()}
    return Model(
        name=name,
        loader="tuiprobe.watch",
        architecture=name,
        representation=representation,
        width=last.tap.channels,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        weights=WeightsInfo(kind="unknown", source="in memory", digest=state_digest(local)),
        preprocessing=PreprocessingInfo(
            size=(0, 0), mean=(), std=(), interpolation="", source=source, known=False
        ),
    )


def _data(seen: LayerStatistics) -> SetSummary:
    sampled = min(seen.images, MAX_ROWS)
    return SetSummary(
        name=SET,
        source="tuiprobe.watch",
        images=seen.images,
        measured=seen.images,
        sampled=None if sampled == seen.images else sampled,
    )


def _warnings(watched: ObservedModel, final: Outliers) -> list[str]:
    warnings = [
        f"measured by tuiprobe.watch: the last watched layer, {final.tap}, takes the place of "
        "the representation; images have neither names nor labels"
    ]
    if final.kind != "vector":
        warnings.append(
            f"figures of {final.tap} are of one position of each image, at random but seeded"
        )
    if watched.model.training:
        warnings.append("the model was in training mode; its weights may have changed meanwhile")
    warnings += filter(None, (watched.assumption, watched.span))
    return warnings + [f"{name}: not measured: {why}" for name, why in watched.refused.items()]


class LiveFiles:
    """Writes the status of a watch at most five times a second, and within 1 % of its time.

    Args:
        path: The run directory.
        watched: What is shown.
        overwrite: Whether an earlier watch in it is replaced; else this one goes into a numbered
            folder below it.

    Attributes:
        path: The run directory of this process, known once the block has begun.
    """

    def __init__(self, path: Path, watched: ObservedModel, overwrite: bool) -> None:
        self.path, self._watched, self._overwrite = path, watched, overwrite
        self._asked = path
        self._status = StatusWriter(RunDir(path))
        self._started = 0.0
        self._pace = live_pace()
        self._locked = ExitStack()

    def begin(self) -> None:
        """Claims the directory and locks it until `end`, so that readers see a running run.

        Raises:
            DataError: If it holds something else.
            RunError: If it cannot be written, or another process writes it.
        """
        first = _of_this_process(self._asked)
        for number in itertools.count(1):
            path = first if number == 1 or self._overwrite else first / str(number)
            try:
                begun = self._begin_in(RunDir(path))
            except BusyError:
                if self._overwrite:
                    raise
                continue
            if begun:
                break
        self.path = path
        self._started = time.monotonic()

    def _begin_in(self, directory: RunDir) -> bool:
        """Begins in a directory, unless an earlier watch is in it that shall stay."""
        other = directory.read_key() not in (None, self._watched.key)
        earlier = other and saved_by_watch(directory)
        if earlier and not self._overwrite:
            return False
        if not earlier:
            directory.refuse_foreign(self._watched.key)
        with ExitStack() as stack:
            stack.enter_context(directory.locked())
            if earlier:
                clear(directory)
            claim(directory, self._watched.key, self._watched)
            self._status = StatusWriter(directory)
            self._status.begin()
            self._status.update(unanswered="no answers: tuiprobe.watch looks at layers alone")
            self._status.record(Event("stage", "measuring", {"stage": "extract"}))
            self._locked = stack.pop_all()
        return True

    def end(self, failure: BaseException | None) -> None:
        """Records how the block ended, and releases the directory."""
        with self._locked:
            if failure is None:
                self._status.record(Event("done", "saved by tuiprobe.watch"))
            else:
                message = f"the block ended with {type(failure).__name__}"
                self._status.record(Event("failed", message))

    def show(self) -> None:
        """Replaces the live files if they are due."""
        if not self._pace.due:
            return
        with self._pace.piece():
            layers = self._watched.layer_statistics
            done = max((seen.images for _, seen in layers), default=0)
            rate = done / max(time.monotonic() - self._started, 1e-9)
            self._status.update(set=SET, images=done, rate=rate)
            self._status.write({(SET, name): _live(seen) for name, seen in layers})


def _of_this_process(path: Path) -> Path:
    """Returns where this process of a distributed training writes: process 0 in `path` itself."""
    if distributed.is_available() and distributed.is_initialized():
        rank = distributed.get_rank()
    else:  # of a launcher, before the group is made
        text = os.environ.get("RANK", "0")
        rank = int(text) if text.isascii() and text.isdecimal() else 0
    absolute = path.resolve()
    return absolute.with_name(f"{absolute.name}-rank{rank}") if rank else path


def _live(seen: LayerStatistics) -> LiveTap:
    width = seen.tap.channels
    none = RunningTap(np.zeros(width), np.zeros(width, np.int64))
    return none.plus(seen.stats.samples.compute()).figures()

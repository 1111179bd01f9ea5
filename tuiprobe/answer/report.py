"""A run directory to its Report: every probe, from files alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tuiprobe import __version__
from tuiprobe.errors import DataError
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.merge import ROW_SAMPLE
from tuiprobe.probes.algebra import fixed_threads
from tuiprobe.probes.concepts.of_run import probe_run_concepts
from tuiprobe.probes.directions.compute import probe_directions
from tuiprobe.probes.directions.result import Directions
from tuiprobe.probes.heads import SetFeatures
from tuiprobe.probes.inputs import ShardSums, TapArrays
from tuiprobe.probes.nonfinite import final_statistics, nonfinite_ids, without_nonfinite
from tuiprobe.probes.outliers.compute import probe_outliers
from tuiprobe.probes.outliers.neighbours import llm_int8
from tuiprobe.probes.outliers.result import Criterion, Outliers, PersistentChannels
from tuiprobe.probes.outliers.verdict import judge
from tuiprobe.probes.population.compute import population
from tuiprobe.probes.robustness.baselines import baselines_for
from tuiprobe.probes.robustness.compute import probe_robustness
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.results import DataSet, NotRun, Skipped
from tuiprobe.results.report import NotRunPart, Report, title_for
from tuiprobe.run.arrays import Arrays, read_arrays
from tuiprobe.run.checked_arrays import check_features, check_statistics
from tuiprobe.run.directory import RunDir
from tuiprobe.run.head_file import head_digest, read_head, read_own_names
from tuiprobe.run.preflight_file import read_preflight, warnings_of
from tuiprobe.run.records import (
    MeasuredRecord,
    PlanRecord,
    SampleRecord,
    SetRecord,
    TapRecord,
    kept_baseline,
    read_measured,
    read_plan,
    read_samples,
    read_spec,
)
from tuiprobe.spec import FINAL_TAP, content_key

LISTED_NONFINITE = 100
"""Images of a set that `results.json` names for a representation that is not finite."""

NAMED_NONFINITE = 3
"""Of these, the ones that a warning names."""


@fixed_threads()
def probe_directory(directory: RunDir) -> Report:
    """Runs all probes on what a run measured; the same bits whatever the number of threads.

    Args:
        directory: A run whose shards are merged.

    Raises:
        DataError: If a file of the run is missing or damaged.
    """
    plan, record, spec = read_plan(directory), read_measured(directory), read_spec(directory)
    measured = record.sets
    statistics, _ = read_arrays(directory.statistics_file, record.statistics)
    samples = read_samples(directory)
    sets = [one for one in plan.sets if one.name in measured]
    features = {
        one.name: _features(
            directory, one, plan.model.width, samples.get(one.name, {}), measured[one.name]
        )
        for one in sets
    }
    data = tuple(
        _data_set(directory, one, measured[one.name], samples.get(one.name, {}), features[one.name])
        for one in sets
    )
    finite = {name: without_nonfinite(one) for name, one in features.items()}
    images = tuple(one for one in data if one.name != plan.concept_set)
    outliers: list[Outliers] = []
    cross_layer: list[Criterion] = []
    for one in images:
        paths = {id: sample.path for id, sample in samples[one.name].items()}
        taps = [
            tap_arrays(directory, one, tap, statistics, finite[one.name], samples[one.name])
            for tap in plan.taps
        ]
        outliers += [probe_outliers(tap, paths=paths, seed=spec.seed) for tap in taps]
        if one is images[0]:
            blocks = [tap for tap in taps if tap.tap in plan.blocks]
            cross_layer.append(llm_int8(blocks, all_blocks=plan.all_blocks))
    final = next(o for o in outliers if o.final and o.data == images[0].name)
    verdict = judge(final, plan.model, images[0])
    directions, robustness, not_run = probe_head(
        directory, plan.sets, images, finite, samples, final, spec.seed
    )
    concepts = probe_run_concepts(directory, plan, features, samples, spec)
    if isinstance(concepts, NotRun):
        not_run = (*not_run, NotRunPart(part="concepts", reason=concepts.reason))
    fingerprints = [f for one in measured.values() for f in one.fingerprints]
    checks = read_preflight(directory)
    return Report(
        title=_title(title_for(plan.model, images, verdict), plan, measured),
        tuiprobe=__version__,
        key=plan.key,
        spec=spec.to_json(),
        model=plan.model,
        data=data,
        fingerprint=fingerprints[0],
        verdict=verdict,
        outliers=tuple(outliers),
        cross_layer=tuple(cross_layer),
        directions=directions,
        robustness=robustness,
        concepts=None if isinstance(concepts, NotRun) else concepts,
        population=population(final, plan.model),
        preflight=checks,
        probe_key=content_key(
            {
                "head": head_digest(directory),
                "seed": spec.seed,
                "concepts": [spec.concept_share, spec.balance, spec.negatives],
            }
        ),
        not_run=not_run,
        warnings=(*_warnings(plan, measured, data), *warnings_of(checks)),
    )


def tap_arrays(
    directory: RunDir,
    data: DataSet,
    tap: TapRecord,
    statistics: Arrays,
    features: Arrays,
    samples: Mapping[int, SampleRecord],
) -> TapArrays:
    """Returns what a probe is given of one set at one tap.

    Args:
        directory: The run.
        data: The set.
        tap: The tap.
        statistics: Merged statistics of all sets and taps.
        features: `features` and `ids` of the set's images with a finite representation.
        samples: The set's samples by id.

    Raises:
        DamagedFileError: If the statistics are not what they should be.
    """
    prefix = f"{data.name}/{tap.name}/"
    fields = {n.removeprefix(prefix): a for n, a in statistics.items() if n.startswith(prefix)}
    final = tap.name == FINAL_TAP
    images = data.measured if final else None
    fields = check_statistics(
        directory.statistics_file, fields, tap, samples, data.labelled, images
    )
    if final:
        fields = final_statistics(fields, features)
    ids = fields["sample_ids"]
    return TapArrays(
        set=data.name,
        tap=tap.name,
        kind=tap.kind,
        tokens=tap.tokens,
        channels=tap.channels,
        statistics=fields,
        features=features["features"] if final else None,
        rows=fields.get(ROW_SAMPLE),
        shards=ShardSums(
            share_sum=fields["shard_share_sum"],
            share_square_sum=fields["shard_share_square_sum"],
            images=fields["shard_images"],
            kurtosis_sum=fields["shard_kurtosis_sum"],
        ),
        labels=np.array([samples[i].label for i in ids.tolist()]) if data.labelled else None,
    )


def probe_head(
    directory: RunDir,
    planned: tuple[SetRecord, ...],
    data: tuple[DataSet, ...],
    features: Mapping[str, Arrays],
    samples: Mapping[str, Mapping[int, SampleRecord]],
    final: Outliers,
    seed: int,
) -> tuple[Directions | None, Robustness | None, tuple[NotRunPart, ...]]:
    """Runs the probes that need a head; a part that cannot run says why."""
    parts = ("directions", "robustness")
    found = read_head(directory)
    if isinstance(found, str):
        return None, None, tuple(NotRunPart(part=part, reason=found) for part in parts)
    head, answers = found
    own = read_own_names(directory)
    weights = [head.weight, *(one.weight for one in own.values() if not isinstance(one, str))]
    if any(weight.shape[1] != final.channels for weight in weights):
        raise DamagedFileError(
            f"{directory.head_file} is damaged: a head is not of {final.channels} channels"
        )
    sets = [_set_features(one, features[one.name], samples[one.name], answers) for one in data]
    persistent = final.persistent
    channels = (
        [one.channel for one in persistent.channels]
        if isinstance(persistent, PersistentChannels)
        else []
    )
    not_run: list[NotRunPart] = []
    directions, robustness = None, None
    try:
        directions = probe_directions(head, sets, channels, seed=seed)
    except DataError as error:
        not_run.append(NotRunPart(part="directions", reason=str(error)))
    try:
        measured = [one for one in planned if one.name in features]
        shifts, baselines = baselines_for(measured, kept_baseline(directory))
        robustness = probe_robustness(head, sets, shifts, baselines, own)
    except DataError as error:
        not_run.append(NotRunPart(part="robustness", reason=str(error)))
    return directions, robustness, tuple(not_run)


def _set_features(
    one: DataSet,
    arrays: Arrays,
    samples: Mapping[int, SampleRecord],
    answers: Mapping[str, NDArray[np.int64]],
) -> SetFeatures:
    labelled = one.labelled and one.name in answers
    ids = arrays["ids"].tolist()
    return SetFeatures(
        name=one.name,
        features=arrays["features"],
        labels=np.array([samples[i].label for i in ids], dtype=np.int64) if labelled else None,
        answers=answers.get(one.name),
    )


def _features(
    directory: RunDir,
    one: SetRecord,
    channels: int,
    samples: Mapping[int, SampleRecord],
    measured: MeasuredRecord,
) -> Arrays:
    file = directory.features_file(one.name)
    arrays, _ = read_arrays(file, measured.features)
    return check_features(file, arrays, channels, samples, bool(one.classes))


def _data_set(
    directory: RunDir,
    one: SetRecord,
    measured: MeasuredRecord,
    samples: Mapping[int, SampleRecord],
    features: Arrays,
) -> DataSet:
    nonfinite = nonfinite_ids(features)
    if any(i not in samples for i, _ in measured.skipped):
        raise DamagedFileError(
            f"{directory.measured_file} names an image that is not of {one.name}"
        )
    return DataSet(
        name=one.name,
        source=one.source,
        images=one.planned,
        measured=len(features["ids"]),
        skipped=tuple(Skipped(path=samples[i].path, reason=why) for i, why in measured.skipped),
        nonfinite=len(nonfinite),
        nonfinite_images=tuple(samples[i].path for i in nonfinite[:LISTED_NONFINITE]),
        classes=len(one.classes),
        labelled=bool(one.classes),
    )


def _title(title: str, plan: PlanRecord, measured: Mapping[str, MeasuredRecord]) -> str:
    return title if _complete(plan, measured) else f"PARTIAL: {title}"


def _complete(plan: PlanRecord, measured: Mapping[str, MeasuredRecord]) -> bool:
    return all(
        one.name in measured and measured[one.name].shards == one.shards for one in plan.sets
    )


def _notes(plan: PlanRecord) -> list[str]:
    """What is to be known of each set; said once where it holds for all but the concept set."""
    images = [one for one in plan.sets if one.name != plan.concept_set]
    common = [note for note in images[0].notes if all(note in one.notes for one in images)]
    others = [(one.name, note) for one in plan.sets for note in one.notes if note not in common]
    return common + [f"{name}: {note}" for name, note in others]


def _warnings(
    plan: PlanRecord, measured: Mapping[str, MeasuredRecord], data: tuple[DataSet, ...]
) -> tuple[str, ...]:
    warnings = _notes(plan)
    if not _complete(plan, measured):
        done = ", ".join(f"{d.measured} of {d.images} images of {d.name}" for d in data)
        warnings.append(f"interrupted: {done} were measured; the same command resumes the run")
    warnings += [_said_nonfinite(one) for one in data if one.nonfinite]
    if any(len(one.fingerprints) > 1 for one in measured.values()):
        warnings.append("shards of different hardware or libraries were mixed (--mix)")
    pieces = max(one.pieces for one in measured.values())
    if pieces > 1:
        warnings.append(f"memory ran out: batches were cut into up to {pieces} pieces")
    if "assumed" in plan.model.preprocessing.source:
        warnings.append(f"preprocessing: {plan.model.preprocessing.source}")
    return tuple(warnings)


def _said_nonfinite(data: DataSet) -> str:
    named = ", ".join(data.nonfinite_images[:NAMED_NONFINITE])
    more = data.nonfinite - NAMED_NONFINITE
    return (
        f"{data.nonfinite:,} of {data.measured:,} images of {data.name} gave representations that "
        "are not finite, and are left out of accuracy, directions and every other figure of the "
        f"final representation: {named}{f' and {more:,} more' if more > 0 else ''}"
    )

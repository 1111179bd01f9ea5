"""Opens a run from its spec: loads the encoder, plans the run and locks its directory."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from tuiprobe.datasets.assemble import open_suite
from tuiprobe.datasets.registry import SOURCES
from tuiprobe.errors import UsageError, WeightsError
from tuiprobe.events import Event, Listener
from tuiprobe.files import DamagedFileError
from tuiprobe.measure.clock import Clock
from tuiprobe.measure.contents import refuse_other_images
from tuiprobe.measure.device import available_cores, choose_device, usual_batch
from tuiprobe.measure.embeddings import RowStages, plan_vectors
from tuiprobe.measure.finished import file_stamps
from tuiprobe.measure.head_probe import probe_split
from tuiprobe.measure.plan import Plan, make_plan
from tuiprobe.measure.ranks import Rank, current_rank
from tuiprobe.measure.stages import Answer, Stages
from tuiprobe.models.ablated import parse_ablations
from tuiprobe.models.load import load_encoder
from tuiprobe.models.offline import go_offline
from tuiprobe.models.registry import LOADERS
from tuiprobe.run.directory import RunDir, kept_files
from tuiprobe.run.locks import lock_of
from tuiprobe.run.records import read_spec
from tuiprobe.spec import CPU_BATCH, GPU_BATCH, RunSpec


def open_run(
    spec: RunSpec,
    locks: ExitStack,
    *,
    output: Path | None,
    runs: Path,
    fresh: bool,
    listen: Listener,
    answer: Answer,
) -> Stages:
    """Returns the stages of a run, whose directory is locked until `locks` is closed.

    Args:
        spec: The spec of the run.
        locks: Holds the lock.
        output: The run directory; None makes one under `runs`, named by content.
        runs: Folder of run directories.
        fresh: Whether to delete what an earlier attempt left.
        listen: Told about all events.
        answer: Runs the probes on the merged run.

    Raises:
        TuiprobeError: If encoder, data or directory cannot be used.
    """
    clock, rank = Clock(), current_rank()
    if spec.offline:
        go_offline()
    torch.set_num_threads(spec.threads or max(available_cores() // rank.local_world, 1))
    asked, spec = spec, settled(spec, rank, earlier(output) if not fresh else None)
    listen(Event("stage", f"loading {spec.model}", {"stage": "load"}))
    for said in _hidden(spec):
        listen(Event("warning", said))
    vectors = spec.embeddings is not None
    with clock.stage("load"):
        plan = plan_vectors(spec) if vectors else _plan(spec)
        if output is None and not vectors and not fresh:
            plan = _begun(plan, asked, rank, runs)
    directory = RunDir(output if output is not None else runs / plan.directory_name)
    if fresh:
        _refuse_ranks(rank)
        directory.refuse_to_clear()
    else:
        if not vectors:
            refuse_other_images(plan, directory)
        directory.refuse_foreign(plan.key)
    locks.enter_context(directory.locked(lock_of(rank.number)))
    if fresh and (kept := directory.clear()):
        listen(Event("warning", kept_files(directory.path, kept)))
    stages = RowStages if vectors else Stages
    return stages(plan, directory, rank, clock, listen, answer)


def earlier(output: Path | None) -> RunSpec | None:
    """Returns the spec of an earlier attempt in a directory; None without one."""
    if output is None:
        return None
    try:
        return read_spec(RunDir(output))
    except DamagedFileError:
        return None


def settled(spec: RunSpec, rank: Rank, before: RunSpec | None) -> RunSpec:
    """Returns a spec whose device and batch size are chosen, as an earlier attempt chose them.

    Args:
        spec: As the user gave it.
        rank: This process.
        before: The spec of an earlier attempt in the same directory; None without one.

    Raises:
        UsageError: If this machine has no such device.
    """
    if spec.embeddings is not None:  # no network runs
        return replace(spec, device="cpu")
    device = choose_device(spec.device, rank, before.device if before is not None else None)
    kept = before.batch_size if before is not None else None
    return replace(spec, device=device, batch_size=spec.batch_size or kept or usual_batch(device))


def _begun(plan: Plan, asked: RunSpec, rank: Rank, runs: Path) -> Plan:
    """Returns the plan of a run that was begun, perhaps on another machine; else the given one.

    The name of a directory comes from its key, of which the batch size is a part. Where the user
    named none, the run may have been begun with the one of another kind of device.
    """
    if asked.batch_size is None and not (runs / plan.directory_name).exists():
        for batch in {CPU_BATCH, GPU_BATCH} - {plan.spec.batch}:
            other = make_plan(
                replace(plan.spec, batch_size=batch), plan.encoder, plan.suite, plan.files
            )
            if (runs / other.directory_name).exists():
                plan = other
    before = earlier(runs / plan.directory_name)
    spec = settled(replace(asked, batch_size=plan.spec.batch_size), rank, before)
    return plan if spec.device == plan.spec.device else _plan(spec)


def _refuse_ranks(rank: Rank) -> None:
    if rank.world > 1:
        raise UsageError("--fresh with several ranks would race: delete the run directory first")


def _hidden(spec: RunSpec) -> tuple[str, ...]:
    """Returns warnings if another package registers a built-in name that this run uses."""
    if spec.embeddings is not None:
        return ()
    named = (spec.data, spec.concepts or "", *spec.target)
    sources = [text.partition(":")[0] for text in named]
    return (*SOURCES.warnings(sources), *LOADERS.warnings([spec.model.partition(":")[0]]))


def _plan(spec: RunSpec) -> Plan:
    suite = open_suite(spec)
    files = file_stamps(spec)
    checkpoint = Path(spec.checkpoint) if spec.checkpoint else None
    encoder = load_encoder(spec.model, checkpoint=checkpoint, device=spec.device, dtype=spec.dtype)
    if spec.require_weights and encoder.weights.kind == "untrained":
        raise WeightsError(
            f"{spec.model} has no public weights and --require-weights was given: pass its "
            "weights with --checkpoint FILE"
        )
    for name, channels in parse_ablations(spec.ablate).items():
        encoder.ablate(name, channels, spec.ablate_mode)
    plan = make_plan(spec, encoder, suite, files)
    if plan.head.kind == "probe":  # fail now, not after hours
        probe_split(plan)
    return plan

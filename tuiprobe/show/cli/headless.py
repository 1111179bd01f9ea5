"""`tuiprobe --headless`: one run per model, progress on stderr, summary on stdout."""

from __future__ import annotations

import gc
import json
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tuiprobe.catalog.published_models import presets
from tuiprobe.datasets.load import user_spec
from tuiprobe.errors import INTERRUPTED, DataError, TuiprobeError, UsageError, WeightsError
from tuiprobe.files import expand_home, read_regular
from tuiprobe.limits import MODELS_BYTES
from tuiprobe.measure.engine.shards import current_rank
from tuiprobe.measure.engine.stopping import (
    RESUMABLE,
    Interrupted,
    catching_signals,
    failure_event,
    stop_signals,
)
from tuiprobe.measure.run.preview import preview_lines
from tuiprobe.measure.run.status import Event, Listener
from tuiprobe.models.loaders.published_weights import set_offline
from tuiprobe.options import OptionError, flag
from tuiprobe.plaintext import plain, text_of
from tuiprobe.plugins import MODELS, foreign_names, is_foreign
from tuiprobe.request import RunRequest, directory_options, refuse_unreadable
from tuiprobe.show.cli.output import terminal
from tuiprobe.show.narration import Detail, announce_downloads, narrated

if TYPE_CHECKING:
    from tuiprobe.measure.engine.opening import RunOutcome
    from tuiprobe.measure.run.directory import RunDir


PAPER = "paper"
"""What a user types in place of a file for the encoders of the paper."""

ModelLine = tuple[str, str | None]
"""A model, and the file with its weights if the list names one."""


def paper_models() -> tuple[str, ...]:
    """Returns the presets of the paper: all but those that ship with the package."""
    return tuple(name for name, preset in presets().items() if not preset.shipped)


def read_models(path: str) -> tuple[ModelLine, ...]:
    """Returns the models that a file lists, each once, in its order.

    Args:
        path: A file with a line `MODEL [checkpoint=FILE]` for each model, quoted as in a shell,
            blank lines, and comments that begin with `#`; or `paper`. Relative paths of
            checkpoints start at the folder of the file.

    Raises:
        UsageError: If the file cannot be read, lists no model, or a line cannot be used; names
            file and line.
    """
    if path == PAPER:
        return tuple((name, None) for name in paper_models())
    file = Path(path)
    try:
        lines = text_of(read_regular(file, MODELS_BYTES)).splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the list of models {file}: {error.strerror}") from error
    except DataError as error:
        raise UsageError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{file} is no list of models: {error}") from error
    models = tuple(dict.fromkeys(_models(file, lines)))
    if not models:
        raise UsageError(f"{file} lists no model; write one on each line")
    return models


def _models(file: Path, lines: list[str]) -> Iterator[ModelLine]:
    foreign = foreign_names(MODELS)
    for number, line in enumerate(lines, start=1):
        where = f"{file}, line {number}"
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from error
        if not words:
            continue
        model, *others = words
        key, _, checkpoint = others[0].partition("=") if others else ("", "", "")
        if not model or len(others) > 1 or (others and (key != "checkpoint" or not checkpoint)):
            raise UsageError(f"{where}: write MODEL or MODEL checkpoint=FILE")
        if is_foreign(model, foreign):
            raise UsageError(f"{where}: {model!r} runs code; name it by --model yourself")
        base = file.absolute().parent
        yield model, str(base / expand_home(checkpoint)) if checkpoint else None


def requests_of(
    models: list[str],
    list_file: str | None,
    data: str | None,
    options: dict[str, Any],
    refused: list[list[OptionError]] | None = None,
) -> list[RunRequest]:
    """Returns a request for each model.

    Args:
        models: Specs of encoders; the embedded default if empty.
        list_file: File that lists the models in place of `models`; see `read_models`.
        data: Data source; the miniature if None.
        options: Further options of a request; of several models, `output` is the folder of their
            run directories.
        refused: Receives, for each model, the options that are wrong; they are left out.

    Raises:
        UsageError: If the list or, without `refused`, an option cannot be used.
    """
    options = dict(options)
    where = {option.name: options.pop(option.name) for option in directory_options()}
    names: list[str | None] = [*dict.fromkeys(models)] or [None]
    lines: list[tuple[str | None, dict[str, Any]]] = [(name, {}) for name in names]
    if list_file is not None:
        _refuse_beside_list(models, options)
        options["require_weights"] = True
        lines = [(model, {"checkpoint": weights}) for model, weights in read_models(list_file)]
    if where["output"] is not None and (list_file is not None or len(lines) > 1):
        where["runs"] = where.pop("output")
    requests = []
    for model, more in lines:
        wrong = None if refused is None else list[OptionError]()
        spec = user_spec(model, data, {**options, **more}, wrong)
        requests.append(RunRequest(spec=spec, **where))
        if refused is not None and wrong is not None:
            refused.append(wrong)
    return requests


def _refuse_beside_list(models: Sequence[str], options: dict[str, Any]) -> None:
    """Refuses options that a list of models has in its lines."""
    if models:
        raise UsageError("--models lists all models: leave out --model")
    if options.get("checkpoint") is not None:
        raise UsageError(
            "--checkpoint is for one model: in a list, write checkpoint=FILE after its name"
        )


def dry_run(
    models: list[str],
    list_file: str | None,
    data: str | None,
    options: dict[str, Any],
    as_json: bool,
) -> int:
    """Prints what the runs of a command would do; arguments as for `requests_of`.

    Returns:
        The exit code that the first run with an option that is wrong would have; else 0.
    """
    from tuiprobe.measure.engine.dry_run import preview
    from tuiprobe.probes.hooks import HOOKS

    refused: list[list[OptionError]] = []
    requests = requests_of(models, list_file, data, options, refused)
    previews = [preview(*request, hooks=HOOKS) for request in zip(requests, refused, strict=True)]
    for one in previews:
        if as_json:
            print(json.dumps(one.model_dump(mode="json"), allow_nan=False))
            continue
        lines = [f"RUN  {one.spec.model}"] if len(previews) > 1 else []
        lines += [f"✗ {flag(wrong.option)}: {wrong.reason}" for wrong in one.wrong]
        print(*map(plain, [*lines, *preview_lines([one])]), sep="\n")
    return next((one.exit_code for one in previews if one.exit_code), 0)


class Shown(NamedTuple):
    """What a command prints of its runs.

    Attributes:
        as_json: Results as JSON in place of summaries, and the decision in place of the comparison.
        debug: The traceback of what failed.
        detail: How much of the progress.
    """

    as_json: bool = False
    debug: bool = False
    detail: Detail = "usual"


_USUAL = Shown()


def run_requests(requests: Sequence[RunRequest], from_list: bool, shown: Shown = _USUAL) -> int:
    """Runs every model; a failure does not stop the others.

    Args:
        requests: What to measure, where and how.
        from_list: Whether a file lists the models.
        shown: What is printed.

    Returns:
        The exit code: the first that is not 0. Of listed models, 130 if they were interrupted; a
        model without weights is a failure only if no model has any.
    """
    if any(request.spec.offline for request in requests):
        set_offline()  # before a library is imported
    rank = current_rank()
    with catching_signals(owner=True), narrated(rank, shown.detail) as listen:
        models = _Models(requests, from_list, listen, shown)
        try:
            for request in () if from_list else requests:
                refuse_unreadable(vars(request.spec))  # before torch is imported
            return models.run()
        except KeyboardInterrupt as reason:  # before or after measuring: nothing is lost
            listen(Event("interrupted", f"stopped by {reason or 'SIGINT'}; {RESUMABLE}"))
            return INTERRUPTED
        except TuiprobeError as error:
            listen(Event("failed", str(error)))
            if shown.debug:
                traceback.print_exception(error)
            return error.exit_code


@dataclass
class _Models:
    """Measures models, then compares them if there are several.

    Attributes:
        requests: What to measure, where and how.
        from_list: Whether a file lists them: those without weights are then left out, and as many
            are loaded together as memory holds.
        listen: Receives all events.
        shown: What is printed.
        codes: The exit codes, in the order in which the runs ended.
        finished: Runs with results, in the order of the models.
        gaps: What was not measured, each with the reason.
        cards: Of several models, their cards, which follow the decision.
    """

    requests: Sequence[RunRequest]
    from_list: bool
    listen: Listener
    shown: Shown
    codes: list[int] = field(default_factory=list)
    finished: list[RunDir] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    _reported: int = -1  # images, as progress of the stage

    def run(self) -> int:
        """Measures what is left, then compares all; returns the exit code."""
        groups = self._groups()
        announce_downloads([request.spec for group in groups for request in group], self.listen)
        outcomes = [outcome for group in groups for outcome in self._measured(group)]
        next_command = self._compare(outcomes)
        print("\n".join(self.cards), end="", flush=True)
        if self.from_list and current_rank().local == 0:
            for gap in self.gaps:
                print(plain(f"not measured: {gap}"), file=sys.stderr)
        if next_command:
            print(plain(f"next: {next_command}"), file=sys.stderr)
        return self._exit_code(bool(outcomes or self.finished))

    def _groups(self) -> list[list[RunRequest]]:
        """Returns the runs left to measure, in groups that are loaded together."""
        from tuiprobe.measure.engine.machine import affordable, choose_device, free_memory

        if not self.from_list:
            return [[*self.requests]]
        waiting = self._waiting()
        if not waiting:
            return []
        device = choose_device(self.requests[0].spec.device, current_rank())
        return affordable(waiting, free_memory(device))

    def _measured(self, group: list[RunRequest]) -> Iterator[RunOutcome]:
        """Measures a group and writes the reports; yields how each run ended."""
        if INTERRUPTED in self.codes:
            self.gaps += [f"{request.spec.model}: stopped before" for request in group]
            return
        if self.codes:
            gc.collect()  # the parts of a run refer to each other, and hold the model
        from tuiprobe.probes.run import run  # loads torch

        for outcome in run(group, listen=self._receive, failed=self._failed):
            self.codes.append(outcome.exit_code)
            self._report(outcome)
            yield outcome

    def _exit_code(self, any_results: bool) -> int:
        """Returns the first code that is not 0; of a list see `run_requests`."""
        failures = [code for code in self.codes if code]
        if not self.from_list:
            return next(iter(failures), 0)
        if INTERRUPTED in failures:
            return INTERRUPTED
        no_weights = WeightsError.exit_code
        failed = next((code for code in failures if code != no_weights), 0)
        return failed or (0 if any_results else no_weights)

    def _waiting(self) -> list[RunRequest]:
        """Returns the models that are to be opened: not those finished or without weights."""
        from tuiprobe.measure.engine.earlier import finished_runs

        waiting = []
        specs = [request.spec for request in self.requests]
        finished = finished_runs(specs, self.requests[0].runs)
        for request, before in zip(self.requests, finished, strict=True):
            spec = request.spec
            preset = presets().get(spec.model)
            if before is not None and not request.fresh:
                self.listen(Event("stage", f"{spec.model}: finished earlier, in {before.path}"))
                self.finished.append(before)
                if self.shown.as_json and current_rank().number == 0:
                    print(_json_line(before), end="", flush=True)
            elif preset is not None and not preset.public and spec.checkpoint is None:
                self.gaps.append(
                    f"{spec.model}: no public weights exist; write checkpoint=FILE after the name"
                )
            else:
                waiting.append(request)
        return waiting

    def _receive(self, request: RunRequest, event: Event) -> None:
        """Passes on an event, named if there are several runs, with one progress for all."""
        if event.kind == "progress":
            done = event.data["done"]
            if len(self.requests) == 1:
                self.listen(event)
            elif done > self._reported:
                self._reported = done
                self.listen(replace(event, data={**event.data, "answer": ""}))
            return
        if event.kind == "stage":
            self._reported = -1
        kind = event.kind
        if self.from_list and event.data.get("exit_code") == WeightsError.exit_code:
            kind = "warning"
        name = f"{request.spec.model}: " if self.from_list or len(self.requests) > 1 else ""
        self.listen(replace(event, kind=kind, message=name + event.message))

    def _failed(self, request: RunRequest, reason: TuiprobeError | Interrupted) -> None:
        self.codes.append(reason.exit_code)
        interrupted = reason.exit_code == INTERRUPTED
        self.gaps.append(f"{request.spec.model}: {'stopped before' if interrupted else reason}")
        self._receive(request, failure_event(reason))
        if self.shown.debug and not interrupted:
            traceback.print_exception(reason)

    def _report(self, outcome: RunOutcome) -> None:
        """Writes the reports of a finished run, and says where they are."""
        from tuiprobe.show.report import write_reports

        if outcome.merged:
            card = write_reports(outcome.directory, terminal())
            if self.shown.as_json:
                print(_json_line(outcome.directory), end="", flush=True)
            elif len(self.requests) > 1:
                self.cards.append(card)
            else:
                print(card, end="", flush=True)
        if len(self.requests) == 1:
            stop_signals().finish()  # nothing is left to be stopped
        if outcome.merged or outcome.waits or current_rank().local == 0:
            of = " of an UNTRAINED network" if outcome.untrained else ""
            path = outcome.directory.path
            line = f"report{of}: {path / 'report.html'}" if outcome.merged else f"run{of}: {path}"
            print(plain("; ".join(filter(None, (line, outcome.waits)))), file=sys.stderr)

    def _compare(self, outcomes: list[RunOutcome]) -> str:
        """Writes and prints the table of all runs that have results, if there are two or more.

        Returns:
            What to type next, if labels must decide.
        """
        rank = current_rank()
        shared = rank.world > 1  # then the rank that merges last finds all results
        measured = [
            end.directory
            for end in outcomes
            if end.merged or (shared and end.directory.results_file.exists())
        ]
        directories = [*self.finished, *measured]
        complete = not shared or len(measured) == len(outcomes)
        last = any(end.merged for end in outcomes) or (not outcomes and rank.number == 0)
        if len(directories) < 2 or not (complete and last):
            return ""
        from tuiprobe.show.report.decision_file import write_decision

        runs = self.requests[0].runs
        path, text, decision = write_decision(directories, runs, self.gaps, terminal())
        if self.shown.as_json:
            content = {"schema_version": 3, "decision": decision.model_dump(mode="json")}
            text = json.dumps(content, allow_nan=False) + "\n"
        stop_signals().finish()
        sys.stdout.write(text)
        sys.stdout.flush()
        print(plain(f"comparison: {path}"), file=sys.stderr)
        return decision.command if decision.take is None else ""


def _json_line(directory: RunDir) -> str:
    from tuiprobe.show.report import read_report

    return json.dumps(read_report(directory).model_dump(mode="json"), allow_nan=False) + "\n"

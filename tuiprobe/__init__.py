"""tuiprobe: which image encoder to take for your pictures, how good it is, how certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from os import PathLike
    from pathlib import Path
    from typing import TypeAlias, Unpack

    from PIL.Image import Image
    from torch import Tensor, nn
    from torch.utils.data import Dataset

    from tuiprobe import datasets, errors, miniature, models, probes, results, stats, watching
    from tuiprobe.choose.comparing.decision import Decision
    from tuiprobe.choose.labelling.session import Labelling
    from tuiprobe.choose.labelling.standing import LabelStatus
    from tuiprobe.measure.run.status import Event
    from tuiprobe.models.encoder import Encoder
    from tuiprobe.models.heads import Head
    from tuiprobe.results.report import Report
    from tuiprobe.spec import RunOptions
    from tuiprobe.watching import Watched

    ImageSource: TypeAlias = str | PathLike[str] | Dataset[Any] | Iterable[Any]

__version__ = "0.4.0"
__all__ = [
    "Encoder", "__version__", "certify", "compare", "datasets", "errors", "label", "miniature",
    "models", "probe", "probe_several", "probes", "results", "stats", "watch", "watching",
]  # fmt: skip
"""What there is; modules and `Encoder` are imported when they are first used."""


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # else any name would be one, of type Any

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name == "Encoder":
            return import_module("tuiprobe.models").Encoder  # imports torch
        if name in __all__:
            return import_module(f"tuiprobe.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def probe(
    model: str | nn.Module | Encoder | None = None,
    data: ImageSource | None = None,
    *,
    preprocess: Callable[[Image], Tensor] | Any = None,
    classes: str | PathLike[str] | Sequence[str] | None = None,
    head: str | PathLike[str] | nn.Linear | Head | None = None,
    target: ImageSource | Sequence[ImageSource] | None = None,
    output: str | PathLike[str] | None = None,
    fresh: bool = False,
    progress: bool | Callable[[Event], None] | None = None,
    **options: Unpack[RunOptions],
) -> Report:
    """Probes an encoder, or stored vectors, as the command line does.

    An example with your model and your pictures::

        report = tuiprobe.probe(net, "photos", preprocess=transform, classes=["cat", "dog"])

    Args:
        model: A torch module, an `Encoder`, or a name as on the command line, such as
            `open_clip:RN50-quickgelu/openai`; None for the embedded one, or with `embeddings`. A
            module is copied, and stays as it is; see `Encoder.from_module`.
        data: A folder, a name as on the command line, a `Dataset` of torch or of Hugging Face,
            anything that gives or yields pairs of image and label or dicts of them, or two arrays;
            None for `miniature`, or with `embeddings`.
        preprocess: What images go through before a torch module, in validation: a function from a
            PIL image to a float tensor `[3, H, W]`. None for that of a timm model, or where the
            data are preprocessed tensors.
        classes: Names of the head's rows, in label order: a list, or a file with one a line.
        head: As on the command line: `probe`, `zero-shot` or a file. For a torch module also its
            classifier, if that is not the linear layer it ends in.
        target: Images without labels to estimate the accuracy on, as `data`, or several of them.
        output: The run directory; None makes one under `runs/`, named by content.
        fresh: Whether to overwrite an existing run directory.
        progress: Whether to show stages and progress: a bar on a terminal, one line that is
            renewed in a notebook, lines on stderr elsewhere. None shows them only in a terminal
            or notebook, so that logs of programs stay quiet. A function gets every event instead.
        options: Further fields of `tuiprobe.spec.RunSpec`, such as `checkpoint`,
            `layers` or `sample`.

    Returns:
        The report, also written to `results.json` in the run directory. Printing it shows where
        that is (`report.directory`); a notebook shows its card.

    Raises:
        TuiprobeError: If the run fails; the subclass says why, as the exit code does on the
            command line.
    """
    from tuiprobe.api import run_probe

    named = {"preprocess": preprocess, "classes": classes, "head": head, "target": target}
    return run_probe(model, data, output, fresh, progress, {**options, **named})


def probe_several(
    models: Sequence[str | nn.Module | Encoder],
    data: ImageSource | None = None,
    *,
    classes: str | PathLike[str] | Sequence[str] | None = None,
    head: str | PathLike[str] | None = None,
    target: ImageSource | Sequence[ImageSource] | None = None,
    output: str | PathLike[str] | None = None,
    fresh: bool = False,
    progress: bool | Callable[[Event], None] | None = None,
    **options: Unpack[RunOptions],
) -> list[Report]:
    """Probes several models on the same images, which are decoded once for all.

    An example::

        reports = tuiprobe.probe_several(["mini_clip", "mini_supervised"], "photos")
        print(tuiprobe.compare(reports).sentence)

    Args:
        models: As `model` of `probe`; a torch module brings its preprocessing as an `Encoder`.
        data: As for `probe`, and so are the arguments that are not listed here.
        classes: As for `probe`, for each model.
        head: As for `probe`, for each model.
        target: As for `probe`.
        output: Folder of the run directories; None for `runs/`.
        fresh: As for `probe`.
        progress: As for `probe`.
        options: As for `probe`.

    Returns:
        The report of each model, in their order. The first run that fails ends all; the same call
        resumes.

    Raises:
        TuiprobeError: As `probe` does.
    """
    from tuiprobe.api import run_probes

    named = {"classes": classes, "head": head, "target": target}
    where = {"runs": output, "fresh": fresh}
    return run_probes(models, data, where, progress, {**options, **named})


def watch(
    model: nn.Module,
    layers: str | Iterable[str],
    *,
    k: int = 0,
    every: int | None = None,
    batch_dim: int | None = None,
    channel_dim: int | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
) -> Watched:
    """Watches layers of a torch model: statistics of their outputs while anyone's code runs it.

    An example::

        with tuiprobe.watch(model, "blocks.*") as watched:
            for images, _ in loader:
                model(images)
        print(watched.table())

    Works for inference and training, in eager and compiled models, and with any input. Outputs are
    read and never changed. Hooks are removed at the end of the block, also after an exception.

    Args:
        model: The model. Where its `forward` is not what runs (`encode_image` of a CLIP), pass the
            module that is called, for example `model.visual`.
        layers: Globs over names of its modules, separated by blanks or as several strings; `*`
            stops at a dot, `**` does not.
        k: Images to keep per channel and end, by their number in the order seen.
        every: Only every n-th call of the model is measured. None for each, or every tenth where
            more than 50 layers are watched.
        batch_dim: Dimension of the batch where tokens enter the model or leave a layer: 0 for
            `[B, T, C]`, 1 for `[T, B, C]`. None takes what torch's transformers declare by
            `batch_first`, else the one as long as dimension 0 of the model's input.
        channel_dim: Dimension of the channels, 1 or -1, in outputs of modules that do not fix it
            as convolutions, norms and linear layers do. None deduces it from the widths inside.
        output: A run directory: `tuiprobe open` shows it while the block runs, and the figures are
            saved there at its end. If it holds an earlier watch, this one goes into `2`, `3`, …
            below it. Process r of a distributed training writes `<output>-rank<r>`. None for none.
        overwrite: Whether to replace an earlier watch in `output` instead.

    Returns:
        A context manager; its `table`, `figures`, `log`, `save` and `gather` say what was seen.

    Raises:
        UsageError: If no module matches, or an option is out of its range.
    """
    from tuiprobe.watching import Watched
    from tuiprobe.watching.layers import WatchOptions

    options = WatchOptions(every, k, batch_dim, channel_dim)
    return Watched(model, layers, options=options, output=output, overwrite=overwrite)


def compare(
    runs: Sequence[Report | str | PathLike[str]],
    target: str | None = None,
    *,
    trust: Sequence[str] = (),
) -> Decision:
    """Decides which of several models to take, as `tuiprobe compare` does.

    An example::

        decision = tuiprobe.compare(["runs/first", "runs/second"])
        print(decision.sentence)

    Args:
        runs: Two or more run directories, or reports read from them.
        target: Name of the target set whose labels count; None for the first that has labels.
        trust: Ids of doubts to overrule.

    Returns:
        The decision; `take` is the model to take, or None.

    Raises:
        UsageError: If it is fewer than two runs, a report was read from no run directory, or
            `trust` names no doubt.
        DamagedFileError: If a run is missing or damaged.
    """
    from tuiprobe.choose.comparing.decide import decide
    from tuiprobe.choose.comparing.runs import directories, read_runs
    from tuiprobe.results.doubt import checked_trust

    return decide(read_runs(directories(runs)), target, checked_trust(trust))


def label(
    runs: Sequence[Report | str | PathLike[str]],
    target: str | None = None,
    *,
    answers: str | PathLike[str] | None = None,
    answers_from: str | PathLike[str] | None = None,
    difference: bool = False,
    trust: Sequence[str] = (),
) -> Decision:
    """Labels pictures of a target by what is known of them, as `tuiprobe label` does.

    Args:
        runs: Two or more run directories, or reports read from them.
        target: Name of the target set; None for the only one.
        answers: A table of answers, as of `tuiprobe label --todo` or its page.
        answers_from: Class folders, another labelled source or a table, whose labels are taken in
            the order in which they are asked, until it is decided.
        difference: Whether `answers_from` goes on after the decision, to narrow the differences.
        trust: Ids of doubts to overrule.

    Returns:
        The decision by all labels stored for the runs.

    Raises:
        UsageError: If it is fewer than two runs, a label is wrong, or a table of labels is doubted.
        DataError: If a run cannot be labelled, or labels cannot be read.
    """
    from contextlib import closing

    from tuiprobe.choose.comparing.decide import decide
    from tuiprobe.choose.comparing.runs import directories, read_runs
    from tuiprobe.choose.labelling.session import open_labelling
    from tuiprobe.results.doubt import checked_trust

    paths, trusted = directories(runs), checked_trust(trust)
    with closing(open_labelling(paths, target)) as labelling:
        labelling.narrow = difference
        _take_labels(labelling, answers, answers_from, trusted)
        return decide(read_runs(paths), labelling.matched.source_run.target, trusted)


def certify(
    run: Report | str | PathLike[str],
    tolerated: float,
    target: str | None = None,
    *,
    answers: str | PathLike[str] | None = None,
    answers_from: str | PathLike[str] | None = None,
    trust: Sequence[str] = (),
) -> LabelStatus:
    """Certifies which pictures of a target a run may answer alone, as `label --unattended` does.

    Args:
        run: A run directory, or a report read from one.
        tolerated: Share of wrong answers that is tolerated among them, for example 0.05.
        target: Name of the target set; None for the only one.
        answers: As for `label`.
        answers_from: As for `label`; labels are read until they certify no more.
        trust: As for `label`.

    Returns:
        How far the labels beside the run are: `unattended` says how many pictures they certify,
        and `doubts` what speaks against them.

    Raises:
        UsageError: If a label is wrong, a table of labels is doubted, or the share is not above 0
            and at most 0.5.
        DataError: If the run cannot be labelled, or labels cannot be read.
    """
    from contextlib import closing

    from tuiprobe.choose.comparing.runs import directory_named
    from tuiprobe.choose.labelling.certificate import tolerated_share
    from tuiprobe.choose.labelling.session import open_labelling
    from tuiprobe.choose.labelling.standing import label_status
    from tuiprobe.results.doubt import checked_trust

    share, trusted = tolerated_share(repr(tolerated)), checked_trust(trust)
    with closing(open_labelling([directory_named(run)], target, tolerated=share)) as labelling:
        _take_labels(labelling, answers, answers_from, trusted)
        return label_status(labelling, trusted)


def _take_labels(
    labelling: Labelling,
    answers: str | PathLike[str] | None,
    answers_from: str | PathLike[str] | None,
    trust: Sequence[str],
) -> None:
    """Takes labels of a table and of a labelled source, and writes reports again."""
    import warnings
    from os import fspath
    from pathlib import Path

    from tuiprobe.choose.labelling.handed_out import import_answers, known_labels, label_known
    from tuiprobe.show.report.formats import renew_labelled

    if answers is not None:
        import_answers(labelling, Path(answers), trust)
    if answers_from is not None:
        source, narrow = fspath(answers_from), labelling.narrow
        label_known(labelling, known_labels(labelling, source, trust).classes, source, narrow)
    if labelling.changed:
        for reason in renew_labelled(run.directory for run in labelling.matched.candidates):
            warnings.warn(reason, stacklevel=3)

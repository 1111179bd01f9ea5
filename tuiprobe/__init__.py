"""tuiprobe: will this image encoder hold up on my pictures, why, and how sure is that?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from torch import nn

    from tuiprobe.events import Event
    from tuiprobe.results.report import Report
    from tuiprobe.watching import Watched

__version__ = "0.2.0"
__all__ = ["__version__", "probe", "watch"]


def probe(
    model: str | None = None,
    data: str | None = None,
    *,
    output: str | Path | None = None,
    progress: bool | Callable[[Event], None] | None = None,
    **options: Any,
) -> Report:
    """Probes an encoder, or stored vectors, as the command line does.

    Args:
        model: Encoder, for example `open_clip:RN50-quickgelu/openai`; None for the embedded one,
            or with `embeddings`.
        data: Data source, for example the folder `/data/val`, or `miniature`, likewise.
        output: The run directory; None makes one under `runs/`, named by content.
        progress: Whether to show stages and progress: a bar on a terminal, one line that is
            renewed in a notebook, lines on stderr elsewhere. None shows them only in a terminal
            or notebook, so that logs of programs stay quiet. A function gets every event instead.
        options: Further fields of `tuiprobe.spec.RunSpec`, such as `checkpoint`,
            `layers` or `sample`.

    Returns:
        The report, also written to `results.json` in the run directory. A notebook shows its
        card.

    Raises:
        TuiprobeError: If the run fails; the subclass says why, as the exit code does on the
            command line.
    """
    from tuiprobe.api import run_probe

    return run_probe(model, data, output, progress, options)


def watch(
    model: nn.Module,
    layers: str | Iterable[str],
    *,
    k: int = 0,
    every: int = 1,
    batch_dim: int | None = None,
    output: str | Path | None = None,
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
            module that is called, such as `model.visual`.
        layers: Globs over names of its modules, separated by blanks or as several strings; `*`
            stops at a dot, `**` does not.
        k: Images to keep per channel and end, by their number in the order seen.
        every: Only every n-th call of the model is measured.
        batch_dim: Dimension of the batch where tokens enter the model or leave a layer: 0 for
            `[B, T, C]`, 1 for `[T, B, C]`. None takes what torch's transformers declare by
            `batch_first`, else the one as long as dimension 0 of the model's input.
        output: A run directory: `tuiprobe open` shows it while the block runs, and the figures are
            saved there at its end. None for none.

    Returns:
        A context manager; its `table`, `figures`, `log` and `save` say what was seen.

    Raises:
        UsageError: If no module matches, or an option is out of its range.
    """
    from tuiprobe.watching import Watched

    return Watched(model, layers, k=k, every=every, batch_dim=batch_dim, output=output)

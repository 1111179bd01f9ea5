"""tuiprobe: probe vision encoders for the inner signature of robustness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuiprobe.results.report import Report

__version__ = "0.1.0"
__all__ = ["__version__", "probe"]


def probe(
    model: str | None = None,
    data: str | None = None,
    *,
    output: str | None = None,
    **options: Any,
) -> Report:
    """Probes an encoder, or stored vectors, as the command line does.

    Args:
        model: Encoder, for example `open_clip:RN50-quickgelu/openai`; None for the embedded one,
            or with `embeddings`.
        data: Data source, for example `imagefolder:/data/val` or `miniature`, likewise.
        output: The run directory; None makes one under `runs/`, named by content.
        options: Further fields of `tuiprobe.spec.RunSpec`, such as `checkpoint`,
            `layers` or `sample`.

    Returns:
        The report, also written to `results.json` in the run directory.

    Raises:
        TuiprobeError: If the run fails; the subclass says why, as the exit code does on the
            command line.
    """
    from tuiprobe.api import run_probe

    return run_probe(model, data, output, options)

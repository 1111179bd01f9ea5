"""The figures of watched layers, and their table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuiprobe.numbers import MISSING, number
from tuiprobe.plaintext import TextColumn, text_table
from tuiprobe.probes.intervals import mean_interval
from tuiprobe.probes.outliers.compute import outlying_channels
from tuiprobe.probes.outliers.moments import basis_reference, persistence_of_sums
from tuiprobe.results import Figure, NotRun, given
from tuiprobe.watching.layers import LayerStatistics

HEADINGS = ("layer", "channels", "images", "kurtosis", "outlier channels", "largest share")


@dataclass(frozen=True)
class LayerFigures:
    """What was seen of one layer.

    Attributes:
        layer: Name of the module.
        kind: `vector`, `token` or `map`.
        channels: Width C.
        images: Images seen.
        kurtosis: Mean over images of the kurtosis over channels, with its 95 % interval.
        random_rotation: Kurtosis that a random rotation of the channels would leave.
        persistence: Whether the same channels are large in every image, from 0 to 1.
        leading: Channel of the largest share in the fourth moment; None without images.
        share: Its mean share, from 0 to 1.
        outlier_channels: Outlier channels by the rule of the outlier probe, highest first, from a
            sample of one row an image; a reason where the rule does not apply.
        nonfinite: Values that were NaN or infinite, in no other figure.
    """

    layer: str
    kind: Literal["vector", "token", "map"]
    channels: int
    images: int
    kurtosis: Figure
    random_rotation: float
    persistence: Figure
    leading: int | None
    share: float
    outlier_channels: tuple[int, ...] | NotRun
    nonfinite: int

    def scalars(self) -> dict[str, float]:
        """Returns the numbers that a training log wants, by name; those not given are absent."""
        scalars = {"share": self.share, "images": float(self.images)}
        for name, figure in (("kurtosis", self.kurtosis), ("persistence", self.persistence)):
            if given(figure):
                scalars[name] = figure.value
        if not isinstance(self.outlier_channels, NotRun):
            scalars["outlier_channels"] = float(len(self.outlier_channels))
        return scalars


def figures_of(layer: str, seen: LayerStatistics) -> LayerFigures:
    """Computes the figures of a layer of which at least one image was seen."""
    stats = seen.stats
    samples = stats.samples.compute()
    kurtosis = samples.kurtosis[np.isfinite(samples.kurtosis)]
    total, squares = float(kurtosis.sum()), float((kurtosis**2).sum())
    share = persistence_of_sums(samples.share_sum, samples.share_square_sum, len(kurtosis), None)
    leading = int(samples.share_sum.argmax()) if len(kurtosis) else None
    return LayerFigures(
        layer=layer,
        kind=seen.tap.kind,
        channels=seen.tap.channels,
        images=seen.images,
        kurtosis=mean_interval(total, squares, len(kurtosis), low=1),
        random_rotation=basis_reference(seen.tap.channels),
        persistence=share.value,
        leading=leading,
        share=0.0 if leading is None else float(samples.share_sum[leading]) / len(kurtosis),
        outlier_channels=outlying_channels(seen.rows()),
        nonfinite=int(stats.compute().moments.nonfinite.sum()),
    )


def table(figures: Iterable[LayerFigures], refused: dict[str, str], footer: list[str]) -> str:
    """Returns the figures as aligned text, with the layers that were not measured below."""
    columns = [TextColumn(name, right=name in ("channels", "images")) for name in HEADINGS]
    lines = [*text_table(columns, [_row(layer) for layer in figures])]
    lines += [f"{name}: not measured: {reason}" for name, reason in refused.items()]
    return "\n".join([*lines, *footer])


def _row(figures: LayerFigures) -> tuple[str, ...]:
    if isinstance(figures.outlier_channels, NotRun):
        outliers = MISSING
    else:
        named = ", ".join(map(str, figures.outlier_channels[:4]))
        more = ", …" if len(figures.outlier_channels) > 4 else ""
        count = len(figures.outlier_channels)
        outliers = f"{count}: {named}{more}" if count else "none"
    leading = MISSING
    if figures.leading is not None:
        leading = f"{number(figures.share, 'share')} (channel {figures.leading})"
    kurtosis = figures.kurtosis.with_interval() if given(figures.kurtosis) else MISSING
    return (
        figures.layer,
        number(figures.channels),
        number(figures.images),
        kurtosis,
        outliers,
        leading,
    )

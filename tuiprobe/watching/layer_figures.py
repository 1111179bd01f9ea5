"""The figures of watched layers, and their table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np

from tuiprobe.inside.outliers.compute import outlying_channels
from tuiprobe.inside.outliers.moments import basis_reference, persistence_of_sums
from tuiprobe.numbers import MISSING, number
from tuiprobe.plaintext import TextColumn, text_table
from tuiprobe.probes.intervals import mean_interval
from tuiprobe.results import Figure, NotRun, is_known
from tuiprobe.watching.layers import LayerStatistics

HEADINGS = (
    "layer", "channels", "images", "not finite", "kurtosis", "outlier channels", "largest share"
)  # fmt: skip
_NUMBERS = ("channels", "images", "not finite")


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
        leading: Channel of the largest share in the fourth moment.
        share: Its mean share, from 0 to 1.
        outlier_channels: Outlier channels by the rule of the outlier probe, highest first, from a
            sample of one row an image; a reason where the rule does not apply.
        nonfinite: Values that were NaN or infinite, in no other figure.
        values: All values.
        training: Whether the model was in training mode.
        call: Number of the call within one pass of the model, from 1.
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
    values: int
    training: bool
    call: int

    @property
    def nonfinite_share(self) -> float:
        """The share of values that were NaN or infinite, from 0 to 1."""
        return self.nonfinite / self.values

    def scalars(self) -> dict[str, float]:
        """Returns the numbers that a training log wants, by name; those not given are absent."""
        scalars = {"images": float(self.images), "nonfinite": self.nonfinite_share}
        if self.leading is not None:
            scalars["share"] = self.share
        for name, figure in (("kurtosis", self.kurtosis), ("persistence", self.persistence)):
            if is_known(figure):
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
    moments = stats.compute().moments
    nonfinite = int(moments.nonfinite.sum())
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
        nonfinite=nonfinite,
        values=nonfinite + int(moments.count.sum()),
        training=seen.kind.training,
        call=seen.kind.number,
    )


def table(figures: Iterable[LayerFigures], refused: dict[str, str], footer: list[str]) -> str:
    """Returns the figures as aligned text, with the layers that were not measured below."""
    columns = [TextColumn(name, right=name in _NUMBERS) for name in HEADINGS]
    lines = [*text_table(columns, [_row(layer) for layer in figures])]
    return "\n".join([*lines, *_refusals(refused), *footer])


def html_table(figures: Iterable[LayerFigures], refused: dict[str, str], footer: list[str]) -> str:
    """Returns the same as HTML, with nothing in it that a browser would run."""
    rows = [(_tag("th", name) for name in HEADINGS)]
    rows += [(_tag("td", cell) for cell in _row(layer)) for layer in figures]
    lines = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    notes = "".join(_tag("p", note) for note in [*_refusals(refused), *footer])
    return f"<table>{lines}</table>{notes}"


def _tag(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _refusals(refused: dict[str, str]) -> list[str]:
    return [f"{name}: not measured: {reason}" for name, reason in refused.items()]


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
    kurtosis = figures.kurtosis.with_interval() if is_known(figures.kurtosis) else MISSING
    if figures.nonfinite == figures.values:
        kurtosis = "no finite value"
    elif figures.nonfinite and not is_known(figures.kurtosis):
        kurtosis = "no image of finite values"
    return (
        figures.layer,
        number(figures.channels),
        number(figures.images),
        number(figures.nonfinite_share, "share") if figures.nonfinite else "0",
        kurtosis,
        outliers,
        leading,
    )

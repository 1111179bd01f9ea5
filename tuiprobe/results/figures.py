"""Every figure of a result, found by walking its fields."""

from collections.abc import Iterator

from pydantic import BaseModel

from tuiprobe.results.base import Estimate, Figure, NotRun


def figures_in(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Figure]]:
    """Yields every figure held directly or in a nested model (not in lists), by a dotted name."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Estimate | NotRun):
            yield prefix + name, value
        elif isinstance(value, BaseModel):
            yield from figures_in(value, f"{prefix}{name}.")

"""A figure as cells of a CSV row."""

from tuiprobe.results import Figure, given

Row = list[str | int | float | bool | None]
FIGURE = ["value", "low", "high", "n", "method", "not_run_because"]


def cells(figure: Figure) -> Row:
    """Under the columns `FIGURE`; empty where there is none."""
    if not given(figure):
        return [None, None, None, None, None, figure.reason]
    return [figure.value, figure.low, figure.high, figure.n, figure.method, None]

"""What a report holds of a probe that is not installed here: plain data, told in full."""

from typing import Any

from tests.show.report.samples import estimate, report
from tuiprobe.results import NotRun, Part, Report, TopImage
from tuiprobe.results.section import (
    Bullets,
    Chart,
    Code,
    Column,
    Heading,
    NamedFact,
    NamedFigure,
    NamedSet,
    Prose,
    Section,
    Series,
    Strip,
    StripEnd,
    Strong,
    Table,
)


def stranger(
    value: float = 0.62, outcome: str = "round", members: tuple[str, ...] = ("a", "b")
) -> Part:
    """Returns the part of a probe `edges` with every kind of content, figure, fact and set."""
    texture = estimate(value, 0.05)
    columns = (
        Column(id="layer", title=("layer",)),
        Column(id="texture", title=(Code(code="texture"), " bias")),
    )
    rows = ((Code(code="stem"), texture), (Strong(strong="none"), NotRun(reason="flat")), ("x", 3))
    points = Series(name="texture", x=(0.0, 1.0), y=(value, 0.5), low=(0.5, 0.4), high=(0.7, 0.6))
    bars = points.model_copy(update={"mark": "bars", "role": "second", "low": (), "high": ()})
    line = points.model_copy(update={"role": "control"})
    own = Series(name="this one", x=(0.5,), y=(0.5,), mark="points")
    image = TopImage(sample_id=7, path="cat.jpg", value=1.5, position=0)
    section = Section(
        title="Edges",
        headline=("Texture bias ", texture, " on ", Code(code="val"), "."),
        clause="leans on texture",
        card=(("texture bias ", texture),),
        warnings=("edges: few images",),
        content=(
            Heading(text=("How it leans",)),
            Prose(text=("It leans on ", Strong(strong="texture"), ", ", 0.25, True, None, ".")),
            Bullets(items=(("first",), ("second ", Code(code="x")))),
            Table(id="edges", title=("By layer:",), columns=columns, rows=rows),
            Table(id="heights", columns=columns[:1], rows=(("own table",),), folded=True),
            Chart(id="edges", title="Texture bias", x_label="layer", y_label="bias",
                  series=(bars, points, line, own), ticks=("stem", "head"), note="Read with care."),
            Chart(id="heights", title="Own heights", x_label="x", y_label="y", series=(points,)),
            Strip(id="edges", title=("Edge ", Code(code="3")), data="val",
                  ends=(StripEnd(label="roundest", images=(image,)),)),
        ),
    )  # fmt: skip
    return Part(
        probe="edges",
        title="Edges",
        block="inside",
        result={"texture": value, "layers": [{"name": "stem"}]},
        section=section,
        figures=(
            NamedFigure(id="texture", name="texture bias", data="val", place="final",
                        figure=texture, headline=60, role="signature"),
            NamedFigure(id="texture", name="texture bias", data="val", place="stem",
                        figure=estimate(0.9, 0.01), inner=True),
            NamedFigure(id="texture_robustness", name="robustness to texture", data="val",
                        place="textures", figure=estimate(value / 2, 0.1), role="outcome",
                        about=("textures", "val", "sketches")),
        ),
        facts=(NamedFact(id="shape", name="shape of edges", value=outcome),),
        sets=(NamedSet(id="edges", name="strong edges", data="val", place="stem", members=members,
                       universe=9, basis={"filter": "sobel"}),),
    )  # fmt: skip


def strange_report(**changes: Any) -> Report:
    """Returns the small report with a part of that probe."""
    whole = report()
    return whole.model_copy(update={"parts": (*whole.parts, stranger(**changes))})

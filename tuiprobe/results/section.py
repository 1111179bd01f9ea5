"""The description of a result as plain data: prose, tables, charts, strips of images, figures.

A probe describes its result once; Markdown, HTML, CSV, the terminal and the screens render
the description and know no probe. Strings are not trusted: they are shown as they are and
never interpreted.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tuiprobe.numbers import number
from tuiprobe.results.base import ByName, Count, Estimate, Figure, Frozen, Many, NotRun, Real, Unit


class TopImage(Frozen):
    """One image at an end of a channel.

    Attributes:
        sample_id: Id in the run's sample list.
        path: Relative path in the data set.
        value: Value of the channel.
        position: Row within the image (0 where an image has one row).
    """

    sample_id: Count
    path: str | None
    value: Real
    position: Count


class AnsweredImage(Frozen):
    """An image and the class that it was assigned to.

    Attributes:
        sample_id: Id in the run's sample list.
        path: Relative path in the data set.
        answer: The class that it was assigned to.
        confidence: Of that answer, after temperature scaling where there is a temperature.
    """

    sample_id: Count
    path: str | None
    answer: str
    confidence: Real


Id = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
"""A name that may be part of a file's name."""

Block = Literal["your images", "shifts", "inside", "deploy", "how sure"]
"""The blocks of the card, in order."""

Range = Literal["images", "estimates", "labels", "proven"]
"""What the range of an accuracy is: 95 % over images, 80 % over estimates, 95 % by labels, or
what labels prove."""

Mark = Literal["line", "bars", "points"]
SeriesRole = Literal["main", "second", "third", "control", "reference", "context"]

_BACK_TO_FRONT = ("context", "reference", "control", "third", "second", "main")


class Code(Frozen):
    """A name or path, shown as code."""

    code: str


class Strong(Frozen):
    """Words that a reader must not miss."""

    strong: str


_Object = Annotated[Estimate | NotRun | Code | Strong, Field(union_mode="left_to_right")]
Value = str | bool | int | float | _Object | None
"""A cell of a table, or a piece of prose; figures are formatted where they are shown."""

MOST_BLOCKS = 1000

Text = Many[Value]
"""Pieces of one line, in order."""


class Heading(Frozen):
    """A heading inside a section."""

    kind: Literal["heading"] = "heading"
    text: Text


class Prose(Frozen):
    """A paragraph."""

    kind: Literal["prose"] = "prose"
    text: Text


class Bullets(Frozen):
    """A list of short sentences."""

    kind: Literal["points"] = "points"
    items: Many[Text]


class RowSubject(Frozen):
    """A channel or direction that a row or strip of images is about: what a reader can look into.

    Attributes:
        kind: A channel of a layer, or a direction of the head.
        number: Its index; of a direction the rank by singular value.
        layer: Inner layer of a channel; empty for the final representation.
        centred: Whether a direction is one of the class weights minus their mean.
    """

    kind: Literal["channel", "direction"]
    number: Count
    layer: str = ""
    centred: bool = False

    @property
    def words(self) -> str:
        """Names it for people.

        >>> RowSubject(kind="direction", number=3, centred=True).words
        'direction 3, centred'
        """
        layer = f" of {self.layer}" if self.layer else ""
        return f"{self.kind} {self.number}{layer}{', centred' if self.centred else ''}"


class Column(Frozen):
    """A column of a table.

    Attributes:
        id: Name of the column in CSV.
        title: Heading of the column.
        unit: What its plain numbers count; figures say it themselves.
        term: Id in the glossary; empty where the title is its word.
    """

    id: str
    title: Text
    unit: Unit = "none"
    term: str = ""


class Table(Frozen):
    """A table.

    Attributes:
        id: Identifies it; also the name of its file.
        title: One line above it; empty without.
        columns: Columns of every row.
        rows: One value per column.
        subjects: For each row what it is about, then what else it names; empty without.
        shown: Rows that a page shows; None for all. Files hold all of them.
        folded: Whether a page may hide it until it is asked for.
        reading: Whether people read it; False for tables that only files hold.
        file: Whether it is written as a file; False for an arrangement of what other files hold.
    """

    kind: Literal["table"] = "table"
    id: Id
    title: Text = ()
    columns: Many[Column]
    rows: Many[Many[Value]]
    subjects: Many[Many[RowSubject]] = ()
    shown: Count | None = None
    folded: bool = False
    reading: bool = True
    file: bool = True

    @model_validator(mode="after")
    def _one_value_a_column(self) -> "Table":
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of table {self.id} has not one value a column")
        if len(self.subjects) not in (0, len(self.rows)):
            raise ValueError(f"table {self.id} has not one list of subjects a row")
        return self


class Series(Frozen):
    """One series of a chart.

    Attributes:
        name: For the legend.
        x: One value per point, ascending for lines; for bars the index.
        y: One value per point.
        low: Lower ends of the 95 % intervals; empty without.
        high: Upper ends.
        mark: How it is drawn.
        role: What it stands for: the thing itself, up to two companions, a control, a reference
            line, or the context behind it.
        names: What each point is, for a reader who points at it; empty for none.
    """

    name: str
    x: Many[Real]
    y: Many[Real]
    low: Many[Real] = ()
    high: Many[Real] = ()
    mark: Mark = "line"
    role: SeriesRole = "main"
    names: Many[str] = ()

    @property
    def banded(self) -> bool:
        """Whether a line is drawn with its intervals; companions would only hide each other."""
        spread = self.low and (self.low != self.y or self.high != self.y)
        return bool(spread) and self.role in ("main", "control")

    @property
    def labelled(self) -> bool:
        """Whether the name is written next to the only point, and in no legend."""
        return self.mark == "points" and self.role == "main" and len(self.x) == 1

    @model_validator(mode="after")
    def _one_value_a_point(self) -> "Series":
        lengths = {len(self.x), len(self.y)}
        lengths |= {len(ends) for ends in (self.low, self.high, self.names) if ends}
        if len(lengths) != 1:
            raise ValueError(f"series {self.name!r} has parts of lengths {sorted(lengths)}")
        return self


class Chart(Frozen):
    """A picture of figures.

    Attributes:
        id: Identifies it; also the name of its file.
        title: One line.
        x_label: What x is.
        y_label: What y is.
        series: What is drawn.
        x_unit: What numbers along x count.
        y_unit: What numbers along y count.
        ticks: Names of the positions along x; empty where x is a number.
        note: What a reader must know to read it.
        folded: Whether a page may hide it until it is asked for.
        across: Whether the named positions stand below each other and values run across, as in a
            forest plot; screens draw it upright.
    """

    kind: Literal["chart"] = "chart"
    id: Id
    title: str
    x_label: str
    y_label: str
    series: Many[Series]
    x_unit: Unit = "none"
    y_unit: Unit = "none"
    ticks: Many[str] = ()
    note: str = ""
    folded: bool = False
    across: bool = False

    def back_to_front(self) -> list[Series]:
        """Returns the series in drawing order, the most important last."""
        return sorted(self.series, key=lambda series: _BACK_TO_FRONT.index(series.role))

    def x_range(self) -> tuple[float, float]:
        """Returns the smallest and largest x; bars get half a position on either side.

        >>> points = Series(name="s", x=(0, 4), y=(1, 2))
        >>> Chart(id="c", title="", x_label="", y_label="", series=(points,)).x_range()
        (0.0, 4.0)
        """
        values = [x for series in self.series for x in series.x]
        low, high = min(values, default=0.0), max(values, default=1.0)
        bars = any(series.mark == "bars" for series in self.series)
        return (low - 0.5, high + 0.5) if bars else _separated(low, high)

    def y_range(self) -> tuple[float, float]:
        """Returns the smallest and largest y, intervals included; bars start at zero.

        Shares of named positions are drawn from 0 to 100 %: one run can be held against another.

        >>> points = Series(name="s", x=(0,), y=(1,), low=(0.5,), high=(3.0,))
        >>> Chart(id="c", title="", x_label="", y_label="", series=(points,)).y_range()
        (0.5, 3.0)
        """
        if self.across and self.y_unit == "share":
            return 0.0, 1.0
        values = [y for series in self.series for y in (*series.y, *series.low, *series.high)]
        low, high = min(values, default=0.0), max(values, default=1.0)
        if any(series.mark == "bars" for series in self.series):
            low = min(low, 0.0)
        return _separated(low, high)


def _separated(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)


class StripEnd(Frozen):
    """Images at one end of a channel or direction, most extreme first.

    Attributes:
        label: What they are.
        images: In order.
        captions: What stands below each, in place of its value; empty for the values.
    """

    label: str
    images: Many[TopImage]
    captions: Many[str] = ()

    def captioned(self, most: int | None = None) -> list[tuple[TopImage, str]]:
        """Returns the first images, each with what stands below it."""
        texts = self.captions or tuple(number(image.value) for image in self.images)
        return list(zip(self.images, texts, strict=True))[:most]

    @model_validator(mode="after")
    def _a_caption_each(self) -> "StripEnd":
        if len(self.captions) not in (0, len(self.images)):
            raise ValueError("each image takes a caption, or none does")
        return self


class Strip(Frozen):
    """Images that show what a channel or direction responds to.

    Attributes:
        id: Identifies it within the section.
        title: One line above it.
        data: The set that the images are of.
        ends: The images at each end.
        folded: Whether a page leaves the pictures out.
        subject: The channel or direction, if they show one.
    """

    kind: Literal["strip"] = "strip"
    id: Id
    title: Text
    data: str
    ends: Many[StripEnd]
    folded: bool = False
    subject: RowSubject | None = None


SectionContent = Annotated[
    Heading | Prose | Bullets | Table | Chart | Strip, Field(discriminator="kind")
]


class Section(Frozen):
    """The description of one probe's result.

    Attributes:
        title: Heading of the section and the tab.
        headline: The answer in one line.
        clause: The answer as the title of the report, behind the model's name; may be empty. The
            title is that of the first block of the card that has one.
        clause_on: The set that the clause is about, where the title names it first.
        card: Lines of the card, none where nothing is worth one; None for the headline.
        block: The block of the card that the lines belong to; None for that of the probe.
        tab: Its tab on the screens, if that is not one for its block; there is room for three.
        warnings: What a reader must know before any figure.
        pictures: Ids of the charts and strips of `content` that are next to the card. Of several
            sections in one block of the card, those of the last one that names any.
        content: In order.
    """

    title: str
    headline: Text = ()
    clause: str = ""
    clause_on: str = ""
    card: Many[Text] | None = None
    block: Block | None = None
    tab: Id | None = None
    warnings: Many[str] = ()
    pictures: Many[Id] = ()
    content: Annotated[Many[SectionContent], Field(max_length=MOST_BLOCKS)] = ()

    @model_validator(mode="after")
    def _pictures_exist(self) -> "Section":
        drawn = {piece.id for piece in self.content if isinstance(piece, Chart | Strip)}
        if lost := sorted(set(self.pictures) - drawn):
            raise ValueError(f"section {self.title!r} has no picture {', '.join(lost)}")
        return self


PerImage = Literal["correct", "kurtosis", "confidence", "linear"]
"""The values that a run keeps of each image: whether the head is right, kurtosis of the final
representation, largest softmax probability, whether a head fitted to the other labels is right."""


class BaselineLine(Frozen):
    """What a baseline predicts, sigmoid(slope logit(x) + intercept).

    Attributes:
        set: The set whose mean is x.
        slope: Of the fit in logit space.
        intercept: The intercept.
        covariance: Variance of the slope, covariance, variance of the intercept.
    """

    set: str
    slope: Real
    intercept: Real
    covariance: tuple[Real, Real, Real]


class MeanOf(Frozen):
    """How a figure follows from the values of single images.

    It is the mean over `sets` of the mean over the images of each, less the prediction of `line`
    where there is one. Two runs on the same images are compared in pairs by it.

    Attributes:
        values: Which of the per-image values.
        sets: Names of the sets.
        line: What is subtracted.
    """

    values: PerImage
    sets: Many[str]
    line: BaselineLine | None = None


Role = Literal["signature", "predictor", "outcome", "estimate"]
"""What a figure is to effective robustness: a `signature` or `predictor` that may go with it, its
`outcome`, or an `estimate` of an accuracy that no label confirms."""


class NamedFigure(Frozen):
    """A figure under names by which comparisons, gates, correlations and tables find it.

    Attributes:
        id: For programs, dotted: `kurtosis`, `offset.share`, `top1`.
        name: For people.
        data: Set of images that it was computed on.
        place: Layer, or what else it is of: `embedding`, `accuracy`, `centred W`.
        figure: itself.
        headline: Its rank among those that a reader sees first; None for the others.
        role: What it is to effective robustness.
        about: For an outcome, what it belongs to: baseline, axis, then the shifts.
        inner: Whether it is of a layer before the final representation.
        mean_of: The values of single images that it is the mean of, if a run stores them.
        range: Of an accuracy, what its range is; None for the usual one of its evidence.
        classes: Of an accuracy, among how many classes answers were counted; 0 if not known.
        of_classes: How many classes the head has then.
    """

    id: str
    name: str
    data: str
    place: str
    figure: Figure
    headline: Count | None = None
    role: Role | None = None
    about: Many[str] = ()
    inner: bool = False
    mean_of: MeanOf | None = None
    range: Range | None = None
    classes: Count = 0
    of_classes: Count = 0


class NamedFact(Frozen):
    """A finding of one word, for example the outcome of a rule."""

    id: str
    name: str
    value: str


class NamedSet(Frozen):
    """Things that a probe found, for comparing two runs.

    Attributes:
        id: For programs: `channels`, `concepts`.
        name: For people.
        data: Set of images.
        place: What else it is of.
        members: What was found.
        universe: Number of possible members, if the overlap of two runs can be compared with
            chance.
        basis: What must be equal in two runs to make their members comparable, by name.
    """

    id: str
    name: str
    data: str
    place: str = ""
    members: Many[str]
    universe: Count | None = None
    basis: ByName[str | None] = Field(default_factory=dict)

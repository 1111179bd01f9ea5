"""A finished run as files, with every part and with hostile names; all numbers are made up."""

from pathlib import Path

from PIL import Image

from tests.show.report.samples import (
    data_sets,
    estimate,
    model,
    outlier_channel,
    outliers,
    report,
)
from tuiprobe.choose.robustness.compute import EffectiveRobustness, Robustness
from tuiprobe.inside.concepts.compute import (
    CategoryCount,
    ConceptPoint,
    Concepts,
    DirectionConcepts,
    DirectionFamily,
    EncodedConcept,
)
from tuiprobe.inside.directions.compute import Basis, Direction, Directions
from tuiprobe.inside.directions.pruning import PruningCurve, PruningPoint
from tuiprobe.inside.outliers.result import ChannelImages
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import write_results
from tuiprobe.results import NotRun
from tuiprobe.results.report import Report
from tuiprobe.results.section import TopImage
from tuiprobe.results.set_accuracy import SetAccuracy
from tuiprobe.results.subject import SetSummary

EVIL = "[red]sky[/]\x1b[31m\u202e"
SHIFTS = ("imagenet_v2", "imagenet_r", "imagenet_sketch", "objectnet", "imagenet_a")


def full_report(**changes: object) -> Report:
    """A report with two layers, two sets, directions, concepts and robustness."""
    inner = outliers(
        tap="blocks.3", kind="token", tokens="all", final=False, top_images=(),
        kurtosis=estimate(71.0, 2.0),
    )  # fmt: skip
    lower = outlier_channel(channel=17, height=estimate(4.0, 0.2))
    heights = outliers().heights.model_copy(update={"leading": (outlier_channel(), lower)})
    first = outliers(heights=heights, top_images=(ends(133), ends(17)))
    second = outliers(data=EVIL, kurtosis=estimate(12.0, 0.5))
    fields = {
        "outliers": (inner, first, second), "directions": directions(), "concepts": concepts(),
        "robustness": robustness(), "data": (*data_sets(), *shift_sets()),
        "spec": {"model": "mini_clip", "data": "my photos", "sample": 500, "layers": ["blocks.*"]},
    } | changes  # fmt: skip
    return report(**fields)


def ends(channel: int) -> ChannelImages:
    """Three images at each end; one has a hostile path, one has no picture."""
    paths = ("cats/1.jpg", f"cats/{EVIL}.jpg", None)
    images = tuple(
        TopImage(sample_id=channel + i, path=path, value=9.8 - i, position=0)
        for i, path in enumerate(paths)
    )
    return ChannelImages(channel=channel, largest=images, smallest=images[:1])


def directions() -> Directions:
    """Two bases of eight directions, with curves on two sets."""
    return Directions(
        data="val", head="toy", classes=8, bases=(basis(False), basis(True)),
    )  # fmt: skip


def basis(centred: bool) -> Basis:
    values = tuple(round(0.5 / (i + 1), 4) for i in range(8))
    steps = range(0, 10, 3)

    def curve(data: str, order: str, control: bool, fall: float) -> PruningCurve:
        points = tuple(
            PruningPoint(
                fraction=i / 10, kept=8 - i // 2, accuracy=estimate(0.9 - fall * i / 10, 0.05)
            )
            for i in steps
        )
        return PruningCurve(data=data, order=order, control=control, points=points)  # type: ignore[arg-type]

    return Basis(
        centred=centred, rank=8, singular_values=values, importances=values,
        mean_row_cosine=estimate(0.1, 0.01), top_share=estimate(0.3, 0.01),
        effective_rank=estimate(5.0 + centred, 0.2),
        outlier_share=estimate(0.2, 0.02), outlier_expected=estimate(0.01, 0.005),
        directions=tuple(
            Direction(
                index=i, singular_value=values[i], importance=estimate(values[i], 0.01),
                outlier_share=0.25, channels=(133, i),
            )
            for i in range(4)
        ),
        curves=tuple(
            curve(data, order, control, fall)
            for data in ("val", "r")
            for order, control, fall in (
                ("importance", False, 0.2), ("random directions", True, 0.8),
            )
        ),
    )  # fmt: skip


def concepts() -> Concepts:
    """Three concepts that two directions encode of W, one name hostile."""

    def as_concept(name: str, category: str, precision: float, sign: int = 1) -> EncodedConcept:
        return EncodedConcept(
            name=name, category=category, train=precision + 0.01, val=precision, sign=sign
        )

    def family(name: str, unique: float) -> DirectionFamily:
        return DirectionFamily(
            family=name, directions=8, unique=estimate(unique, 1), rarefied=estimate(unique, 1),  # type: ignore[arg-type]
            rarefied_to=8, polysemanticity=estimate(1.5, 0.1),
            curve=tuple(
                ConceptPoint(threshold=t, concepts=estimate(unique * (1.2 - t), 1))
                for t in (0.5, 0.7, 0.9)
            ),
            categories=(CategoryCount(category="scene", concepts=estimate(unique, 1), tried=9),),
            encoded=(),
        )  # fmt: skip

    images = ends(0).largest
    return Concepts(
        data="broden", train=800, val=400, tried=12, left_out=3, threshold=0.9, prevalence=0.5,
        excess=estimate(6, 1), excess_centred=estimate(7, 1),
        families=(family("singular vectors of W", 9), family("random directions", 3)),
        top=(
            DirectionConcepts(
                index=3, largest=images, smallest=images[:1],
                concepts=(
                    as_concept(EVIL, "scene", 0.98), as_concept("grass", "material", 0.93, -1),
                ),
            ),
            DirectionConcepts(index=1, concepts=(as_concept("dog", "object", 0.71),)),
        ),
    )  # fmt: skip


def robustness() -> Robustness:
    """The validation set and five shifts, against a published baseline."""

    def accuracy(data: str, shift: str | None, top1: float) -> SetAccuracy:
        return SetAccuracy(
            data=data, shift=shift, images=500, classes=10, top1=estimate(top1, 0.02),
            top5=estimate(min(top1 + 0.1, 1), 0.01), id_own_classes=NotRun(reason="all classes"),
        )  # fmt: skip

    line = EffectiveRobustness(
        baseline="standard", target=SHIFTS, axis="imagenet", models=80, left_out=0, slope=1.0439,
        intercept=-1.8918, r2=0.948, value=estimate(0.31, 0.02), prediction=estimate(0.31, 0.04),
        above=True, extrapolated=False,
    )  # fmt: skip
    shifts = tuple(
        accuracy(s.removeprefix("imagenet_") if i else EVIL, s, 0.6 - i / 20)
        for i, s in enumerate(SHIFTS)
    )
    return Robustness(
        data="val", accuracies=(accuracy("val", None, 0.68), *shifts),
        mean_shift=estimate(0.5, 0.01), effective=(line,),
    )  # fmt: skip


def shift_sets() -> list[SetSummary]:
    """The five shifts."""
    names = [accuracy.data for accuracy in robustness().accuracies[1:]]
    return [
        SetSummary(name=name, source=f"imagefolder:/data/{i}", images=500, measured=500, classes=10,
                labelled=True)
        for i, name in enumerate(names)
    ]  # fmt: skip


def write_run(path: Path, content: Report | None = None, pictures: bool = True) -> Path:
    """Writes a finished run; pictures are single colours."""
    run = RunDir(path)
    if not run.key_file.exists():  # arrays that are there already belong to their own key
        run.key_file.write_text("cd" * 32 + "\n")
    run.spec_file.write_json({"model": "mini_clip", "data": "my photos"})
    report = (content or full_report()).model_copy(update={"key": run.read_key()})
    write_results(run, report)
    for sample_id in (133, 134, 17) if pictures else ():
        file = run.thumbnail_file("val", sample_id).path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (200, 40, 40)).save(file, "JPEG")
    return path


def bare_report() -> Report:
    """A report without head, labels and concepts."""
    no_head = NotRun(reason="no labels and no head", remedy="pass --classes FILE or --head FILE")
    return report(model=model(name="bare"), directions=no_head, robustness=no_head)

"""Outlier figures against robustness: which runs count, in which strata, and charts of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Program
from tests.show.report.samples import NO_RUN, estimate, outliers, retold
from tests.show.report.samples import report as sample
from tests.show.report.samples_head import one_hot
from tests.show.report.strangers import stranger
from tuiprobe.catalog.effective_robustness import bundled
from tuiprobe.choose.comparing.differences_section import describe_indicator
from tuiprobe.choose.comparing.indicator import Correlations, correlate, values_of
from tuiprobe.choose.comparing.runs import Run
from tuiprobe.choose.robustness.compute import Baseline, Baselines, probe_robustness
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.directory import RunDir
from tuiprobe.measure.run.results import write_results
from tuiprobe.results import Estimate, NotRun, is_known
from tuiprobe.results.report import Report
from tuiprobe.results.section import Chart, NamedFigure
from tuiprobe.show.cli.app import run_cli
from tuiprobe.show.report.markdown import section_markdown


def run(
    number: int, kurtosis: float, shift: float, *, baseline: str = "standard", **model: Any
) -> Report:
    """A report with planted kurtosis and shift accuracy; each number is another encoder."""
    head, val = one_hot()
    few = SetFeatures("r", val.features.copy(), val.labels)
    few.features[np.arange(200) >= round(200 * shift)] = np.roll(np.eye(24)[0] * 8, 20)
    line = Baseline(bundled(baseline, ("imagenet_r",)), ())
    robustness_result = probe_robustness(head, [val, few], {"r": "imagenet_r"}, Baselines([line]))
    plain = sample().model
    weights = plain.weights.model_copy(update={"digest": f"{number:064d}"})
    weights = weights.model_copy(update=model.pop("weights", {}))  # type: ignore[call-overload]
    about = plain.model_copy(update={"weights": weights, **model})
    figure = Estimate(value=kurtosis, low=None, high=None, n=9, method="planted")
    return sample(robustness=robustness_result, model=about, outliers=(outliers(kurtosis=figure),))


def rising(count: int, **model: Any) -> dict[str, Report]:
    return {
        f"{model.get('architecture', 'x')}-{i}": run(
            1000 * len(model) + i, 3.0 + i, 0.30 + 0.02 * i, **model
        )
        for i in range(count)
    }


def correlated(reports: dict[str, Report]) -> Correlations:
    models = {name: old.model.model_copy(update={"name": name}) for name, old in reports.items()}
    return correlate([old.model_copy(update={"model": models[n]}) for n, old in reports.items()])


def signature(result: Correlations, name: str = "kurtosis, final"):  # type: ignore[no-untyped-def]
    return next(row for row in (*result.signatures, *result.predictors) if row.signature == name)


def test_a_relation_within_a_stratum_is_found() -> None:
    correlations = correlated(rising(9))
    kurtosis = signature(correlations)
    assert kurtosis.within.value == pytest.approx(1)
    assert kurtosis.p_value < 0.01
    assert (correlations.baseline, correlations.target, correlations.axis) == (
        "standard",
        ("imagenet_r",),
        "imagenet",
    )
    assert len(correlations.runs) == 9
    for name in ("top-1, accuracy", "mean confidence, robustness"):  # the same for all of them
        assert "both vary" in signature(correlations, name).within.reason


def test_strata_under_eight_encoders_are_not_run() -> None:
    correlations = correlated(
        rising(7, architecture="RN50", representation="projected")
        | rising(
            4,
            architecture="resnet50",
            representation="pooled",
            tag="a1_in1k",
            training="supervised",
        )
    )
    kurtosis = signature(correlations)
    assert kurtosis.within == NotRun(reason="no stratum of 8 models in which both vary")
    assert {(s.backbone, s.models) for s in kurtosis.strata} == {("RN50", 7), ("RN50", 4)}
    assert is_known(kurtosis.pooled)  # beside the trivial predictor
    assert is_known(kurtosis.pooled_trivial)


def test_runs_that_do_not_count_say_why() -> None:
    good = run(1, 3.0, 0.4)
    more = good.model_copy(
        update={"data": tuple(d.model_copy(update={"measured": 9999}) for d in good.data)}
    )
    correlations = correlated(
        {
            "good": good,
            "more": more,
            "random": run(2, 3.0, 0.4, weights={"kind": "untrained"}),
            "partial": run(4, 3.0, 0.4).model_copy(update={"partial": True}),
            "bare": retold(run(5, 3.0, 0.4), robustness=None),
            "other": run(6, 3.0, 0.4, baseline="standard_and_low"),
        }
    )
    assert [row.run for row in correlations.runs] == ["more"]
    reasons = {row.run: row.reason for row in correlations.left_out}
    assert set(reasons) == {"good", "random", "partial", "bare", "other"}
    assert "same encoder" in reasons["good"]
    assert "no effective robustness" in reasons["bare"]
    text = section_markdown(describe_indicator(correlations))
    assert "No correlation is computed: it needs 8 encoders." in text


def test_the_baseline_is_the_one_that_most_runs_have() -> None:
    few = {"a": run(1, 3.0, 0.4), "b": run(2, 3.0, 0.4)}
    more = {str(i): run(i, 3.0, 0.4, baseline="standard_and_low") for i in range(3, 6)}
    correlations = correlated(few | more)
    assert (correlations.baseline, len(correlations.runs)) == ("standard_and_low", 3)
    assert {row.reason for row in correlations.left_out} == {"other shifts or another baseline"}


def test_signatures_are_those_of_the_first_set_at_the_end() -> None:
    inner = outliers(tap="blocks.1", final=False, kurtosis=estimate(50, 1))
    second = outliers(data="r", kurtosis=estimate(70, 1))
    values = values_of(sample(outliers=(inner, outliers(), second)), "signature")
    assert values == {
        "highest channel, final": 14.0,
        "kurtosis, final": 23.5,
        "offset share, final": 0.55,
        "kurtosis of the offset, final": 210.0,
        "part of the kurtosis that the offset explains, final": 0.93,
        "kurtosis after centring, final": 3.1,
        "persistence, final": 0.93,
        "effective channels, final": 2.2,
        "outlier channels, final": 1.0,
    }


def test_a_probe_that_is_not_installed_has_signatures_and_outcomes() -> None:
    def strange(number: int) -> Report:
        plain = retold(run(number, 3.0, 0.4), robustness=None)
        parts = (*plain.parts, stranger(value=number / 10))
        return plain.model_copy(update={"parts": parts})

    reports = {str(i): strange(i) for i in range(1, 9)}
    correlations = correlated(reports)
    assert (correlations.baseline, correlations.target, correlations.axis) == (
        "textures",
        ("sketches",),
        "val",
    )
    assert [row.robustness.value for row in correlations.runs] == [i / 20 for i in range(1, 9)]
    texture = signature(correlations, "texture bias, final")
    assert texture.within.value == pytest.approx(1)
    assert "both vary" in signature(correlations).within.reason


def test_estimates_are_neither_signatures_nor_predictors() -> None:
    def estimated(report: Report) -> Report:
        part = report.parts[0]
        figure = NamedFigure(
            id="target", name="estimated accuracy", data="val", place="estimate",
            figure=Estimate(value=0.5, low=None, high=None, n=9, method="planted"),
            role="estimate",
        )  # fmt: skip
        part = part.model_copy(update={"figures": (figure, *part.figures)})
        return report.model_copy(update={"parts": (part, *report.parts[1:])})

    plain = rising(9)
    with_estimates = {name: estimated(report) for name, report in plain.items()}
    assert correlated(with_estimates) == correlated(plain)


def planted() -> list[Run]:
    """Returns six runs of two kinds of training and of representation, with planted figures."""
    reports = rising(3, training="zero-shot") | rising(
        3, architecture="resnet50", representation="pooled", tag="a1_in1k", training="supervised"
    )
    models = {name: old.model.model_copy(update={"name": name}) for name, old in reports.items()}
    return [
        Run(old.model_copy(update={"model": models[name]}), {}, NO_RUN)
        for name, old in reports.items()
    ]


def test_three_runs_have_charts_of_outlier_figures_against_robustness() -> None:
    runs = planted()
    section = describe_indicator(correlated({run.report.model.name: run.report for run in runs}))
    charts = [block for block in section.content if isinstance(block, Chart)]
    assert [chart.title for chart in charts] == [
        "Effective robustness by highest channel, pooled",
        "Effective robustness by kurtosis, pooled",
        "Effective robustness by highest channel, projected",
        "Effective robustness by kurtosis, projected",
    ]
    (series,) = charts[3].series
    points = sorted(zip(series.names, series.x, series.y, strict=True))
    assert [(name, x) for name, x, _ in points] == [("x-0", 3.0), ("x-1", 4.0), ("x-2", 5.0)]
    assert [y for *_, y in points] == [
        run.report.figure("effective_robustness").value for run in runs[:3]
    ]
    assert (series.name, series.role) == ("zero-shot", "main")
    assert charts[0].series[0].role == "control"


def test_compare_has_them_for_runs_of_several_kinds(tmp_path: Path, program: Program) -> None:
    paths = []
    for run in planted():
        directory = RunDir(tmp_path / run.report.model.name)
        write_results(directory, run.report)
        paths.append(str(directory.path))
    result = program("compare", *paths, "--json").json
    names = sorted(Path(path).name for path in paths)
    assert [row["run"] for row in result["correlations"]["runs"]] == names
    models = {row["run"]: row["model"] for row in result["decision"]["models"]}
    kinds = {run.report.model.name: run.report.model.representation for run in planted()}
    for pair in result["comparisons"]:
        alike = len({kinds[models[pair[end]]] for end in ("first", "second")}) == 1
        assert ("kurtosis" in {row["id"] for row in pair["differences"]}) is alike
        assert any("not figures of channels" in note for note in pair["notes"]) is not alike
    out = program("compare", *paths).out
    assert "6 encoders, effective robustness by standard on imagenet" in out
    assert "Encoders in each stratum: pooled, RN50: 3" in out
    assert "Effective robustness by kurtosis, pooled" in program("compare", *paths, "--html").out
    assert run_cli(["compare", *paths, "--fail-if", "kurtosis differs"]) == 2
    assert run_cli(["compare", paths[0], paths[-1]]) == 0

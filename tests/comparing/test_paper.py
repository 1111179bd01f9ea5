"""The paper's tables from finished runs: a row a backbone, a column a training, and the gaps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.samples import estimate, model, outliers, report
from tests.report.samples_head import head_report
from tests.report.strangers import strange_report
from tuiprobe.cli.app import run_cli
from tuiprobe.comparing.paper import OUTCOME, Paper, paper, paper_markdown
from tuiprobe.errors import UsageError
from tuiprobe.probes.concepts.compute import Concepts
from tuiprobe.probes.directions.compute import Directions
from tuiprobe.probes.robustness.compute import Robustness
from tuiprobe.results import Report, Weights
from tuiprobe.run.directory import RunDir
from tuiprobe.run.results import write_results


def with_kurtosis(name: str, value: float, **changes: object) -> Report:
    return report(
        outliers=(outliers(kurtosis=estimate(value, 0.5)),), model=model(name=name, **changes)
    )


def named(result: Report, name: str) -> Report:
    return result.model_copy(update={"model": model(name=name)})


def cells(text: str, title: str) -> list[list[str]]:
    """Returns the cells of one table."""
    part = text.split(f"## {title}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("|") and not line.startswith("|-")
    ]


def test_a_row_is_a_backbone_and_a_column_a_training() -> None:
    reports = [
        with_kurtosis("vitb16_openai_ft_in1k", 4),
        with_kurtosis("rn50_yfcc15m", 20),
        with_kurtosis("rn50_openai", 30),
        with_kurtosis("rn50_a1_in1k", 8),
        with_kurtosis("vitb16_openai", 10),
    ]
    text = paper_markdown(paper(reports))
    head = ["backbone", "WIT-400M", "YFCC15M", "finetuned from WIT-400M", "supervised (a1)"]
    assert cells(text, "Activation kurtosis") == [
        head,
        ["RN50", "30.0 (29.5 to 30.5)", "20.0 (19.5 to 20.5)", "-", "8.0 (7.5 to 8.5)"],
        ["ViT-B/16", "10.0 (9.5 to 10.5)", "-", "4.0 (3.5 to 4.5)", "-"],
    ]
    outcome = reports[0].fact("outcome")
    assert cells(text, OUTCOME) == [
        head,
        ["RN50", outcome, outcome, "-", outcome],
        ["ViT-B/16", outcome, "-", outcome, "-"],
    ]


def test_models_beyond_the_presets_and_of_one_place_have_rows_of_their_own() -> None:
    reports = [with_kurtosis(name, 5) for name in ("open_clip:x/y", "mini_clip", "mini_clip_soft")]
    assert cells(paper_markdown(paper(reports)), "Activation kurtosis") == [
        ["backbone", "rendered web", "other"],
        ["open\\_clip:x/y", "-", "5.0 (4.5 to 5.5)"],
        ["mini\\_clip", "5.0 (4.5 to 5.5)", "-"],
        ["mini\\_clip\\_soft", "5.0 (4.5 to 5.5)", "-"],
    ]


def test_two_runs_of_one_model_are_refused() -> None:
    reports = [with_kurtosis("mini_clip", 5), with_kurtosis("mini_clip", 6)]
    with pytest.raises(UsageError, match="2 runs are of mini_clip; name one of them"):
        paper(reports)


def test_figures_of_every_part_have_a_table() -> None:
    result = head_report()
    robustness, concepts = result.part(Robustness), result.part(Concepts)
    directions = result.part(Directions)
    assert robustness is not None
    assert concepts is not None
    assert directions is not None
    text = paper_markdown(paper([named(result, "rn50_openai")]))
    assert cells(text, "Accuracy in distribution")[1][1].startswith("75 % ")
    assert cells(text, "Mean accuracy under shift")[1][1].startswith("75 % ")
    value = robustness.headlines()[0].value
    assert cells(text, "Effective robustness")[1][1].startswith(value.with_interval())
    unique = concepts.families[0].unique
    assert cells(text, "Unique concepts")[1][1].startswith(unique.alone())
    pruned = cells(text, "Accuracy in distribution with 80 % of the directions pruned")
    curve = next(c for c in directions.bases[0].curves if c.order == "importance")
    point = next(p for p in curve.points if p.fraction == 0.8)
    assert pruned[1][1].startswith(point.accuracy.with_interval())


def test_gaps_are_listed_with_their_reasons() -> None:
    untrained = Weights(kind="untrained", source="seed 0", digest="00" * 32)
    reports = [
        with_kurtosis("rn50_openai", 5).model_copy(update={"partial": True}),
        with_kurtosis("rn101_cc12m", 3, weights=untrained),
    ]
    text = paper_markdown(paper(reports))
    gaps = text.split("## Gaps\n")[1]
    assert "- rn50\\_openai: PARTIAL" in gaps
    assert "- rn101\\_cc12m: UNTRAINED" in gaps
    assert "- rn50\\_openai: no unique concepts: Concepts: no concept set" in gaps
    assert "No model has this figure." in text.split("## Unique concepts\n")[1]


def test_a_report_of_unknown_probes_gives_the_same_tables() -> None:
    assert paper_markdown(paper([strange_report()])) == paper_markdown(paper([report()]))


def test_the_command_prints_text_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = [with_kurtosis("rn50_openai", 5), with_kurtosis("vitb16_openai", 10)]
    for result in reports:
        write_results(RunDir(tmp_path / result.model.name), result)
    words = ["compare", *(str(tmp_path / result.model.name) for result in reports), "--paper"]
    assert run_cli(words) == 0
    assert capsys.readouterr().out == paper_markdown(paper(reports))
    assert run_cli([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content.pop("schema_version") == 2
    assert Paper.model_validate(content) == paper(reports)
    assert content["models"][0]["figures"]["kurtosis"]["value"] == 5
    for option in (["--html"], ["--all"], ["--fail-if", "kurtosis differs"]):
        assert run_cli([*words, *option]) == 2
    assert "--paper prints tables of its own" in capsys.readouterr().err

from __future__ import annotations

from tests.report.samples import estimate, model, outliers, report
from tests.report.samples_head import head_report
from tuiprobe.probes.concepts.result import Concepts
from tuiprobe.probes.directions.result import Directions
from tuiprobe.probes.robustness.result import Robustness
from tuiprobe.report.grid import Gap, paper_tables
from tuiprobe.results import Weights
from tuiprobe.results.report import Report


def with_kurtosis(value: float, **changes: object) -> Report:
    return report(outliers=(outliers(kurtosis=estimate(value, 0.5)),), **changes)


def section(text: str, title: str) -> list[list[str]]:
    """Returns the cells of one table."""
    part = text.split(f"## {title}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("|") and not line.startswith("|-")
    ]


def test_a_row_is_a_backbone_and_a_column_a_training() -> None:
    reports = {
        "vitb16_openai_ft_in1k": with_kurtosis(4),
        "rn50_yfcc15m": with_kurtosis(20),
        "rn50_openai": with_kurtosis(30),
        "rn50_a1_in1k": with_kurtosis(8),
        "vitb16_openai": with_kurtosis(10),
    }
    text = paper_tables(reports, ())
    assert section(text, "Activation kurtosis") == [
        ["backbone", "WIT-400M", "YFCC15M", "finetuned from WIT-400M", "supervised (a1)"],
        ["RN50", "30 (29.5 to 30.5)", "20 (19.5 to 20.5)", "-", "8 (7.5 to 8.5)"],
        ["ViT-B/16", "10 (9.5 to 10.5)", "-", "4 (3.5 to 4.5)", "-"],
    ]


def test_models_beyond_the_presets_have_rows_of_their_own() -> None:
    text = paper_tables({"timm:x|y": with_kurtosis(5), "rn50_openai": with_kurtosis(6)}, ())
    assert "| timm:x\\|y | - | 5 (4.5 to 5.5) |" in text


def test_figures_of_every_part_have_a_table() -> None:
    found = head_report()
    robustness, concepts = found.part(Robustness), found.part(Concepts)
    assert robustness is not None
    assert concepts is not None
    text = paper_tables({"rn50_openai": found}, ())
    assert section(text, "Accuracy in distribution")[1][1].startswith("0.75 ")
    assert section(text, "Mean accuracy under shift")[1][1].startswith("0.75 ")
    value = robustness.headlines()[0].value
    assert section(text, "Effective robustness")[1][1].startswith(f"{value.value:.4g} ")
    unique = concepts.families[0].unique
    assert section(text, "Unique concepts")[1][1].startswith(f"{unique.value:.4g}")
    # eight classes, of which two directions of eight are left: a quarter of the 75 %
    pruned = section(text, "Accuracy in distribution with 80 % of the directions pruned")
    curve = next(c for c in found.part(Directions).bases[0].curves if c.order == "importance")
    point = next(p for p in curve.points if p.fraction == 0.8)
    assert pruned[1][1].startswith(f"{point.accuracy.value:.4g} ")


def test_gaps_are_listed_with_their_reasons() -> None:
    untrained = model(weights=Weights(kind="untrained", source="seed 0", digest="00" * 32))
    reports = {"rn50_openai": with_kurtosis(5), "rn101_cc12m": with_kurtosis(3, model=untrained)}
    text = paper_tables(reports, (Gap("vitl14_openai", "not cached <b>"),))
    gaps = text.split("## Gaps\n")[1]
    assert "- vitl14\\_openai: not cached \\<b\\>" in gaps
    assert "- rn101\\_cc12m: UNTRAINED" in gaps
    assert "- rn50\\_openai: no unique concepts: Concepts: no concept set" in gaps
    assert "No model has this figure." in text.split("## Unique concepts\n")[1]


def test_nothing_at_all_is_only_gaps() -> None:
    text = paper_tables({}, (Gap("rn50_openai", "not cached"),))
    assert text == "# The paper's tables\n\n## Gaps\n\n- rn50\\_openai: not cached\n"

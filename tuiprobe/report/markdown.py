"""report.md: for a practitioner who wants to know what was found and how far to trust it."""

from tuiprobe.report.markdown_checks import population_section, preflight_section
from tuiprobe.report.markdown_concepts import concept_sections
from tuiprobe.report.markdown_head import head_sections
from tuiprobe.report.markdown_outliers import headline, outlier_sections
from tuiprobe.report.text import code, escaped, number, table
from tuiprobe.results import DataSet
from tuiprobe.results.report import Report

SHOWN_IMAGES = 20

MEANING = {
    "present": "The same few channels dominate the representation in (nearly) every image. In the "
    "paper's study only encoders robust to ImageNet shifts had this; elsewhere the link is not "
    "established.",
    "heavy-tailed, not persistent": "Single channels dominate each image, but not the same ones "
    "from image to image. Sparse features of an ordinary network look like this; it is not the "
    "paper's signature.",
    "absent": "No channel stands out of the representation. This says nothing against the "
    "encoder's robustness.",
    "undetermined": "The figures lie between the clauses of the rule; it gives no answer.",
    "withheld": "The rule may not be applied here. The figures below still hold as measured.",
}

LIMITS = (
    "The thresholds of the rule were set on synthetic cases; they are **uncalibrated**.",
    "The signature depends on the basis: rotating image and text embeddings together keeps every "
    "prediction and removes it.",
    "Absence is no evidence of fragility. Where shifted data exists, judge by accuracy on it.",
    "Figures compare only within one representation kind; across widths compare "
    "kurtosis / (C - 1).",
)


def markdown(report: Report) -> str:
    """The whole report as GitHub-flavoured Markdown."""
    lines = [f"# {escaped(report.title)}", ""]
    lines += [f"> - **Warning:** {escaped(warning)}" for warning in report.warnings]
    lines += [""] if report.warnings else []
    lines += _in_short(report)
    lines += _subject(report)
    lines += preflight_section(report)
    lines += population_section(report)
    lines += outlier_sections(report)
    lines += head_sections(report)
    lines += concept_sections(report)
    lines += _not_run(report)
    lines += _computed(report)
    return "\n".join(lines).rstrip("\n") + "\n"


def _in_short(report: Report) -> list[str]:
    verdict = report.verdict
    grid = " (outside the paper's grid of backbones)" if verdict.in_grid is False else ""
    told = f"Outlier features: {verdict.outcome}"
    if verdict.outcome == "withheld":
        told = "No verdict on outlier features: withheld"
    lines = [
        "## In short",
        "",
        f"**{told}**{grid}, by rule {verdict.rule} (uncalibrated) on {code(verdict.data)}.",
        "",
        *(f"- {escaped(reason)}" for reason in verdict.reasons),
        "",
        MEANING[verdict.outcome],
        "",
        *headline(report),
        "What this does not say:",
        "",
        *(f"- {limit}" for limit in LIMITS),
        "",
    ]
    if report.model.weights.kind == "untrained":
        warning = "**The weights are random.** Nothing here describes a trained model."
        lines[2:2] = [warning, ""]
    return lines


def _subject(report: Report) -> list[str]:
    model, weights = report.model, report.model.weights
    pre = model.preprocessing
    rows = [
        ["model", code(model.name)],
        ["architecture", f"{code(model.architecture)} ({escaped(model.loader)})"],
        ["weights", f"**{weights.kind}**, {code(weights.source)}"],
        ["weights SHA-256", code(weights.digest)],
        *([["ablated", f"**{escaped('; '.join(model.ablated))}**"]] if model.ablated else []),
        ["representation", f"{model.representation}, {model.width} channels"],
        ["parameters", number(model.parameters)],
        [
            "preprocessing",
            f"{pre.size[0]} x {pre.size[1]}, {escaped(pre.interpolation)}, mean "
            f"{_channels(pre.mean)}, std {_channels(pre.std)}; from {escaped(pre.source)}",
        ],
    ]
    lines = ["## What was probed", "", *table(["", ""], rows)]
    header = ["data", "source", "images", "measured", "skipped", "not finite", "classes"]
    rows = [
        [
            code(one.name),
            code(one.source),
            number(one.images),
            number(one.measured),
            number(len(one.skipped)),
            number(one.nonfinite),
            str(one.classes) if one.labelled else "unlabelled",
        ]
        for one in report.data
    ]
    lines += table(header, rows)
    for one in report.data:
        lines += _skipped(one) + _nonfinite(one)
    return lines


def _channels(values: tuple[float, ...]) -> str:
    return ", ".join(number(value) for value in values)


def _skipped(one: DataSet) -> list[str]:
    if not one.skipped:
        return []
    lines = [f"Skipped images of {code(one.name)}:", ""]
    lines += [f"- {code(i.path)}: {escaped(i.reason)}" for i in one.skipped[:SHOWN_IMAGES]]
    rest = len(one.skipped) - SHOWN_IMAGES
    return [*lines, *([f"- and {rest} more in results.json"] if rest > 0 else []), ""]


def _nonfinite(one: DataSet) -> list[str]:
    if not one.nonfinite:
        return []
    lines = [
        f"Images of {code(one.name)} with a representation that is not finite, left out of every "
        "figure of the final representation:",
        "",
    ]
    lines += [f"- {code(path)}" for path in one.nonfinite_images[:SHOWN_IMAGES]]
    rest = one.nonfinite - min(SHOWN_IMAGES, len(one.nonfinite_images))
    return [*lines, *([f"- and {rest} more"] if rest > 0 else []), ""]


def _not_run(report: Report) -> list[str]:
    if not report.not_run:
        return []
    rows = [f"- {escaped(part.part)}: {escaped(part.reason)}" for part in report.not_run]
    return ["## Not run", "", *rows, ""]


def _computed(report: Report) -> list[str]:
    print_ = report.fingerprint
    flags = ", ".join(f"{name}={value}" for name, value in sorted(print_.flags.items()))
    rows = [
        ["tuiprobe", code(report.tuiprobe)],
        ["torch", code(print_.torch)],
        ["device", f"{code(print_.device)}, {code(print_.isa)}, {print_.threads} threads"],
        ["run key", code(report.key)],
    ]
    rows += [["flags", code(flags)]] if flags else []
    timings = report.timings
    if timings.images_per_second is not None:
        rows.append(["speed", f"{number(timings.images_per_second)} images/s"])
    rows += [[escaped(name), f"{number(s)} s"] for name, s in timings.seconds.items()]
    return [
        "## How it was computed",
        "",
        "All intervals are 95 %. Full precision, n and method of every figure are in "
        "`results.json` and `tables/`.",
        "",
        *table(["", ""], rows),
    ]

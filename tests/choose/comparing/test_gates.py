"""Gates of `tuiprobe compare --fail-if`: when they trip, and what they answer."""

import pytest

from tests.show.report.samples import estimate, model, outliers, report, retold, without_outliers
from tests.show.report.samples_head import head_report
from tuiprobe.choose.comparing.differences import compare
from tuiprobe.choose.comparing.gates import parse_gate, tripped
from tuiprobe.choose.robustness.compute import Robustness
from tuiprobe.errors import UsageError
from tuiprobe.results import NotRun

MINUS = "\N{MINUS SIGN}"


def lower():
    inner = outliers(tap="blocks.1", final=False, kurtosis=estimate(50, 1))
    other = outliers(tap="blocks.1", final=False, kurtosis=estimate(40, 1))
    first = report(outliers=(outliers(), inner))
    second = report(outliers=(outliers(kurtosis=estimate(21.5, 0.4)), other))
    return compare(first, second)  # -2 (-2.57 to -1.43) at the end, -10 within


@pytest.mark.parametrize(
    ("text", "trips"),
    [
        ("kurtosis differs", True),
        ('"Kurtosis" differs', True),
        ('"kurtosis".high < -1.5', False),
        ('val/blocks.1: "kurtosis" < -9', True),
        ("residual.kurtosis differs", False),
        ("kurtosis < -1", True),
        ("kurtosis.high < -1", True),
        ("kurtosis.low < -2.5", True),
        ("kurtosis >= -2", True),
        ("kurtosis > -2", False),
        ("val: kurtosis <= -2", True),
        ("val/blocks.1: kurtosis < -9", True),
        ("kurtosis < -9", False),
        ("persistence differs", False),
        ("outlier_channels < 0", False),
        ("outcome differs", False),
        ("channels differ", False),
    ],
)
def test_gates(text, trips):
    assert bool(tripped(parse_gate(text), lower())) is trips


def test_a_changed_outcome_and_changed_channels_trip():
    absent = report(outliers=(outliers(**without_outliers()),), model=model(name="B"))
    comparison = compare(report(model=model(name="A")), absent)
    assert tripped(parse_gate("outcome differs"), comparison) == [
        "outlier features: B none, A outlier channels"
    ]
    assert tripped(parse_gate("channels differ"), comparison) == [
        "outlier channels on val: only in B [], only in A ['133']"
    ]
    for text in ("other: channels differ", "other: outcome differs"):
        with pytest.raises(UsageError, match="other: "):
            tripped(parse_gate(text), comparison)


def test_what_cannot_be_answered_is_no_pass():
    nothing = NotRun(reason="too few images")
    bare = report(outliers=(outliers(kurtosis=nothing, heights=nothing),), model=model(name="B"))
    comparison = compare(report(), bare)
    reason = "val/final: kurtosis cannot be compared: B: too few images"
    assert tripped(parse_gate("kurtosis < -100"), comparison) == [reason]
    assert tripped(parse_gate("kurtosis differs"), comparison) == [reason]
    assert tripped(parse_gate("channels differ"), comparison) == [
        "outlier channels on val cannot be compared: not in the report of B"
    ]
    gone = compare(
        report(model=model(name="A")), retold(report(), outliers=NotRun(reason="damaged"))
    )
    assert tripped(parse_gate("outcome differs"), gone) == [
        "outlier features: open_clip:RN50-quickgelu not known, A outlier channels"
    ]


@pytest.mark.parametrize("text", ["", "kurtosis", "kurtosis < much", "< 3", "outcome < 3 4", "a b"])
def test_a_condition_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="no condition"):
        parse_gate(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("curtosis differs", r"did you mean kurtosis\?"),
        ("nowhere: kurtosis < 1", "known for val, val/blocks.1$"),
        ("outcome < 3", "'outcome differs'"),
    ],
)
def test_an_unknown_figure_is_no_pass_either(text, says):
    with pytest.raises(UsageError, match=says):
        tripped(parse_gate(text), lower())


def test_a_figure_of_one_run_names_that_run():
    first, second = report(model=model(name="A")), report(model=model(name="B"))
    second = retold(second, outliers=NotRun(reason="left out"))
    with pytest.raises(UsageError, match=r"only A \(on val\) has kurtosis"):
        tripped(parse_gate("kurtosis > 1"), compare(first, second))


def test_a_set_that_one_run_lacks_trips_a_gate_for_all_sets():
    full = head_report()
    shifts = full.part(Robustness).accuracies
    fewer = full.part(Robustness).model_copy(update={"accuracies": shifts[:-1]})
    comparison = compare(full, retold(full, robustness=fewer))
    (reason,) = tripped(parse_gate("top1 < -0.9"), comparison)
    assert reason.startswith(f"{shifts[-1].data}: ")
    assert tripped(parse_gate(f"{shifts[0].data}: top1 < -0.9"), comparison) == []


def test_what_rests_on_a_head_is_compared_too():
    full = head_report()
    comparison = compare(full, full)
    places = {(difference.data, difference.place) for difference in comparison.differences}
    assert places >= {
        ("val", "accuracy"), ("r", "accuracy"), ("val", "W"), ("toy", "concepts"),
        ("val", "channels set to zero"), ("standard: imagenet_r", "robustness by imagenet"),
    }  # fmt: skip
    assert not tripped(parse_gate("top1 differs"), comparison)
    assert not tripped(parse_gate("mean_shift < 0"), comparison)
    assert not tripped(parse_gate("concepts differ"), comparison)


def test_headline_figures_have_human_names():
    comparison = compare(head_report(), head_report())
    for name in ("top-1", "mean of shifts", "effective robustness", "kurtosis"):
        assert not tripped(parse_gate(f'"{name}" < -0.01'), comparison)
        assert len(tripped(parse_gate(f'"{name}" < 0.9'), comparison)) == 1  # of one set alone
    with pytest.raises(UsageError, match='no headline figure has that name; "accuracy by labels"'):
        parse_gate('"beauty" < 1')
    with pytest.raises(UsageError, match="there are no labels for both runs"):
        tripped(parse_gate('"accuracy by labels" < 1'), comparison)


@pytest.mark.parametrize("text", ["top1 < -2", '"top-1" < -43', "top1 >= 1"])
def test_a_share_is_not_compared_with_points(text):
    comparison = compare(head_report(), head_report())
    with pytest.raises(UsageError, match="accuracies are fractions"):
        tripped(parse_gate(text), comparison)

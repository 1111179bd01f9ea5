"""The bound by the mix of classes: its formula, how often it fails, and where it is shown."""

from dataclasses import replace
from itertools import combinations
from math import comb, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.probes.calibrated import calibrated, head
from tests.probes.subject import model
from tuiprobe.choose.targets.class_mix import NO_ANSWER, bound_accuracy
from tuiprobe.choose.targets.compute import Images, estimate_targets
from tuiprobe.choose.targets.describe import ExpectedAccuracy
from tuiprobe.measure.arrays.head_arrays import SetFeatures
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.protocol import Subject
from tuiprobe.results import NotRun, is_known
from tuiprobe.results.accuracy import MOST_RIGHT, accuracies
from tuiprobe.results.labelled_set import LabelledSet
from tuiprobe.results.proportions import wilson
from tuiprobe.results.subject import SetSummary
from tuiprobe.show.report.strings import line

NAMES = tuple(f"kind {i}" for i in range(10))

counts = st.integers(2, 7).flatmap(
    lambda k: st.tuples(*(st.lists(st.integers(0, 400), min_size=k, max_size=k) for _ in range(2)))
).filter(lambda pair: sum(pair[0]) > 0 and sum(pair[1]) > 0)  # fmt: skip


def of_classes(name, kinds, **how):
    """Returns images of some classes alone, without their labels."""
    every = calibrated(name, **how)
    return replace(every.select(np.isin(np.asarray(every.labels), kinds)), labels=None)


def found(target, first=None, by=None):
    first = calibrated("val", seed=1) if first is None else first
    return estimate_targets(by or head(), Images(first, (), (target,), NAMES))


def section(result):
    return ExpectedAccuracy().describe(result, Subject(model(), ()))


def set_summary(name):
    return SetSummary(name=name, source=name, images=1, measured=1, labelled=False, target=True)


@settings(max_examples=100, deadline=None)
@given(counts)
def test_the_bound_is_that_of_all_sets_of_up_to_three_classes(pair):
    labels, answers = map(np.array, pair)
    k, s = len(labels), 1 / labels.sum() + 1 / answers.sum()
    p, q = answers / answers.sum(), labels / labels.sum()
    wrong = [0.0, abs(p - q).sum() / 2 - sqrt((k - 1) * s) / 2 - sqrt(log(40) / 2 * s)]
    for m in range(1, min(3, k - 1) + 1):
        most = max(sum(p[i] - q[i] for i in kinds) for kinds in combinations(range(k), m))
        wrong.append(most - sqrt(log(3 * comb(k, m) / 0.025) / 2 * s))
    bound = bound_accuracy(labels, answers)
    assert bound.most_right == pytest.approx(1 - max(wrong), abs=1e-9)
    assert 0 <= bound.most_right <= 1
    assert 1 <= len(set(bound.carriers.tolist())) == bound.carriers.size <= 3


@pytest.mark.parametrize("k", [2, 7, 100, 1000])
@pytest.mark.parametrize("right", [0.3, 0.9, 1.0])
def test_with_an_equal_mix_accuracy_is_not_above_the_bound(k, right):
    """Wrong answers go to one class: then the bound is as close to the accuracy as it can be."""
    rng, above = np.random.default_rng(k), 0
    for _ in range(200):
        q = rng.dirichlet(np.full(k, rng.choice([0.3, 1.0, 10.0])))
        first, n = rng.integers(30, 2000, 2)
        labels = np.bincount(rng.choice(k, first, p=q), minlength=k)
        truth = rng.choice(k, n, p=q)
        answers = np.where(rng.random(n) < right, truth, 0)
        bound = bound_accuracy(labels, np.bincount(answers, minlength=k))
        above += (answers == truth).mean() > bound.most_right
    assert above <= 2  # of 200; 10 would be 5 %


def test_an_estimate_above_the_bound_stands_beside_it():
    target = of_classes("street", [3], n=4000, seed=5, sharpness=6)
    first = calibrated("val", seed=1, sharpness=6)
    result = found(target, first)
    (one,) = result.targets
    answers = (target.features.argmax(axis=1) == 3).mean()
    labels = (first.labels == 3).mean()
    (carrier,) = one.class_mix.carriers
    assert (carrier.name, one.class_mix.labels) == ("kind 3", 4000)
    assert (carrier.answers, carrier.labels) == pytest.approx((answers, labels))
    bound = one.most_right.value
    assert bound < 1 - (answers - labels) + 0.1
    assert one.accuracy().most_right == bound < one.headline.value
    described = section(result)
    assert "“kind 3”" in line(described.card[0])
    assert f"{one.labels} labels of street would" in line(described.card[0])
    assert "at most" in described.clause
    figures = ExpectedAccuracy().named(result).figures
    (known,) = accuracies(figures, (set_summary("street"),))
    assert known == one.accuracy()
    assert [each.figure.value for each in figures if each.id == MOST_RIGHT] == [bound]


def test_an_equal_mix_leaves_the_estimate_as_it_is():
    (one,) = found(of_classes("street", range(10), n=2000, seed=5)).targets
    assert one.most_right.value > one.headline.value
    assert (one.bound, one.accuracy().most_right) == (None, None)


def test_the_bound_stands_where_nothing_is_estimated():
    """A head of unknown scale, and too few labels for a temperature."""
    first = calibrated("val", n=25, seed=1)
    by = HeadArrays(np.eye(10, dtype=np.float32), normalize=True)
    result = found(of_classes("street", [3], n=4000, seed=5), first, by)
    (one,) = result.targets
    assert isinstance(one.headline, NotRun)
    assert one.bound is one.class_mix
    described = section(result)
    assert described.clause.startswith("right are at most")
    assert "“kind 3”" in line(described.card[1])
    # With a confidence it stands beside that.
    assert found(of_classes("street", [3], n=4000, seed=5), first).targets[0].accuracy().most_right


def test_classes_that_may_not_be_answered_do_not_count():
    answers = np.where(np.arange(10) < 4, np.arange(10), -1)
    target = replace(of_classes("street", range(4), n=4000, seed=5), answers=answers)
    (one,) = found(target).targets
    first = calibrated("val", seed=1)
    assert one.class_mix.labels == (first.labels < 4).sum()
    assert one.most_right.value > 0.9


def test_images_without_an_answer_are_a_class_that_no_label_has():
    target = of_classes("street", range(10), n=1000, seed=5)
    features = target.features.copy()
    features[:600] = 0
    (one,) = found(SetFeatures("street", features)).targets
    assert one.class_mix.carriers[0].name == NO_ANSWER
    assert one.class_mix.carriers[0].answers == pytest.approx(0.6)
    assert one.most_right.value < 0.55


def test_without_labels_in_distribution_there_is_no_bound():
    first = replace(calibrated("val"), labels=None)
    (one,) = found(of_classes("street", [3]), first).targets
    assert isinstance(one.class_mix, NotRun)
    assert one.bound is None


def test_no_estimate_is_below_chance():
    """Confidence falls so far that the scaled drop would end below one of ten."""
    target = of_classes("street", range(10), n=900, seed=5, sharpness=0.05)
    (one,) = found(target).targets
    assert is_known(one.headline)
    for opinion in one.scaled:
        assert opinion.accuracy.value >= 0.1
        assert opinion.accuracy.low < 0.1
    assert one.headline.value == pytest.approx(0.1)


@pytest.mark.parametrize(("right", "stated", "stays"), [(10, False, True), (390, False, False),
                                                        (10, True, False)])  # fmt: skip
def test_labels_that_prove_or_measure_more_end_the_bound(right, stated, stays):
    first = calibrated("val", seed=1, sharpness=6)
    result = found(of_classes("street", [3], n=4000, seed=5, sharpness=6), first)
    images = result.targets[0].images
    labels = LabelledSet(
        data="street", pictures=images, labelled=right, unsure=0, right=right,
        accuracy=wilson(right, right) if stated else NotRun(reason="too few labels"),
        evidence="sample" if stated else "open",
    )  # fmt: skip
    probe = ExpectedAccuracy()
    cut, _ = probe.cut_to_labels(result, {"street": labels})
    bounds = [each.figure for each in probe.named(cut).figures if each.id == MOST_RIGHT]
    assert [is_known(figure) for figure in bounds] == ([True] if stays else [])

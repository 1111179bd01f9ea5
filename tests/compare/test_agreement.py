"""Agreement on the line: planted lines, refusals, and a plain-Python oracle."""

import numpy as np
import pytest
from scipy.stats import linregress, norm

from tests.measure.fake_run import model
from tests.report.samples import report
from tuiprobe.compare.agreement import JointAnswers, _joint, _ModelAnswers, agreement, why_unfit
from tuiprobe.compare.runs import Run
from tuiprobe.errors import UsageError
from tuiprobe.numbers import number
from tuiprobe.results import Weights
from tuiprobe.run.per_image import SetValues

LABEL_NOISE = 0.5
MODELS = tuple(f"m{i}" for i in range(7))


def answers(name, noise, n, seed, contrast=1.0, classes=10):
    """Models, and labels that are drawn as one of them, so that accuracy is an agreement."""
    rng = np.random.default_rng(seed)
    shared = contrast * rng.standard_normal((n, classes))
    said = [
        (shared + sigma * rng.standard_normal((n, classes))).argmax(axis=1)
        for sigma in (LABEL_NOISE, *noise)
    ]
    answer = np.array(said[1:])
    return JointAnswers(name, answer, answer == said[0])


def planted(n=20_000):
    noise = np.linspace(0.2, 0.9, len(MODELS))
    first = answers("val", noise, n, seed=0)
    return first, answers("street", noise, n, seed=1, contrast=0.5)


def test_accuracies_on_a_planted_line_are_found_without_labels():
    first, other = planted()
    blind = agreement(MODELS, first, JointAnswers("street", other.answer))
    assert blind.r2 > 0.95
    truth = other.right.mean(axis=1)
    for one, value in zip(blind.models, truth, strict=True):
        assert one.aline_s.value == pytest.approx(value, abs=0.03)
        assert one.aline_d.value == pytest.approx(value, abs=0.03)
        assert one.aline_s.low <= one.aline_s.value <= one.aline_s.high
        assert one.measured.reason == "no labels"


def test_the_line_and_both_estimates_agree_with_plain_python():
    first, other = planted(n=3000)
    result = agreement(MODELS, first, other)
    probit, pairs = norm.ppf, []
    x: list[float] = []
    y: list[float] = []
    for i in range(7):
        for j in range(i + 1, 7):
            pairs.append((i, j))
            for said, into in ((first.answer, x), (other.answer, y)):
                same = sum(a == b for a, b in zip(said[i].tolist(), said[j].tolist(), strict=True))
                into.append(probit((same + 0.5) / 3001))
    line = linregress(x, y)
    assert result.slope == pytest.approx(line.slope, rel=1e-6)
    assert result.r2 == pytest.approx(line.rvalue**2, rel=1e-6)
    own = [probit((int(right.sum()) + 0.5) / 3001) for right in first.right]
    matrix, wanted = np.zeros((21, 7)), np.zeros(21)
    for k, (i, j) in enumerate(pairs):
        matrix[k, [i, j]] = 0.5
        wanted[k] = y[k] + line.slope * ((own[i] + own[j]) / 2 - x[k])
    solved = np.linalg.solve(matrix.T @ matrix, matrix.T @ wanted)
    for i, one in enumerate(result.models):
        assert one.aline_s.value == pytest.approx(norm.cdf(line.slope * own[i] + line.intercept))
        assert one.aline_d.value == pytest.approx(norm.cdf(solved[i]))
        assert one.measured.value == other.right[i].mean()


def test_agreement_off_the_line_is_refused_with_its_figure():
    first, _ = planted(n=2000)
    noise = np.random.default_rng(5).permutation(np.linspace(0.2, 3.0, 7))
    result = agreement(MODELS, first, answers("odd", noise, 2000, seed=3))
    assert result.models == ()
    assert result.refused == f"the agreement line has R^2 {number(result.r2)}, below 0.95"


def test_models_that_always_agree_have_no_line():
    same = JointAnswers("val", np.zeros((5, 50), dtype=np.int64), np.ones((5, 50), dtype=bool))
    result = agreement(MODELS[:5], same, same)
    assert result.refused


@pytest.mark.parametrize(
    ("training", "digests", "reason"),
    [
        (["zero-shot"] * 4, list("abcd"), "images, not 4"),
        (["zero-shot"] * 5, list("abcda"), "5 runs have 4 different weights"),
        (["zero-shot"] * 4 + ["supervised"], list("abcde"), "not 2: supervised, zero-shot"),
    ],
)
def test_unfit_models_are_refused_with_the_figure(training, digests, reason):
    weights = [Weights(kind="checkpoint", source="x", digest=digest) for digest in digests]
    models = [
        model(training=kind, weights=weight) for kind, weight in zip(training, weights, strict=True)
    ]
    assert reason in why_unfit(models)


def test_images_that_one_run_could_not_use_are_left_out_for_all():
    def seen(ids, contents="c"):
        values = SetValues(str(ids), contents, np.array(ids), {})
        said = _ModelAnswers((b"", ("x",)), values.ids, 10 * values.ids, values.ids > 1)
        return Run(report(), {"street": values}), {"street": said}

    seen_by = [seen([0, 1, 2, 3]), seen([0, 2, 3]), seen([0, 1, 2])]
    joint = _joint("street", [run for run, _ in seen_by], [sets for _, sets in seen_by])
    assert joint.answer.tolist() == [[0, 20]] * 3
    assert joint.right.tolist() == [[False, True]] * 3
    for contents in ("other", ""):
        seen_by[1] = seen([0, 1], contents)
        with pytest.raises(UsageError, match="on street: the runs count different images"):
            _joint("street", [run for run, _ in seen_by], [sets for _, sets in seen_by])

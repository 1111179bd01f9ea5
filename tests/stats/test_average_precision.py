"""average_precision against scikit-learn, pair by pair; its options against their definition."""

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from tests.stats.oracle import examples
from tuiprobe.stats import average_precision


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d, k = draw(st.integers(1, 150)), draw(st.integers(1, 35)), draw(st.integers(1, 12))
    scores = rng.standard_normal((n, d)).astype(np.float32)
    if draw(st.booleans()):  # ties
        scores = np.round(scores * draw(st.sampled_from([0.1, 1, 4])))
    scores[rng.random(scores.shape) < 0.05] = draw(st.sampled_from([0.0, -0.0, 1e-45, np.inf]))
    labels = rng.random((n, k)) < draw(st.sampled_from([0.02, 0.3, 0.9]))
    return scores, labels, rng


def reference(scores, present):
    """scikit-learn's AP of one pair; 0 without positives. It refuses infinity: use ranks."""
    if not present.any():
        return 0.0
    ranks = np.unique(scores + 0.0, return_inverse=True)[1]
    return average_precision_score(present, ranks)


@given(problem=problems())
@examples(8)
def test_equals_scikit_learn_with_ties(problem):
    scores, labels, _ = problem
    result = average_precision(scores, labels)
    last = scores.shape[1] - 1
    for d in {0, last // 3, last // 2, last}:
        for k in range(labels.shape[1]):
            assert abs(result[d, k] - reference(scores[:, d], labels[:, k])) < 1e-9


@given(problem=problems(), groups=st.integers(1, 6), both=st.booleans())
@examples(6)
def test_candidates_and_both_signs(problem, groups, both):
    scores, labels, rng = problem
    mask = rng.random((len(scores), groups)) < 0.7
    group_of = rng.integers(0, groups, labels.shape[1])
    result = average_precision(
        scores, scipy.sparse.csc_array(labels), candidates=(mask, group_of), both_signs=both
    )
    for d in range(min(5, scores.shape[1])):
        for k in range(labels.shape[1]):
            rows = mask[:, group_of[k]]
            expected = reference(scores[rows, d], labels[rows, k])
            if both:
                expected = max(expected, reference(-scores[rows, d], labels[rows, k]))
            assert abs(result[d, k] - expected) < 1e-9


@given(problem=problems(), prevalence=st.sampled_from([0.01, 0.5, 0.9]))
@examples(6)
def test_prevalence_weighs_the_negatives(problem, prevalence):
    scores, labels, _ = problem
    result = average_precision(scores, labels, prevalence=prevalence)
    for k in range(labels.shape[1]):
        present = labels[:, k]
        positive, negative = present.sum(), (~present).sum()
        if not positive or not negative:
            continue
        weights = np.where(present, prevalence / positive, (1 - prevalence) / negative)
        ranks = np.unique(scores[:, 0] + 0.0, return_inverse=True)[1]
        expected = average_precision_score(present, ranks, sample_weight=weights)
        assert abs(result[0, k] - expected) < 1e-9


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x,
        lambda x: x * 3.5,
        scipy.sparse.csr_matrix,
        scipy.sparse.coo_array,
        torch.from_numpy,
        lambda x: torch.from_numpy(x).to_sparse(),
        lambda x: torch.from_numpy(x * 1.0).to_sparse_csr(),
    ],
)
@pytest.mark.filterwarnings("ignore:.*[Ss]parse.*")
def test_kinds_of_labels(convert):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((40, 3)).astype(np.float32)
    labels = rng.random((40, 4)) < 0.3
    np.testing.assert_array_equal(
        average_precision(scores, convert(labels)), average_precision(scores, labels)
    )


def test_layouts_dtypes_and_threads_change_nothing():
    made = torch.randn(500, 100, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    labels = np.random.default_rng(0).random((500, 9)) < 0.2
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        scores = made.to(dtype)
        expected = average_precision(scores.float(), labels, both_signs=True)
        for view, threads in ((scores, 1), (scores.t().contiguous().t(), 2), (scores, 7)):
            torch.set_num_threads(threads)
            result = average_precision(view, labels, both_signs=True)
            torch.set_num_threads(before)
            np.testing.assert_array_equal(result, expected)


def test_bad_input():
    scores, labels = np.zeros((5, 2), np.float32), np.ones((5, 3))
    mask, group = np.ones((5, 2), bool), np.zeros(3, int)
    bad = scores.copy()
    bad[3, 1] = np.nan
    cases = [
        (ValueError, "direction 1 hold NaN", (bad, labels), {}),
        (TypeError, "scores must be .*float64", (scores.astype(float), labels), {}),
        (TypeError, "scores must be a torch tensor", ([1.0], labels), {}),
        (ValueError, "directions", (scores[0], labels), {}),
        (ValueError, "labels have 4 images", (scores, labels[:4]), {}),
        (ValueError, "labels must be", (scores, labels[0]), {}),
        (ValueError, "prevalence", (scores, labels), {"prevalence": 1.0}),
        (ValueError, r"candidates\[0\]", (scores, labels), {"candidates": (mask[:3], group)}),
        (ValueError, r"candidates\[1\]", (scores, labels), {"candidates": (mask, group[:2])}),
        (ValueError, r"candidates\[1\]", (scores, labels), {"candidates": (mask, group + 2)}),
    ]
    assert average_precision(scores[:0], labels[:0]).tolist() == [[0] * 3] * 2
    assert average_precision(scores[:, :0], labels).shape == (0, 3)
    for error, message, arguments, options in cases:
        with pytest.raises(error, match=message):
            average_precision(*arguments, **options)  # type: ignore[arg-type]

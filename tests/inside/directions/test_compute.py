import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.probes.planted_head import CHANNELS, CLASSES, labels_of, planted
from tests.probes.subject import model
from tuiprobe.errors import DataError
from tuiprobe.inside.directions.compute import decompose, probe_directions
from tuiprobe.inside.directions.describe import PrivilegedDirections
from tuiprobe.inside.directions.pruning import CURVE_IMAGES, random_rotations
from tuiprobe.measure.arrays.head_arrays import SetFeatures, hits
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.probes.base.confidence import Logits
from tuiprobe.probes.protocol import Subject
from tuiprobe.show.report.strings import line


def accuracy(logits, labels):
    return (logits.argmax(1) == labels).mean()


def curve(result, order, centred=False):
    basis = next(b for b in result.bases if b.centred == centred)
    return next(c for c in basis.curves if c.order == order)


def test_decomposition_has_fixed_signs_and_the_right_rank():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((9, 4)) @ rng.standard_normal((4, 20))
    u, s, v = decompose(weight)
    assert s.size == 4
    np.testing.assert_allclose(u * s @ v.T, weight, atol=1e-12)
    assert (v[np.abs(v).argmax(0), range(4)] > 0).all()
    again = decompose(-weight)
    np.testing.assert_allclose(again[2], v, atol=1e-9)


def test_importance_is_by_definition():
    head, images = planted(n=5000)  # more than one block
    basis = probe_directions(head, [images], []).bases[0]
    s, vt = np.linalg.svd(head.weight.astype("f8"), full_matrices=False)[1:]
    h = images.features.astype("f8")
    cosines = np.abs(h @ vt.T) / np.linalg.norm(h, axis=1, keepdims=True)
    expected = s / s.sum() * cosines.mean(0)
    np.testing.assert_allclose(basis.importances, expected, rtol=1e-5)
    p = expected / expected.sum()
    assert basis.top_share.value == pytest.approx(p.max(), rel=1e-5)
    assert basis.effective_rank.value == pytest.approx(np.exp(stats.entropy(p)), rel=1e-5)
    first = basis.directions[0]
    assert first.importance.value == max(basis.importances)


def orders(head, images):
    """Logits with k components, by naive float64 algebra, for each order that is not random."""
    weight, x = head.weight.astype("f8"), images.features.astype("f8")
    if head.normalize:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    bias = 0 if head.bias is None else head.bias.astype("f8")
    u, s, vt = np.linalg.svd(weight, full_matrices=False)
    importance = s * np.abs(x @ vt.T / np.linalg.norm(x, axis=1, keepdims=True)).mean(0)
    by = np.argsort(-importance)
    mean = x.mean(0)
    axes = np.linalg.svd(x - mean, full_matrices=False)[2]

    def importance_order(k):
        return x @ vt[by[:k]].T @ (s[by[:k], None] * u[:, by[:k]].T) + bias

    def singular(k):
        return x @ vt[:k].T @ (s[:k, None] * u[:, :k].T) + bias

    def components(k):
        return (mean + (x - mean) @ axes[:k].T @ axes[:k]) @ weight.T + bias

    return {
        "importance": importance_order,
        "singular value": singular,
        "principal components": components,
    }


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("restricted", [False, True])
def test_pruning_curves_equal_naive_algebra(normalize, restricted):
    bias = np.random.default_rng(1).normal(0, 0.3, CLASSES).astype(np.float32)
    head, images = planted(normalize=normalize, bias=None if normalize else bias)
    allowed = np.ones(CLASSES, dtype=bool)
    if restricted:
        allowed[[2, 7]] = False
        keep = allowed[images.labels]
        images = SetFeatures(
            "shift",
            images.features[keep],
            images.labels[keep],
            np.where(allowed, np.arange(12), -1),
        )
    result = probe_directions(head, [images], [])
    for order, logits in orders(head, images).items():
        for point in curve(result, order).points:
            scores = np.where(allowed, logits(point.kept), -np.inf)
            # One image may sit on a tie between float32 and float64.
            expected = accuracy(scores, images.labels)
            assert point.accuracy.value == pytest.approx(expected, abs=1.5 / images.labels.size)


def test_all_orders_start_at_the_head_itself():
    head, images = planted()
    result = probe_directions(head, [images], [])
    full = accuracy(images.features.astype("f8") @ head.weight.T.astype("f8"), images.labels)
    for basis in result.bases:
        for c in basis.curves:
            if c.order == "principal components":
                continue  # keeps rank(W) of C components, which is not all
            assert c.points[0].accuracy.value == pytest.approx(full, abs=0.01)
            assert c.control == c.order.startswith(("random", "principal"))


def test_curves_of_many_images_rest_on_a_seeded_sample_whose_size_they_state():
    head, images = planted(n=CURVE_IMAGES + 2000, classes=4, channels=6)
    result, again = (probe_directions(head, [images], [], seed=3) for _ in range(2))
    assert result == again
    full = accuracy(images.features.astype("f8") @ head.weight.T.astype("f8"), images.labels)
    for basis in result.bases:
        assert basis.top_share.n == CURVE_IMAGES + 2000
        assert {point.accuracy.n for c in basis.curves for point in c.points} == {CURVE_IMAGES}
    start = curve(result, "importance").points[0].accuracy
    assert start.low < full < start.high


def test_random_orders_are_seeded_and_lie_below_the_best():
    head, images = planted(n=1500, classes=20, channels=60, noise=0.15)
    images.features[:, 3] -= 25  # an offset would take the first of the components
    result, again = (probe_directions(head, [images], [], seed=3) for _ in range(2))
    assert result == again
    best = curve(result, "singular value").points[8].accuracy.value
    drawn = curve(result, "random directions").points[8].accuracy
    assert drawn.low <= drawn.value <= drawn.high
    assert drawn.value < best


def test_random_rotations_are_orthogonal_and_uniform():
    """The first 4 of 16 coordinates keep a quarter of the squared length on average."""
    x = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    kept = []
    for turn in random_rotations(16, 0):
        np.testing.assert_allclose(turn @ turn.T, np.eye(16), atol=1e-5)
        kept.append(((x @ turn)[:, :4] ** 2).sum() / (x**2).sum())
    assert np.mean(kept) == pytest.approx(0.25, abs=4 * np.std(kept) / len(kept) ** 0.5)


def test_a_planted_direction_on_an_outlier_channel_is_found():
    head, images = planted()
    weight = head.weight.copy()
    weight[:, 3] += 40  # the same for every class: the mean row, and the channel that is constant
    result = probe_directions(HeadArrays(weight), [images], [3])
    plain, centred = result.bases
    assert plain.directions[0].channels[0] == 3
    assert plain.directions[0].outlier_share > 0.95
    assert plain.mean_row_cosine.value > 0.99
    assert plain.outlier_share.value > 10 * plain.outlier_expected.value
    assert plain.outlier_expected.value == 1 / CHANNELS
    assert centred.rank == CLASSES - 1
    v = decompose(weight.astype("f8"))[2]
    assert plain.outlier_shares == pytest.approx(v[3] ** 2)
    bare = probe_directions(head, [SetFeatures("val", images.features)], []).bases[0]
    assert (bare.outlier_shares, bare.curves) == ((), ())
    assert centred.directions[0].outlier_share < 0.5


def test_intervals_of_concentration_are_calibrated():
    head, big = planted(n=40_000)
    names = ("top_share", "effective_rank", "outlier_share")

    def figures(n, seed):
        rng = np.random.default_rng(seed)
        chosen = rng.integers(0, len(labels_of(big)), n)
        images = SetFeatures("val", big.features[chosen])
        basis = probe_directions(head, [images], [3]).bases[0]
        return {name: getattr(basis, name) for name in names} | {
            "importance": basis.directions[0].importance
        }

    basis = probe_directions(head, [SetFeatures("val", big.features)], [3]).bases[0]
    truth = {name: getattr(basis, name).value for name in names}
    truth["importance"] = max(basis.importances)
    hit = dict.fromkeys(truth, 0)
    for seed in range(200):
        for name, result in figures(300, seed).items():
            hit[name] += result.low <= truth[name] <= result.high
    assert all(180 <= count <= 198 for count in hit.values()), hit


@pytest.mark.parametrize("normalize", [False, True])
def test_hits_are_those_of_the_logits_in_scale(normalize):
    bias = np.linspace(-1, 1, CLASSES, dtype=np.float32)
    head, images = planted(normalize=normalize, bias=None if normalize else bias)
    head = replace(head, logit_scale=20.0, logit_bias=-2.0) if normalize else head
    x = images.features.astype("f8")
    x = x / np.linalg.norm(x, axis=1, keepdims=True) if normalize else x
    logits = x @ head.weight.T.astype("f8")
    logits = 20 * logits - 2 if normalize else logits + bias
    right = logits.argmax(1) == images.labels
    assert hits(head, images) == right.sum()
    assert (Logits(head, images).confidences().right == right).all()


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("classes", [2, 12])
def test_few_images_and_two_classes(n, classes):
    head, images = planted(n=n, classes=classes)
    result = probe_directions(head, [images], [3])
    assert result.bases[0].rank == classes
    json.dumps(result.model_dump(), allow_nan=False)


def test_rank_deficient_heads_and_equal_rows():
    head, images = planted()
    weight = head.weight.copy()
    weight[6:] = weight[:6]
    result = probe_directions(HeadArrays(weight), [images], [])
    assert result.bases[0].rank == 6
    equal = probe_directions(HeadArrays(np.tile(head.weight[:1], (5, 1))), [
        SetFeatures("val", images.features, labels_of(images) % 5)
    ], [])  # fmt: skip
    assert [basis.rank for basis in equal.bases] == [1]


def test_nan_images_are_left_out():
    head, images = planted()
    h = images.features.copy()
    h[5, 2] = np.nan
    h[6] = 0
    result = probe_directions(head, [SetFeatures("val", h, images.labels)], [])
    clean = SetFeatures("val", np.delete(h, [5, 6], 0), np.delete(labels_of(images), [5, 6]))
    assert result == probe_directions(head, [clean], [])


def test_bad_input_is_named():
    head, images = planted()
    with pytest.raises(DataError, match="class 12, which no row"):
        probe_directions(head, [SetFeatures("val", images.features, labels_of(images) + 1)], [])
    with pytest.raises(DataError, match="at least one image"):
        probe_directions(head, [SetFeatures("val", images.features * np.nan)], [])
    with pytest.raises(DataError, match="all zero"):
        probe_directions(HeadArrays(head.weight * 0), [images], [])
    answers = np.arange(CLASSES) - 1
    with pytest.raises(DataError, match="a has images of class 11, which no row"):
        probe_directions(
            head, [SetFeatures("a", images.features, labels_of(images) * 0 + 11, answers)], []
        )
    with pytest.raises(DataError, match="is for 3 rows"):
        probe_directions(head, [SetFeatures("a", images.features, images.labels, answers[:3])], [])


def test_the_most_important_direction_is_called_by_its_number():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((24, 24)))[0].astype("f4")[:3]
    rows = np.array([[3, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]], "f4")
    along = (rng.standard_normal((200, 3)) * [0.1, 5, 0.1]).astype("f4")
    headlines = []
    for classes in (6, 2):
        images = SetFeatures("val", along @ turn, rng.integers(0, classes, 200))
        result = probe_directions(HeadArrays(rows[:classes] @ turn), [images], [])
        headlines.append(
            line(PrivilegedDirections().describe(result, Subject(model(), ())).headline)
        )
    assert headlines[0].startswith(
        "Direction 1, the most important of 3 of the head without its mean row, has "
    )
    assert headlines[1] == ""  # one direction has all of it

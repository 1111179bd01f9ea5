from dataclasses import replace
from math import comb

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from tuiprobe.inside.concepts.compute import CURVE, precision_of, probe_concepts, rarefy
from tuiprobe.inside.concepts.concept_set import ConceptSet, split_up
from tuiprobe.inside.directions.compute import decompose
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.results import NotRun

WIDTH = 16


def planted(n=1200, seed=0, separation=6.0, sign=-1):
    """Four concepts: along v_0 (reversed), along v_1, in no direction, and too rare."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    scale = np.geomspace(10, 1, WIDTH)
    weight = (np.linalg.qr(rng.standard_normal((20, WIDTH)))[0] * scale) @ basis.T
    weight = weight.astype(np.float32)
    v = np.linalg.svd(weight.astype("f8"), full_matrices=False)[2]
    presence = rng.random((n, 4)) < [0.3, 0.3, 0.3, 0.02]
    h = rng.standard_normal((n, WIDTH))
    h += separation * sign * presence[:, :1] * v[0] + separation * presence[:, 1:2] * v[1]
    concepts = ConceptSet(
        name="toy", features=h.astype(np.float32), presence=presence,
        names=("sky", "dog", "noise", "rare"), categories=("scene", "object"),
        category_of=np.array([0, 1, 1, 1]), annotated=np.ones((n, 2), dtype=bool),
        train=rng.random(n) < 0.5, ids=np.arange(n),
        paths=["x.png"] * n, digest="d",
    )  # fmt: skip
    return HeadArrays(weight), concepts


def family(result, name):
    return next(row for row in result.families if row.family == name)


def test_planted_concepts_are_found_in_their_directions_and_signs():
    head, concepts = planted()
    result = probe_concepts(head, concepts)
    own = family(result, "singular vectors of W")
    assert own.encoded == ("sky", "dog")
    assert own.unique.value == 2
    assert own.polysemanticity.value == 2 / WIDTH
    assert (result.tried, result.left_out) == (3, 1)
    first, second = result.top[:2]
    v = decompose(head.weight.astype("f8"))[2]
    with_sky = concepts.features[concepts.presence[:, 0]].mean(0)
    with_dog = concepts.features[concepts.presence[:, 1]].mean(0)
    assert first.concepts[0].name == "sky"
    assert second.concepts[0].name == "dog"
    assert first.concepts[0].sign == np.sign(with_sky @ v[:, 0])
    assert second.concepts[0].sign == np.sign(with_dog @ v[:, 1])
    assert {c.category: c.concepts.value for c in own.categories} == {"scene": 1, "object": 1}


def at_equal_weights(present, scores):
    """Returns scikit-learn's average precision where positives weigh as much as negatives."""
    weight = np.where(present, 1 / present.sum(), 1 / (~present).sum())
    return average_precision_score(present, scores, sample_weight=weight)


def test_average_precision_equals_sklearns_on_each_split():
    _, concepts = planted(separation=2.0)
    splits, kept = split_up(concepts)
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, 3)))[0].astype("f4")
    precision = precision_of(basis, splits)
    for d in range(3):
        for j, k in enumerate(kept):
            scores = concepts.features @ basis[:, d] * precision.sign[d, j]
            for side, value in (
                (concepts.train, precision.train),
                (~concepts.train, precision.val),
            ):
                oracle = at_equal_weights(concepts.presence[side, k], scores[side])
                assert value[d, j] == pytest.approx(oracle, abs=1e-6)
            worse = at_equal_weights(concepts.presence[concepts.train, k], -scores[concepts.train])
            assert precision.train[d, j] >= worse - 1e-9


def test_an_average_precision_planted_in_closed_form():
    # Two Gaussians d apart at prevalence 1/2: AP = E over positives of TPR / (TPR + FPR).
    d = 2.0
    head, concepts = planted(n=20_000, separation=d)
    x = np.linspace(-8, 12, 200_001)
    tpr, fpr = stats.norm.sf(x, loc=d), stats.norm.sf(x)
    expected = np.trapezoid(stats.norm.pdf(x, loc=d) * tpr / (tpr + fpr), x)
    result = probe_concepts(head, concepts)
    for i, name in enumerate(("sky", "dog")):
        best = result.top[i].concepts[0]
        assert best.name == name
        assert best.val == pytest.approx(expected, abs=0.02)


def test_excess_over_random_directions():
    head, concepts = planted(separation=2.5)
    result = probe_concepts(head, concepts)
    random = family(result, "random directions")
    assert result.excess.value == pytest.approx(2 - random.unique.value)
    assert result.excess.low > 0
    assert random.encoded == ()
    assert "20 seeds" in random.unique.method
    again = probe_concepts(head, concepts)
    assert again == result
    assert probe_concepts(head, concepts, seed=1) != result


@pytest.mark.parametrize("separation", [3.0, 0.0])
def test_the_curve_falls_and_meets_the_threshold_and_noise_is_encoded_by_nothing(separation):
    result = probe_concepts(*planted(separation=separation))
    for directions in result.families:
        values = [point.concepts.value for point in directions.curve]
        assert values == sorted(values, reverse=True)
        assert values[CURVE.index(0.9)] == directions.unique.value
        assert separation or directions.unique.value == 0


def test_candidates_are_the_images_annotated_for_the_category():
    head, concepts = planted(separation=0.0)
    # "dog" marks a third of the images of one source; only those are annotated for objects.
    source = concepts.features[:, 0] > 0
    concepts.features[:, 1] += 30 * source
    presence = concepts.presence.copy()
    presence[:, 1] &= source
    annotated = concepts.annotated.copy()
    annotated[:, 1] = source
    biased = replace(concepts, presence=presence, annotated=annotated)
    fair = probe_concepts(head, biased)
    best = max(p.threshold for p in family(fair, "channels").curve if p.concepts.value >= 1)
    assert best <= 0.7


def test_rarefaction_equals_the_binomial_formula():
    encoders = np.array([0, 1, 5, 9, 10])
    for drawn in (1, 4, 10):
        expected = sum(1 - comb(10 - int(k), drawn) / comb(10, drawn) for k in encoders)
        assert rarefy(encoders, 10, drawn) == pytest.approx(expected)


def test_too_few_positives_or_negatives_are_left_out():
    head, concepts = planted()
    presence = concepts.presence.copy()
    presence[:, 0] = True  # on every image
    presence[:, 2] = False  # on none
    result = probe_concepts(head, replace(concepts, presence=presence))
    assert (result.tried, result.left_out) == (1, 3)
    nothing = probe_concepts(head, replace(concepts, presence=np.zeros_like(presence)))
    assert isinstance(nothing, NotRun)


def test_ties_everywhere_and_nan_images():
    head, concepts = planted()
    flat = probe_concepts(head, replace(concepts, features=np.ones_like(concepts.features)))
    assert all(row.unique.value == 0 for row in flat.families)
    broken = concepts.features.copy()
    broken[:5, 0] = np.nan
    result = probe_concepts(head, replace(concepts, features=broken))
    assert result.train + result.val == 1195


def test_a_head_of_equal_rows_has_no_centred_directions():
    _, concepts = planted()
    equal = HeadArrays(np.ones((5, WIDTH), dtype=np.float32))
    result = probe_concepts(equal, concepts)
    assert "alike" in result.excess_centred.reason
    assert family(result, "singular vectors of W").directions == 1


def test_without_a_head_random_directions_come_from_the_whole_space():
    _, concepts = planted()
    axes = np.eye(WIDTH)[[3, 5]]
    h = concepts.features + 6 * concepts.presence[:, :2] @ (axes - concepts.presence[:, :2].mean())
    result = probe_concepts(NotRun(reason="why not"), replace(concepts, features=h.astype("f4")))
    assert result.excess == NotRun(reason="why not")
    assert result.excess_centred == NotRun(reason="why not")
    assert [row.family for row in result.families] == [
        "channels", "principal components", "random directions",
    ]  # fmt: skip
    assert result.random_space == "representation"
    channels, random = family(result, "channels"), family(result, "random directions")
    assert random.directions == WIDTH
    assert channels.excess.value == pytest.approx(channels.unique.value - random.unique.value)
    assert result.top_of == "principal components"
    assert result.top[0].concepts[0].name in ("sky", "dog")
    zero = HeadArrays(np.zeros((4, WIDTH), dtype=np.float32))
    assert "all zero" in probe_concepts(zero, concepts).excess.reason


def test_random_directions_are_orthonormal_and_within_the_rows_of_the_head():
    head, concepts = planted()
    narrow = HeadArrays(head.weight[:5])
    result = probe_concepts(narrow, concepts)
    assert family(result, "random directions").directions == 5
    assert family(result, "singular vectors of centred W").directions == 4
    assert family(result, "principal components").directions == 5
    assert family(result, "channels").rarefied_to == 4


def test_more_categories_than_one_call_takes():
    head, concepts = planted()
    many = replace(
        concepts,
        categories=tuple(f"c{g}" for g in range(70)),
        category_of=np.array([0, 69, 3, 3]),
        annotated=np.ones((1200, 70), dtype=bool),
    )
    own = family(probe_concepts(head, many), "singular vectors of W")
    assert own.encoded == ("sky", "dog")
    assert {c.category for c in own.categories if c.concepts.value} == {"c0", "c69"}


@pytest.mark.slow
def test_fewer_images_than_channels():
    rng = np.random.default_rng(0)
    h = rng.standard_normal((140, 200)).astype("f4")
    presence = np.arange(140)[:, None] % 2 == [0, 1]
    h[:, :1] += 9 * presence[:, :1]
    few = ConceptSet(
        name="few", features=h, presence=presence, names=("even", "odd"), categories=("c",),
        category_of=np.array([0, 0]), annotated=np.ones((140, 1), dtype=bool),
        train=np.arange(140) < 70, ids=np.arange(140),
        paths=["x.png"] * 140, digest="d",
    )  # fmt: skip
    result = probe_concepts(NotRun(reason="no head"), few)
    assert family(result, "principal components").directions == 69
    assert family(result, "channels").rarefied_to == 69
    assert family(result, "channels").unique.value == 2  # one channel, both signs


def test_exemplars_are_the_images_at_both_ends():
    head, concepts = planted()
    ids = np.arange(1200) + 5000
    broken = concepts.features.copy()
    broken[17] = np.nan
    named = replace(concepts, features=broken, ids=ids, paths=[f"{i}.png" for i in ids])
    result = probe_concepts(head, named)
    v = decompose(head.weight.astype("f8"))[2]
    along = named.features @ v.astype("f4")
    along[17] = 0
    for i, direction in enumerate(result.top):
        assert direction.largest[0].sample_id == ids[along[:, i].argmax()]
        assert direction.smallest[0].path == f"{ids[along[:, i].argmin()]}.png"
        values = [image.value for image in direction.largest]
        assert values == sorted(values, reverse=True)
    assert len(result.top) == WIDTH
    assert (result.digest, result.not_finite) == ("d", 1)


def test_why_nothing_could_be_tried():
    head, concepts = planted(n=90)
    few = probe_concepts(head, concepts)
    assert "no concept of toy has 30 positives and 30 negatives in each split" in few.reason
    lost = probe_concepts(head, replace(concepts, features=concepts.features * np.nan))
    assert lost.reason == "no image of toy has a finite representation"
    one_sided = probe_concepts(head, replace(concepts, train=np.ones(90, dtype=bool)))
    assert "0 of val" in one_sided.reason

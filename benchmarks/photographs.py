"""How often estimates without labels hold on photographs, drawings and sketches of one task.

Takes the vectors of several encoders on the domains of PACS (Li et al. 2017): `DOMAIN-labels.npy`,
int64 [n], and `DOMAIN-ENCODER.npy`, float32 [n, C], in the same order. Every domain in turn is in
distribution, with several heads fitted to it. The other domains are targets, each once without
labelled shifts and once with the other two as such.

Every target is estimated with the classes that it has, with those of the in-distribution set, with
half of the classes removed, and with half of them five times as frequent as the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from benchmarks._common import command, markdown
from tuiprobe.channels.array_types import Float32, Int64
from tuiprobe.choose.targets.compute import Images, estimate_targets
from tuiprobe.measure.arrays.head_arrays import SetFeatures, answered_right, fit_head
from tuiprobe.measure.run.arrays import HeadArrays
from tuiprobe.results import NotRun, is_known

TITLE: Final = "Estimates on photographs, drawings and sketches"

FEW: Final = 300
"""Images that most heads are fitted to; the others of the domain are in distribution."""
DECAY: Final = 1e-3
"""Weight of the squared weights of logistic regression."""
DRAWS: Final = 2
"""Random choices of the classes that are removed or made frequent."""
GROUPS: Final = ("guard", "none", "labelled shifts")
"""What an estimate is scaled by: few wrong answers and no shift, published shifts, own shifts."""
MIXES: Final = ("as it is", "as in distribution", "half of the classes", "five to one")

Vectors = Mapping[str, Mapping[str, Float32]]
"""Vectors by encoder and domain."""


class Case(NamedTuple):
    """An estimate beside the truth.

    Attributes:
        mix: Which classes the target has.
        group: One of `GROUPS`.
        model: Encoder and head.
        first: The domain in distribution.
        target: The domain that is estimated.
        truth: Share of its images that are right.
        value: The estimate.
        low: Lower end of its range.
        high: Upper end.
        most_right: The bound if classes are as frequent as in distribution.
    """

    mix: str
    group: str
    model: str
    first: str
    target: str
    truth: float
    value: float
    low: float
    high: float
    most_right: float

    @property
    def inside(self) -> bool:
        """Whether the range holds the truth."""
        return self.low <= self.truth <= self.high

    @property
    def contradicts(self) -> bool:
        """Whether the estimate is above the bound."""
        return self.value > self.most_right


def read(folder: Path) -> tuple[Vectors, dict[str, Int64]]:
    """Returns the vectors and labels of a folder; all encoders side by side are one more."""
    labels = {
        file.name.removesuffix("-labels.npy"): np.load(file)
        for file in sorted(folder.glob("*-labels.npy"))
    }
    encoders = sorted({
        file.stem.removeprefix(f"{domain}-")
        for domain in labels
        for file in folder.glob(f"{domain}-*.npy")
    } - {"labels"})  # fmt: skip
    vectors = {
        name: {domain: np.load(folder / f"{domain}-{name}.npy") for domain in labels}
        for name in encoders
    }
    together = {
        domain: np.hstack([by_domain[domain] for by_domain in vectors.values()])
        for domain in labels
    }
    return {**vectors, " + ".join(encoders): together}, labels


def mixes(labels: Int64, first: Int64, rng: np.random.Generator) -> Iterator[tuple[str, Int64]]:
    """Yields the images of a target under each mix of classes."""
    classes = np.unique(np.concatenate([labels, first]))
    yield MIXES[0], np.arange(labels.size)
    shares = np.array([(first == c).mean() for c in classes])
    yield MIXES[1], drawn(labels, classes, shares, rng)
    for _ in range(DRAWS):
        for mix, rest in zip(MIXES[2:], (0.0, 1.0), strict=True):
            weights = np.full(classes.size, rest)
            weights[rng.permutation(classes.size)[: (classes.size + 1) // 2]] = 5.0
            yield mix, drawn(labels, classes, weights / weights.sum(), rng)


def drawn(labels: Int64, classes: Int64, shares: Any, rng: np.random.Generator) -> Int64:
    """Returns as many images as there are with these shares of the classes, none of them twice."""
    counts = np.array([(labels == c).sum() for c in classes])
    most = (counts[shares > 0] / shares[shares > 0]).min()
    return np.concatenate([
        rng.choice(np.flatnonzero(labels == c), int(most * share), replace=False)
        for c, share in zip(classes, shares, strict=True)
    ])  # fmt: skip


def heads(
    name: str, images: SetFeatures, rng: np.random.Generator
) -> Iterator[tuple[str, HeadArrays, SetFeatures]]:
    """Yields heads with their in-distribution images, none of which is answered by its own label.

    They are ridge regression on all images, each left out in turn, then on 100 and on `FEW` of
    them; the mean of each class, by cosine; and logistic regression.
    """
    labels = np.asarray(images.labels)
    yield f"{name}, ridge, all images", *_ridge(images)
    shuffled = rng.permutation(labels.size)
    for count in (100, FEW):
        known = images.select(np.sort(shuffled[count:]))
        yield (
            f"{name}, ridge, {count} images",
            _ridge(images.select(shuffled[:count]))[0],
            known,
        )
    few, known = images.select(shuffled[:FEW]), images.select(np.sort(shuffled[FEW:]))
    yield f"{name}, class means, {FEW} images", _class_means(few), known
    yield f"{name}, logistic, {FEW} images", _logistic(few), known


def _ridge(images: SetFeatures) -> tuple[HeadArrays, SetFeatures]:
    fitted = fit_head(images, int(np.asarray(images.labels).max()) + 1)
    assert not isinstance(fitted, NotRun)
    return fitted


def _class_means(images: SetFeatures) -> HeadArrays:
    unit = images.features / np.linalg.norm(images.features, axis=1, keepdims=True)
    labels = np.asarray(images.labels)
    means = np.stack([unit[labels == c].mean(axis=0) for c in range(int(labels.max()) + 1)])
    return HeadArrays(means / np.linalg.norm(means, axis=1, keepdims=True), normalize=True)


def _logistic(images: SetFeatures) -> HeadArrays:
    x, y = torch.from_numpy(images.features), torch.from_numpy(np.asarray(images.labels))
    spread = x.std()
    weight = torch.zeros(int(y.max()) + 1, x.shape[1], requires_grad=True)
    bias = torch.zeros(len(weight), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = torch.nn.functional.linear(x / spread, weight, bias)
        value = torch.nn.functional.cross_entropy(logits, y) + DECAY * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return HeadArrays((weight / spread).detach().numpy(), bias.detach().numpy())


def cases(folder: Path, quick: bool) -> Iterator[Case]:
    """Yields every estimate."""
    vectors, labels = read(folder)
    for encoder, by_domain in vectors.items():
        for domain in list(labels)[: 1 if quick else None]:
            rng = np.random.default_rng([*domain.encode()])
            every = {name: SetFeatures(name, by_domain[name], labels[name]) for name in labels}
            for model, head, known in heads(encoder, every[domain], rng):
                others = [name for name in labels if name != domain]
                for target in others:
                    shifts = [every[name] for name in others if name != target]
                    yield from _estimated(model, head, known, every[target], shifts, rng)


def _estimated(
    model: str,
    head: HeadArrays,
    first: SetFeatures,
    target: SetFeatures,
    shifts: Sequence[SetFeatures],
    rng: np.random.Generator,
) -> Iterator[Case]:
    """Yields the estimates of a target under all mixes, without and with labelled shifts."""
    labels = np.asarray(target.labels)
    right = answered_right(head, target)
    chosen = list(mixes(labels, np.asarray(first.labels), rng))
    targets = [SetFeatures(f"{mix} {i}", target.features[of]) for i, (mix, of) in enumerate(chosen)]
    for known in ((), shifts):
        result = estimate_targets(head, Images(first, known, targets))
        for (mix, of), estimate in zip(chosen, result.targets, strict=True):
            group = "labelled shifts" if known else "guard" if estimate.too_few_wrong else "none"
            accuracy = estimate.scaled[0].accuracy
            assert is_known(accuracy)
            assert accuracy.low is not None
            assert accuracy.high is not None
            assert is_known(estimate.most_right)
            yield Case(
                mix, group, model, first.name, target.name, float(right[of].mean()),
                accuracy.value, accuracy.low, accuracy.high, estimate.most_right.value,
            )  # fmt: skip


def summary(found: Sequence[Case]) -> dict[str, Any]:
    """Returns how often ranges hold, and what the bound adds.

    Returns:
        Counts of estimates, of those whose range holds the truth, of those above the bound, of
        these whose range had missed, of good ones above the bound, of truths above the bound, and
        the share of estimates of which one of the readings that are shown holds.
    """
    above = [case for case in found if case.contradicts]
    return {
        "estimates": len(found),
        "inside": sum(case.inside for case in found),
        "above": len(above),
        "above_missed": sum(not case.inside for case in above),
        "good_above": sum(case.inside for case in above),
        "truth_above": sum(case.truth > case.most_right for case in found),
        "shown_holds": sum(
            case.inside or (case.contradicts and case.truth <= case.most_right) for case in found
        ),
    }


def run(quick: bool, folder: Path) -> dict[str, Any]:
    """Returns the summary of each group under each mix; `quick` takes one domain as first."""
    found = list(cases(folder, quick))
    return {
        "models": sorted({case.model for case in found}),
        "images": {name: int(of.size) for name, of in read(folder)[1].items()},
        "groups": {
            f"{mix}, {group}": summary(
                [case for case in found if (case.mix, case.group) == (mix, group)]
            )
            for mix in MIXES
            for group in GROUPS
        },
    }


def table(figures: dict[str, Any]) -> str:
    """Renders the figures as Markdown."""
    header = ["classes of the target, basis", "estimates", "range holds the truth",
              "above the bound", "of these missed", "good ones above", "truth above the bound",
              "a reading shown holds"]  # fmt: skip
    rows = [
        [
            name, f"{of['estimates']}", _share(of["inside"], of["estimates"]),
            _share(of["above"], of["estimates"]), f"{of['above_missed']}",
            _share(of["good_above"], of["inside"]), f"{of['truth_above']}",
            _share(of["shown_holds"], of["estimates"]),
        ]
        for name, of in figures["groups"].items()
    ]  # fmt: skip
    images = ", ".join(f"{name} {n:,}" for name, n in figures["images"].items())
    return (
        f"{markdown(header, rows)}\nEncoders and heads: {'; '.join(figures['models'])}. "
        f"Images: {images}.\n"
    )


def _share(part: int, total: int) -> str:
    return f"{part} ({part / total:.2f})" if total else "-"


if __name__ == "__main__":
    command(__doc__, run, table, "--vectors")

"""A session of labelling over pictures that are painted here, of runs that hold no answers."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.measure.engine.fake_run import FakeSet, write_run
from tuiprobe.choose.labelling.candidates import Candidate
from tuiprobe.choose.labelling.label_log import LabelFiles
from tuiprobe.choose.labelling.matching import Matched
from tuiprobe.choose.labelling.session import Labelling
from tuiprobe.measure.run.directory import RunDir

CLASSES = (
    "airplane", "balloon", "cat", "dog", "fish", "guitar", "hat", "key", "lamp", "mug", "star",
    "tree",
)  # fmt: skip
MODELS = ("model_alpha", "model_beta", "model_gamma")


class PaintedLabelling(Labelling):
    """A session whose pictures are made when they are asked for."""

    def image(self, place: int) -> Image.Image:
        return noise(place, (64, 48), 1.0)


def painted(
    folder: Path,
    classes: Sequence[str] = CLASSES,
    names: Sequence[str] = (),
    pictures: int = 12,
    seed: int = 0,
    models: Sequence[str] = MODELS,
) -> PaintedLabelling:
    """Returns a session whose candidates answer at random; its labels lie in a folder."""
    classes = tuple(sorted(classes))
    digests = tuple(hashlib.sha256(bytes([n, seed])).hexdigest() for n in range(pictures))
    paths = tuple(names) or tuple(f"{n:03}.jpg" for n in range(pictures))
    draws, ids = np.random.default_rng(seed), np.arange(pictures)
    answers = draws.integers(0, len(classes), (len(models), pictures))
    confidences = draws.uniform(0.1, 1.0, answers.shape)
    for model in models:
        if not (folder / model).exists():
            features = np.zeros((2, 1), np.float32)
            write_run(folder / model, {"val": FakeSet(features, None)}, None, about={"name": model})
    candidates = tuple(
        Candidate(
            RunDir(folder / model), model, "street", "imagefolder:street", (), classes, ids, answer,
            confidence, confidence, dict(enumerate(digests)), dict(enumerate(paths)),
        )
        for model, answer, confidence in zip(models, answers, confidences, strict=True)
    )  # fmt: skip
    matched = Matched(
        candidates, classes, ids, digests, paths, 0, 0, answers, confidences, confidences
    )
    return PaintedLabelling(matched, LabelFiles(folder, "street"))


def noise(seed: int, size: tuple[int, int], fall: float) -> Image.Image:
    """Returns noise whose amplitude falls with frequency; 1 is that of photographs, 0 is white."""
    draws, (width, height) = np.random.default_rng(seed), size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1 / max(size)
    grey = draws.standard_normal((height, width))
    channels = []
    for _ in range(3):
        spectrum = np.fft.rfft2(grey + 0.5 * draws.standard_normal((height, width)))
        pixels = np.fft.irfft2(spectrum / frequency**fall, (height, width))
        channels.append(128 + 50 * (pixels - pixels.mean()) / pixels.std())
    return Image.fromarray(np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8))

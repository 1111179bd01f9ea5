"""The encoder that planted arrays are said to come from."""

from tests.measure.engine.fake_run import model as fake
from tuiprobe.results import Model


def model(**changes: object) -> Model:
    """Returns a zero-shot CLIP of one of the paper's backbones."""
    clip = {
        "architecture": "RN50-quickgelu", "representation": "projected", "training": "zero-shot"
    }  # fmt: skip
    return fake(**{**clip, **changes})

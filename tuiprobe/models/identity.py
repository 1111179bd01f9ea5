"""The encoder of stored vectors: known by what the user says of it, and not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from tuiprobe.errors import RunError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, Representation, Training, WeightsInfo

if TYPE_CHECKING:
    from PIL.Image import Image

LOADER = "embeddings"


def unseen_encoder(
    name: str,
    *,
    source: str,
    digest: str,
    width: int,
    representation: Representation,
    training: Training,
) -> Encoder:
    """Returns the encoder that vectors came from, of which only its output is known.

    Args:
        name: Name in the report.
        source: What the user typed for the vectors.
        digest: Digest of the vectors, in place of that of weights.
        width: Channels of the vectors.
        representation: Kind of the vectors, by the user.
        training: How it was trained, by the user.
    """
    return Encoder(
        name=name,
        architecture="not known",
        representation=representation,
        training=training,
        width=width,
        weights=WeightsInfo(kind="unknown", source=source, digest=digest),
        preprocessing=PreprocessingInfo(
            size=(0, 0), mean=(), std=(), interpolation="", source=source, known=False
        ),
        module=nn.Identity(),
        preprocess=_refuse,
        forward=_refuse,
        loader=LOADER,
    )


def _refuse(image: Image | Tensor) -> Tensor:
    raise RunError("vectors were given and not their encoder: no image can be measured")

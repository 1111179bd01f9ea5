"""The encoder of stored vectors: an identity, with what the user says about the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from tuiprobe.errors import RunError
from tuiprobe.models.encoder import Encoder
from tuiprobe.models.info import PreprocessingInfo, Representation, Training, WeightsInfo

if TYPE_CHECKING:
    from PIL.Image import Image

LOADER = "embeddings"


def identity_encoder(
    name: str,
    *,
    source: str,
    digest: str,
    width: int,
    representation: Representation,
    training: Training,
) -> Encoder:
    """Returns the encoder of stored vectors.

    Args:
        name: Name in the report.
        source: What the user typed for the vectors.
        digest: Digest of the vectors, in place of that of weights.
        width: Channels of the vectors.
        representation: Kind of the vectors, by the user.
        training: How their encoder was trained, by the user.
    """
    module = nn.Identity()
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
        module=module,
        preprocess=_refuse,
        forward=module,
        loader=LOADER,
    )


def _refuse(image: Image) -> Tensor:
    raise RunError("vectors were given and not their encoder: no image can be measured")
